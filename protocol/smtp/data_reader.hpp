// Reads the content of a message, incrementally, and judges it: behind DATA it finds the end and takes off the
// dot-stuffing (RFC 5321 4.5.2); of BDAT (RFC 3030) it takes the octets of the chunks as they are, to finish().
//
// Guarantees: only CRLF.CRLF ends the data (else: SMTP smuggling). No octet is looked at again when
// more input comes; content is appended in runs, one copy, never a line at a time. Whatever is wrong, the
// reader goes on to the end of the data, so that the session stays in step; nothing is appended once
// something is wrong. What is answered does not depend on how the input was cut into pieces. Failures
// (refusal()): bare CR, bare LF or NUL 550 5.5.2; a line over 65,536 octets 550 5.6.0; header over 256 KiB
// 550 5.6.0; more than 100 Received fields 550 5.4.6; over the size limit 552 5.3.4.
// Lines between the 1,000 octets that RFC 5321 4.5.3.1.6 promises and that limit are accepted: what goes out
// is what came in, and the next hop's word about it reaches the sender. See also: server_dialog.hpp,
// data_writer.hpp (the other direction).
//
// Of BINARYMIME (Framing::binary) only the header is made of lines. What would be refused in a body of lines makes the body
// binary instead (mail::Scanned::binary), and it is kept as it is, its last octet too. A body that could have come without
// BINARYMIME is not binary, whatever its client declared: some declare it for all their mail.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "protocol/mail/draft.hpp"
#include "protocol/smtp/reply.hpp"

namespace spoold::smtp {

struct DataLimits {
  std::uint64_t size = 25ull << 20;  // of the content as it is kept: without stuffed dots and the final dot
  std::uint64_t line = 65536;
  std::uint64_t header = 256u << 10;
  int received = 100;
};

class DataReader {
 public:
  enum class Framing : std::uint8_t { dots, chunks, binary };  // binary: chunks

  explicit DataReader(DataLimits limits = DataLimits{}, Framing framing = Framing::dots)
      : limits_(limits), framing_(framing) {}

  /// Takes octets up to and including the end of the data; appends content to `out`, which the caller may
  /// empty between calls. Answers how many octets it took: fewer than given only when the data ended.
  std::size_t read(std::string_view input, std::string& out);
  /// Of chunks: the last octet was read. A last line without its end gets one, as the final dot of DATA needs it; not so of
  /// BINARYMIME.
  void finish(std::string& out);

  bool ended() const { return state_ == State::ended; }
  bool refused() const { return failure_ != no_failure; }
  Reply refusal() const;  // code 0: none so far; final when ended()

  /// What was found so far, also of refused content.
  const mail::Scanned& scanned() const { return scanned_; }
  std::uint64_t size() const { return scanned_.size; }
  std::uint64_t header_size() const { return scanned_.header_size; }
  int received() const { return received_; }

 private:
  enum class State : std::uint8_t { line_start, dot, dot_cr, line, ended };
  static constexpr std::uint8_t no_failure = 7;  // numbers of data_reader.cpp; the smallest is the one told

  void note_octets(std::string_view taken, bool header);
  void line_octets(std::string_view piece);
  void line_ended();
  void take(std::string_view run, std::string& out);
  void fail(std::uint8_t failure);
  void not_of_lines(std::uint8_t failure);
  void judge_returns();
  bool in_binary() const { return framing_ == Framing::binary && !in_header_; }
  mail::Octets& part() { return in_header_ ? scanned_.header : scanned_.body; }

  DataLimits limits_;
  Framing framing_ = Framing::dots;
  mail::Scanned scanned_;
  std::uint64_t line_size_ = 0;
  std::int64_t surplus_returns_ = 0;  // CRs seen minus LFs seen
  std::array<char, 9> prefix_{};      // the first octets of a header line, for "Received:"
  std::uint8_t prefix_size_ = 0;
  std::uint8_t failure_ = no_failure;
  int received_ = 0;
  State state_ = State::line_start;
  bool last_was_cr_ = false;
  bool in_header_ = true;
};

}  // namespace spoold::smtp
