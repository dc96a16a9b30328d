// A message between what was received and what goes out: its header fields, and what is known of its octets without
// having them at hand (the body of a large message is in the store before anybody decides about it).
//
// A Draft begins as the message as it was received. Whoever changes the message (protocol/list/cook.hpp) adds, replaces and
// removes whole fields, and puts own octets between those of the body or in their place. outgoing() then says which octets go out: a head of own octets, ranges of the content as received, and
// what delivery must know of all of them, computed from these pieces and from nothing else.
//
// Guarantees: byte-preserving: a field that stays goes out as it came, in its place, and so does the body. A draft
// that only got fields in front does not copy the header it came with: that goes out as a range, too. An mbox "From " line
// before the header does not go out. What is added is never part of the body, also where the message has no header.
// See also: header.hpp (what a field is), smtp/data_reader.hpp (what is found while the content streams).
#pragma once
#include <cstdint>
#include <list>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/mail/header.hpp"

namespace spoold::mail {

/// What decides how octets can be sent.
struct Octets {
  bool eight_bit = false;     // some are above 127
  bool leading_dots = false;  // some line begins with '.'
  Octets& operator|=(const Octets& other);
  bool operator==(const Octets&) const = default;
};
Octets octets_of(std::string_view text);

/// What was found of a content while it came in.
struct Scanned {
  std::uint64_t size = 0;
  std::uint64_t header_size = 0;  // up to and including the first blank line, or all of it
  Octets header, body;            // of what is before that line's end, and behind it
  bool binary = false;            // behind the header it is not made of lines (RFC 3030): no list takes it
  /// Of octets [from, to), which begin where a line begins: never less than is true of them.
  Octets of(std::uint64_t from, std::uint64_t to) const;
  bool operator==(const Scanned&) const = default;
};
/// Of a content that is in memory.
Scanned scan(std::string_view content);

/// What is written at a place of each copy when that copy is made, and differs between copies. The names are those of
/// protocol/list/personal.hpp; 0: nothing.
using Blank = std::uint8_t;

/// Own octets, which begin where a line begins or continue what is before them; then a blank.
struct Own {
  std::string text;
  Blank blank = 0;
};

/// A piece of what goes out: a range of the content as received, which begins where a line of it begins; then own octets.
struct Splice {
  std::uint64_t offset = 0, length = 0;
  std::string own;
  Blank blank = 0;  // behind own
};

/// The octets of a message as it goes out.
struct Outgoing {
  std::string head;  // own octets; then:
  std::vector<Splice> body;
  std::uint64_t size = 0;         // of both, without what is written in the blanks
  Octets octets;                  // of both
  bool header_eight_bit = false;  // some octet of its header is above 127
};

/// The way back: the message as it was received is these, one behind the other.
struct Restored {
  std::uint64_t offset = 0, length = 0;  // of what goes out, without what is written in the blanks
  std::string removed;                   // behind them: what does not go out
};

class Draft {
 public:
  /// The message as it was received. Both must live longer.
  Draft(const Header& received, const Scanned& content);

  // `fields`: whole fields with their line ends.
  void prepend(std::string fields) { before_ = before_.empty() ? std::move(fields) : fields + before_; }
  void append(std::string_view fields);
  /// The same, with blanks in them; the last one ends a line.
  void append(std::vector<Own> fields);
  /// Those for which `unwanted(field)` is true.
  template <class F>
  void remove(F unwanted) {
    if (std::erase_if(fields_, unwanted) != 0) edited_ = true;
  }
  /// `fields` stand where the first field of that name stood, and no other of that name is left; behind all of fields() when
  /// there is none.
  void replace(std::string_view name, std::string_view fields);
  /// Those received that are still there and those that replaced some, in order.
  const std::vector<Field>& fields() const { return fields_; }
  /// The first of them with that name, or nullptr.
  const Field* find(std::string_view name) const;

  const Header& received() const { return received_; }
  /// The message as it was received, with what is in front of it by now.
  Draft as_received() const;
  /// All fields that go out, without the blank line behind them.
  std::string header() const;

  // The body. Places are offsets in the content as received, where a line begins. What is cut must not overlap.
  std::uint64_t body_begin() const { return begins_; }
  std::uint64_t body_end() const { return ends_; }
  const Scanned& content() const { return content_; }
  bool body_edited() const { return !edits_.empty(); }
  /// Behind what was put at this place before.
  void insert(std::uint64_t at, std::vector<Own> own) { cut(at, at, std::move(own)); }
  /// `own` stands in place of the octets [from, to).
  void cut(std::uint64_t from, std::uint64_t to, std::vector<Own> own);
  /// The body is what is between these places: the octets around are removed.
  void narrow(std::uint64_t begin, std::uint64_t end);

  Outgoing outgoing() const;
  /// What of outgoing() is the body.
  std::vector<Splice> body() const;
  /// `content`: all of it, as received.
  std::vector<Restored> way_back(std::string_view content) const;

 private:
  std::vector<Own> head()
      const;  // where more than fields in front was edited: all of it, blank line included

  const Header& received_;
  const Scanned& content_;
  std::vector<Field> fields_;
  struct Edit {
    std::uint64_t from = 0, to = 0;
    std::vector<Own> own;
  };
  std::list<std::string> made_;  // fields that replaced others point into it
  std::vector<Edit> edits_;      // in the order of their places
  std::string before_;
  std::vector<Own> behind_;
  bool edited_ = false;                  // more than fields in front
  std::uint64_t begin_ = 0;              // of the first field, in the content
  std::uint64_t begins_ = 0, ends_ = 0;  // the body
};

}  // namespace spoold::mail
