// The recipients of one message by number: packed pages of 256 (written once), the bits of those finished
// without anything to tell, and the rows of those with something to tell. And the one rule that says what a
// recipient's state is.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "store/spool/rows.hpp"
#include "store/txn.hpp"

namespace spoold::store::spool {

inline constexpr std::uint32_t page_size = 256;
inline constexpr std::uint32_t few_recipients = 16;  // up to here they are kept in the message's own row
inline constexpr std::size_t few_octets = 600;

/// Packs addresses of one page: a domain equal to the one before costs one octet.
class PageWriter {
 public:
  void add(std::string_view address, std::uint64_t member);
  std::uint32_t count() const { return count_; }
  std::size_t size() const { return packed_.size(); }
  std::string take();  // and begins the next page

 private:
  Packer packed_;
  std::string domain_;
  std::uint32_t count_ = 0;
};

class PageReader {
 public:
  explicit PageReader(std::string_view page) : packed_(page, "recipients") {}
  bool next();  // false: no more
  std::string_view local, domain;
  std::uint64_t member = 0;
  std::string address() const;

 private:
  Unpacker packed_;
};

/// The packed page that holds number `page * 256`; of a message with few recipients its only one. Corrupt
/// when missing.
std::string_view page_of(const Read&, const MessageRow&, std::uint32_t page);
/// Calls f(number, PageReader at it) for the originals in [first, first + count).
void each_original(const Read&, const MessageRow&, std::uint32_t first, std::uint32_t count,
                   const std::function<void(std::uint32_t, const PageReader&)>& f);

/// The originals with this address key: those on the pages that can hold its domain are looked at.
std::vector<std::uint32_t> find_originals(const Read&, const MessageRow&, std::string_view address_key);
/// Calls f(number, row) for each recipient that an edit added, in order.
void each_added(const Read&, const MessageRow&,
                const std::function<void(std::uint32_t, const RecipientRow&)>& f);

/// What is known of the numbers [first, first + count), loaded; changes go through it so that it stays true.
class Numbers {
 public:
  Numbers(const Read&, MessageRow&, std::uint32_t first, std::uint32_t count);

  bool done(std::uint32_t number) const;
  const RecipientRow* row(std::uint32_t number) const;  // null: no row
  bool finished(std::uint32_t number) const;            // done, or its row says so
  /// The row, or what a recipient without one would have.
  RecipientRow row_or_new(std::uint32_t number) const;
  RecipientState stored(std::uint32_t number) const;  // queued without a row
  /// An entry or claim over this number with this time covers it: it is open, and has no row or one with that
  /// time.
  bool covered_at(std::uint32_t number, TimePoint due) const;

  void put(Write&, std::uint32_t number, RecipientRow row);
  void set_done(std::uint32_t number);
  void flush(Write&);  // writes the changed bits

 private:
  MessageRow& message_;
  std::uint32_t first_, count_;
  std::map<std::uint32_t, RecipientRow> rows_;
  struct Block {
    std::string bits;
    bool changed = false;
  };
  std::map<std::uint32_t, Block> blocks_;
};

/// The claim that covers this number (which `numbers` holds), if one does.
std::optional<ClaimRow> covering_claim(const Read&, Id message, const Numbers&, std::uint32_t number);

/// The state of a recipient as everybody sees it: as stored, unless the message as a whole is held or given
/// up. `active`: a claim covers it.
RecipientState effective(const MessageRow&, std::uint32_t number, RecipientState stored, bool active);

}  // namespace spoold::store::spool
