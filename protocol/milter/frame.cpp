#include "protocol/milter/frame.hpp"

namespace spoold::milter {

void append_number(std::string& out, std::uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<char>((value >> shift) & 0xff));
}

std::uint32_t number(std::string_view four) {
  std::uint32_t value = 0;
  for (const char c : four.substr(0, 4)) value = value << 8 | static_cast<unsigned char>(c);
  return value;
}

void append_frame(std::string& out, char command, std::string_view data) {
  append_number(out, static_cast<std::uint32_t>(data.size() + 1));
  out.push_back(command);
  out.append(data);
}

void FrameReader::feed(std::string_view octets) {
  octets_.erase(0, at_);
  at_ = 0;
  octets_.append(octets);
}

FrameReader::State FrameReader::next(Frame& frame) {
  const std::string_view rest = std::string_view(octets_).substr(at_);
  if (rest.size() < 4) return State::more;
  const std::size_t length = number(rest);
  if (length == 0 || length > most_frame) return State::bad;
  if (rest.size() - 4 < length) return State::more;
  frame = {rest[4], rest.substr(5, length - 1)};
  at_ += 4 + length;
  return State::frame;
}

}  // namespace spoold::milter
