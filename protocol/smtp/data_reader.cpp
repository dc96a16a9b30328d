#include "protocol/smtp/data_reader.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "protocol/mail/ascii.hpp"

namespace spoold::smtp {
namespace {

// The failure that is told does not depend on how the input was cut: of several, the first of this order.
enum Failure : std::uint8_t { nul, bare_lf, bare_cr, loop, long_line, long_header, too_big, none };

struct Words {
  int code;
  EnhancedStatus enhanced;
  const char* text;
};
constexpr std::array<Words, none> words{{
    {550, {5, 5, 2}, "the message holds a NUL octet; no message may (RFC 5321 section 4.5.2)"},
    {550, {5, 5, 2}, "the message holds a bare <LF>; lines must end with <CR><LF> (RFC 5321 section 2.3.8)"},
    {550, {5, 5, 2}, "the message holds a bare <CR>; lines must end with <CR><LF> (RFC 5321 section 2.3.8)"},
    {550, {5, 4, 6}, "too many Received fields: this message is in a mail loop"},
    {550, {5, 6, 0}, "the message has a line that is too long"},
    {550, {5, 6, 0}, "the header of the message is too large"},
    {552, {5, 3, 4}, "the message is larger than this server accepts"},
}};

struct Tally {
  std::size_t carriage_returns = 0, line_feeds = 0, nuls = 0;
  bool eight_bit = false;
};

// Blocks short enough for one-octet counters: the compiler makes vector code of the inner loop.
Tally tally(std::string_view text) {
  Tally total;
  while (!text.empty()) {
    const char* const octets = text.data();  // no check of each index: that is 14 instructions an octet
    const std::size_t n = std::min<std::size_t>(text.size(), 240);
    std::uint8_t cr = 0, lf = 0, nul_octets = 0, all = 0;
    for (std::size_t i = 0; i < n; ++i) {
      const auto c = static_cast<std::uint8_t>(octets[i]);
      cr = static_cast<std::uint8_t>(cr + (c == '\r'));
      lf = static_cast<std::uint8_t>(lf + (c == '\n'));
      nul_octets = static_cast<std::uint8_t>(nul_octets + (c == 0));
      all = static_cast<std::uint8_t>(all | c);
    }
    total.carriage_returns += cr;
    total.line_feeds += lf;
    total.nuls += nul_octets;
    total.eight_bit |= all > 127;
    text.remove_prefix(n);
  }
  return total;
}

}  // namespace

void DataReader::fail(std::uint8_t failure) {
  failure_ = std::min(failure_, failure);
}

// In a body of BINARYMIME that is no failure, but what makes it binary.
void DataReader::not_of_lines(std::uint8_t failure) {
  if (in_binary())
    scanned_.binary = true;
  else
    fail(failure);
}

Reply DataReader::refusal() const {
  if (!refused()) return Reply{};
  const Words& said = words[failure_];
  return Reply{said.code, said.enhanced, said.text};
}

void DataReader::note_octets(std::string_view taken, bool header) {
  if (taken.empty()) return;
  const Tally octets = tally(taken);
  (header ? scanned_.header : scanned_.body).eight_bit |= octets.eight_bit;
  surplus_returns_ +=
      static_cast<std::int64_t>(octets.carriage_returns) - static_cast<std::int64_t>(octets.line_feeds);
  if (octets.nuls != 0 && header)
    fail(nul);
  else if (octets.nuls != 0)
    not_of_lines(nul);
  last_was_cr_ = taken.back() == '\r';
}

// A piece of one line, its line end included when it is there.
void DataReader::line_octets(std::string_view piece) {
  line_size_ += piece.size();
  if (line_size_ > limits_.line) not_of_lines(long_line);
  if (!in_header_) return;
  const std::size_t missing = std::min(prefix_.size() - prefix_size_, piece.size());
  std::memcpy(prefix_.data() + prefix_size_, piece.data(), missing);
  prefix_size_ = static_cast<std::uint8_t>(prefix_size_ + missing);
  scanned_.header_size += piece.size();
  if (scanned_.header_size > limits_.header) fail(long_header);
}

void DataReader::line_ended() {
  if (in_header_) {
    if (line_size_ == 2) {
      in_header_ = false;
    } else if (prefix_size_ == prefix_.size() && mail::same({prefix_.data(), prefix_.size()}, "received:")) {
      if (++received_ > limits_.received) fail(loop);
    }
    prefix_size_ = 0;
  }
  line_size_ = 0;
  state_ = State::line_start;
}

void DataReader::take(std::string_view run, std::string& out) {
  scanned_.size += run.size();
  if (scanned_.size > limits_.size) fail(too_big);
  if (!refused()) out.append(run);
}

std::size_t DataReader::read(std::string_view input, std::string& out) {
  std::size_t at = 0, run = 0;  // input[run, at) is content that was not appended yet
  std::size_t noted = 0;
  while (at < input.size() && state_ != State::ended) {
    switch (state_) {
      case State::line_start:
        if (input[at] != '.' || framing_ != Framing::dots) {
          if (input[at] == '.') part().leading_dots = true;
          state_ = State::line;
          break;
        }
        take(input.substr(run, at - run), out);
        run = ++at;
        state_ = State::dot;
        break;
      case State::dot:
        if (input[at] == '\r') {
          run = ++at;
          state_ = State::dot_cr;
        } else {
          if (input[at] == '.') part().leading_dots = true;
          state_ = State::line;
        }
        break;
      case State::dot_cr:
        if (input[at] == '\n') {
          run = ++at;
          state_ = State::ended;
        } else {
          state_ = State::line;  // a bare CR: the tally finds it
        }
        break;
      case State::line: {
        const void* found = std::memchr(input.data() + at, '\n', input.size() - at);
        if (found == nullptr) {
          line_octets(input.substr(at));
          at = input.size();
          break;
        }
        const auto feed = static_cast<std::size_t>(static_cast<const char*>(found) - input.data());
        line_octets(input.substr(at, feed + 1 - at));
        at = feed + 1;
        if (feed > 0 ? input[feed - 1] == '\r' : last_was_cr_) {
          const bool in_header = in_header_;
          line_ended();
          if (in_header && !in_header_) {
            note_octets(input.substr(0, at), true);
            noted = at;
            if (framing_ == Framing::binary && surplus_returns_ > 0) fail(bare_cr);
          }
        } else {
          not_of_lines(bare_lf);  // and the line goes on: a bare LF never makes the next dot special
        }
        break;
      }
      case State::ended:
        break;
    }
  }
  take(input.substr(run, at - run), out);
  note_octets(input.substr(noted, at - noted), in_header_);
  if (state_ == State::ended) judge_returns();
  return at;
}

void DataReader::finish(std::string& out) {
  if (state_ == State::line && in_binary()) {
    scanned_.binary = true;
  } else if (state_ == State::line) {
    read("\r\n", out);
  }
  state_ = State::ended;
  judge_returns();
}

// Each LF but the bare ones follows a CR, so any CR beyond them stands alone.
void DataReader::judge_returns() {
  if (surplus_returns_ > 0) not_of_lines(bare_cr);
}

}  // namespace spoold::smtp
