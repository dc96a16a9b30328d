#include "server/delivery/gather.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace spoold::server {
namespace {

[[noreturn]] void wrong_length() {
  throw std::logic_error("a stored content has another length than its message says");
}

}  // namespace

void Gather::begin() {
  contents_.clear();
  piece_ = offset_ = 0;
  slice_ = {};
}

void Gather::add(Content content) {
  const Output::Content& wanted = output.contents[contents_.size()];
  if (const Wire* wire = std::get_if<Wire>(&content); wire != nullptr && wanted.chunk)
    if ((*wire)->size() < wanted.size) wrong_length();
  contents_.push_back(std::move(content));
}

WireStream* Gather::stream(std::size_t piece) const {
  if (piece % 2 == 0 || piece / 2 >= contents_.size()) return nullptr;
  const auto* stream = std::get_if<std::unique_ptr<WireStream>>(&contents_[piece / 2]);
  return stream == nullptr ? nullptr : stream->get();
}

std::string_view Gather::bytes(std::size_t piece) const {
  const std::size_t i = piece / 2;
  if (piece % 2 == 0) {
    const std::size_t to = i < output.contents.size() ? output.contents[i].at : output.commands.size();
    return std::string_view(output.commands).substr(commands_from(i), to - commands_from(i));
  }
  const std::string_view whole = *std::get<Wire>(contents_[i]);
  return output.contents[i].chunk ? whole.substr(0, output.contents[i].size) : whole;
}

// The next slice of a streamed content; false: it has ended.
bool Gather::refill() {
  if (offset_ < slice_.size()) return true;
  streamed_ += slice_.size();
  slice_ = stream(piece_)->next();
  offset_ = 0;
  const Output::Content& wanted = output.contents[piece_ / 2];
  if (wanted.chunk &&
      (streamed_ + slice_.size() > wanted.size || (slice_.empty() && streamed_ < wanted.size)))
    wrong_length();
  return !slice_.empty();
}

std::span<const asio::const_buffer> Gather::next() {
  const std::size_t end = 2 * contents_.size() + 1;
  std::size_t count = 0, offset = offset_;
  for (std::size_t piece = piece_; piece < end && count < most_buffers; ++piece, offset = 0) {
    if (stream(piece) != nullptr) {
      if (count > 0) break;  // what is before it goes first
      if (piece != piece_) piece_ = piece, offset_ = streamed_ = 0, slice_ = {};
      if (refill()) {
        buffers_[count++] = asio::const_buffer(slice_.data() + offset_, slice_.size() - offset_);
        break;
      }
      ++piece_;
      offset_ = 0;
      continue;
    }
    const std::string_view rest = bytes(piece).substr(offset);
    if (!rest.empty()) buffers_[count++] = asio::const_buffer(rest.data(), rest.size());
  }
  return {buffers_.data(), count};
}

void Gather::took(std::size_t n) {
  if (stream(piece_) != nullptr) {
    offset_ += n;
    return;
  }
  while (n > 0) {
    const std::size_t size = bytes(piece_).size(), step = std::min(n, size - offset_);
    offset_ += step;
    n -= step;
    if (offset_ < size) return;
    ++piece_;
    offset_ = 0;
    if (stream(piece_) != nullptr) streamed_ = 0, slice_ = {};
  }
}

std::size_t Gather::commands_taken() const {
  const std::size_t i = piece_ / 2;
  if (piece_ % 2 == 0) return commands_from(i) + offset_;
  return i < output.contents.size() ? output.contents[i].at : output.commands.size();
}

}  // namespace spoold::server
