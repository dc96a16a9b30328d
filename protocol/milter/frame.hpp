// The frames of the milter protocol, both ways: four octets of length (big-endian, of what follows), one of command, data.
//
// What a filter sends is hostile input. Guarantees: no frame of more than `most_frame` octets is waited for or kept; what
// comes does not depend on how it was cut into pieces. Failures: a length of 0 or beyond that is for good (State::bad).
// Source: Sendmail's mfdef.h, which libmilter and Postfix' milter8.c follow; there is no RFC. See also: conversation.hpp.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace spoold::milter {

/// A body chunk of 65,535 octets is the largest that either side sends; header values are cut by nobody, and fit as well.
inline constexpr std::size_t body_chunk = 65535, most_frame = 65535 + 4096;

struct Frame {
  char command = 0;
  std::string_view data;
};

void append_number(std::string& out, std::uint32_t);  // four octets
std::uint32_t number(std::string_view four);
void append_frame(std::string& out, char command, std::string_view data = {});

class FrameReader {
 public:
  enum class State : std::uint8_t { more, frame, bad };

  void feed(std::string_view octets);
  /// The next frame. Its data is valid until the next call of feed() or next().
  State next(Frame& frame);
  bool empty() const { return at_ == octets_.size(); }  // nothing is left of what was fed

 private:
  std::string octets_;
  std::size_t at_ = 0;  // what is before it was taken
};

}  // namespace spoold::milter
