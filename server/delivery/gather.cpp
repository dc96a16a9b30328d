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
  clear();
  at_ = offset_ = commands_ = 0;
  streamed_ = 0;
  slice_ = {};
  all_ = false;
}

void Gather::clear() {
  contents_.clear();
  pieces_.clear();
}

void Gather::put_commands(std::size_t to) {
  if (to == commands_) return;
  pieces_.push_back({.bytes = std::string_view(output.commands).substr(commands_, to - commands_),
                     .contents = contents_.size(),
                     .command = true});
  commands_ = to;
}

void Gather::add(Content content) {
  const Output::Content& wanted = output.contents[contents_.size()];
  put_commands(wanted.at);
  if (auto* stream = std::get_if<std::unique_ptr<WireStream>>(&content))
    pieces_.push_back({.bytes = {}, .stream = stream->get(), .contents = contents_.size()});
  else
    put(std::get<Rope>(content), wanted);
  contents_.push_back(std::move(content));
}

void Gather::put(const Rope& rope, const Output::Content& wanted) {
  std::string_view octets = rope.wire->octets;
  const std::vector<std::size_t>& blanks = rope.wire->blanks;
  const bool filled = rope.copy && !rope.copy->values.empty();
  if (filled && rope.copy->values.size() != blanks.size()) wrong_length();
  if (wanted.chunk) {  // without what is for DATA only
    const std::uint64_t own = filled ? rope.copy->size() : 0;
    if (wanted.size < own || octets.size() < wanted.size - own) wrong_length();
    octets = octets.substr(0, wanted.size - own);
  }
  std::size_t from = 0;
  const auto piece = [&](std::string_view bytes) {
    if (!bytes.empty()) pieces_.push_back({.bytes = bytes, .contents = contents_.size()});
  };
  if (filled)
    for (std::size_t i = 0; i < blanks.size(); ++i) {
      piece(octets.substr(from, blanks[i] - from));
      piece(rope.copy->values[i]);
      from = blanks[i];
    }
  piece(octets.substr(from));
}

void Gather::end_commands() {
  if (!std::exchange(all_, true)) put_commands(output.commands.size());
}

// The next slice of a streamed content; false: it has ended.
bool Gather::refill() {
  if (offset_ < slice_.size()) return true;
  streamed_ += slice_.size();
  slice_ = pieces_[at_].stream->next();
  offset_ = 0;
  const Output::Content& wanted = output.contents[pieces_[at_].contents];
  if (wanted.chunk &&
      (streamed_ + slice_.size() > wanted.size || (slice_.empty() && streamed_ < wanted.size)))
    wrong_length();
  return !slice_.empty();
}

std::span<const asio::const_buffer> Gather::next() {
  end_commands();
  std::size_t count = 0, offset = offset_;
  for (std::size_t i = at_; i < pieces_.size() && count < most_buffers; ++i, offset = 0) {
    if (pieces_[i].stream != nullptr) {
      if (count > 0) break;  // what is before it goes first
      if (i != at_) at_ = i, offset_ = streamed_ = 0, slice_ = {};
      if (refill()) {
        buffers_[count++] = asio::const_buffer(slice_.data() + offset_, slice_.size() - offset_);
        break;
      }
      ++at_;
      offset_ = 0;
      continue;
    }
    const std::string_view rest = pieces_[i].bytes.substr(offset);
    if (!rest.empty()) buffers_[count++] = asio::const_buffer(rest.data(), rest.size());
  }
  return {buffers_.data(), count};
}

void Gather::took(std::size_t n) {
  end_commands();
  while (n > 0) {
    if (pieces_[at_].stream != nullptr) {
      offset_ += n;
      return;
    }
    const std::size_t size = pieces_[at_].bytes.size(), step = std::min(n, size - offset_);
    offset_ += step;
    n -= step;
    if (offset_ < size) return;
    ++at_;
    offset_ = 0;
    if (at_ < pieces_.size() && pieces_[at_].stream != nullptr) streamed_ = 0, slice_ = {};
  }
}

std::size_t Gather::commands_taken() const {
  if (at_ >= pieces_.size()) return all_ ? output.commands.size() : 0;
  const Piece& piece = pieces_[at_];
  if (piece.command) return static_cast<std::size_t>(piece.bytes.data() - output.commands.data()) + offset_;
  return output.contents[piece.contents].at;
}

}  // namespace spoold::server
