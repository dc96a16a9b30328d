#include "store/spool/numbers.hpp"

#include <algorithm>

#include "protocol/mail/ascii.hpp"
#include "protocol/mail/mailbox.hpp"

namespace spoold::store::spool {
namespace {

constexpr std::uint32_t block_bits = 8192;

Key done_key(Id message, std::uint32_t block) {
  return Key().u64(message).u32(block);
}

}  // namespace

void PageWriter::add(std::string_view address, std::uint64_t member) {
  const auto [local, domain] = mail::Address(address);
  packed_.str(local);
  if (count_ > 0 && domain == domain_) {
    packed_.num(0);
  } else {
    packed_.num(domain.size() + 1);
    for (const char c : domain) packed_.u8(static_cast<std::uint8_t>(c));
    domain_ = domain;
  }
  packed_.num(member);
  ++count_;
}

std::string PageWriter::take() {
  count_ = 0;
  std::string page = packed_.take();
  packed_.clear();
  return page;
}

bool PageReader::next() {
  if (packed_.at_end()) return false;
  local = packed_.str();
  if (const auto size = packed_.num(); size > 0) domain = packed_.octets(size - 1);
  member = packed_.num();
  return true;
}

std::string PageReader::address() const {
  std::string out;
  out.reserve(local.size() + 1 + domain.size());
  out.append(local);
  if (!domain.empty()) out.append("@").append(domain);
  return out;
}

std::string_view page_of(const Read& read, const MessageRow& message, std::uint32_t page) {
  if (message.few) return message.page;
  const auto value = read.get(Table::recipients, Key().u64(message.id).u32(page));
  if (!value) Unpacker({}, "recipients", Key().u64(message.id).u32(page)).bad("is missing");
  return *value;
}

void each_original(const Read& read, const MessageRow& message, std::uint32_t first, std::uint32_t count,
                   const std::function<void(std::uint32_t, const PageReader&)>& f) {
  if (first >= message.originals) return;
  const std::uint32_t end = first + std::min(count, message.originals - first);
  for (std::uint32_t page = first / page_size; std::uint64_t{page} * page_size < end; ++page) {
    PageReader reader(page_of(read, message, page));
    const std::uint32_t page_end = page * page_size + std::min(page_size, end - page * page_size);
    for (std::uint32_t number = page * page_size; number < page_end; ++number) {
      if (!reader.next()) Unpacker({}, "recipients", Key().u64(message.id).u32(page)).bad("ends early");
      if (number >= first) f(number, reader);
    }
  }
}

namespace {

/// The first page whose first recipient's domain is not before `domain`, less one: pages are in domain order.
std::uint32_t page_before(const Read& read, const MessageRow& message, std::string_view domain) {
  std::uint32_t low = 0, high = (message.originals + page_size - 1) / page_size;
  while (low < high) {
    const std::uint32_t middle = low + (high - low) / 2;
    PageReader reader(page_of(read, message, middle));
    if (reader.next() && reader.domain < domain)
      low = middle + 1;
    else
      high = middle;
  }
  return low > 0 ? low - 1 : 0;
}

}  // namespace

std::vector<std::uint32_t> find_originals(const Read& read, const MessageRow& message,
                                          std::string_view address_key) {
  std::vector<std::uint32_t> out;
  const auto [local, domain] = mail::Address(address_key);
  if (message.originals == 0 || domain.empty()) return out;
  bool behind = false;
  for (std::uint32_t page = page_before(read, message, domain);
       std::uint64_t{page} * page_size < message.originals && !behind; ++page) {
    PageReader reader(page_of(read, message, page));
    for (std::uint32_t number = page * page_size; !behind && reader.next(); ++number) {
      behind = reader.domain > domain;
      if (reader.domain == domain && mail::same(local, reader.local)) out.push_back(number);
    }
  }
  return out;
}

void each_added(const Read& read, const MessageRow& message,
                const std::function<void(std::uint32_t, const RecipientRow&)>& f) {
  if (message.added == 0) return;
  const Key prefix = Key().u64(message.id);
  Cursor c = read.cursor(Table::recipient);
  for (bool more = c.seek(recipient_key(message.id, message.originals)); more && c.at(prefix);
       more = c.next()) {
    KeyReader key(c.key());
    key.u64();
    const auto number = key.u32();
    f(number, unpack_recipient(c.value(), c.key()));
  }
}

Numbers::Numbers(const Read& read, MessageRow& message, std::uint32_t first, std::uint32_t count)
    : message_(message),
      first_(first),
      count_(std::min(count, message.numbers() - std::min(first, message.numbers()))) {
  if (count_ == 0) return;
  const Key prefix = Key().u64(message.id);
  Cursor c = read.cursor(Table::recipient);
  for (bool more = c.seek(recipient_key(message.id, first)); more && c.at(prefix); more = c.next()) {
    KeyReader key(c.key());
    key.u64();
    const auto number = key.u32();
    if (number - first >= count_) break;
    rows_.emplace_hint(rows_.end(), number, unpack_recipient(c.value(), c.key()));
  }
  if (message.few || first >= message.originals) return;
  const std::uint32_t last = first + std::min(count_, message.originals - first) - 1;
  for (std::uint32_t block = first / block_bits; block <= last / block_bits; ++block) {
    Block& b = blocks_[block];
    b.bits = read.get(Table::done, done_key(message.id, block)).value_or("");
    // Its last size from the beginning: a value that keeps its size is overwritten in place.
    b.bits.resize((std::min(block_bits, message.originals - block * block_bits) + 7) / 8);
  }
}

bool Numbers::done(std::uint32_t number) const {
  if (number >= message_.originals) return false;
  if (message_.few) return message_.few_done >> number & 1;
  const auto block = blocks_.find(number / block_bits);
  if (block == blocks_.end()) return false;
  const std::uint32_t bit = number % block_bits;
  return static_cast<unsigned char>(block->second.bits[bit / 8]) >> (bit % 8) & 1;
}

const RecipientRow* Numbers::row(std::uint32_t number) const {
  const auto at = rows_.find(number);
  return at == rows_.end() ? nullptr : &at->second;
}

bool Numbers::finished(std::uint32_t number) const {
  const RecipientRow* r = row(number);
  return r ? !is_open(r->state) : done(number);
}

RecipientRow Numbers::row_or_new(std::uint32_t number) const {
  const RecipientRow* r = row(number);
  return r ? *r : RecipientRow{};
}

RecipientState Numbers::stored(std::uint32_t number) const {
  if (const RecipientRow* r = row(number)) return r->state;
  return done(number) ? RecipientState::delivered : RecipientState::queued;
}

bool Numbers::covered_at(std::uint32_t number, TimePoint due) const {
  if (number - first_ >= count_) return false;
  if (const RecipientRow* r = row(number)) return is_waiting(r->state) && r->next == due;
  return !done(number);
}

void Numbers::put(Write& write, std::uint32_t number, RecipientRow row) {
  put_recipient(write, message_.id, number, row);
  rows_.insert_or_assign(number, std::move(row));
}

void Numbers::set_done(std::uint32_t number) {
  if (message_.few) {
    message_.few_done |= std::uint64_t{1} << number;
    return;
  }
  Block& block = blocks_.at(number / block_bits);
  const std::uint32_t bit = number % block_bits;
  block.bits[bit / 8] = static_cast<char>(static_cast<unsigned char>(block.bits[bit / 8]) | 1u << (bit % 8));
  block.changed = true;
}

void Numbers::flush(Write& write) {
  for (auto& [number, block] : blocks_) {
    if (!block.changed) continue;
    write.put(Table::done, done_key(message_.id, number), block.bits);
    block.changed = false;
  }
}

std::optional<ClaimRow> covering_claim(const Read& read, Id message, const Numbers& numbers,
                                       std::uint32_t number) {
  for (ClaimRow& claim : claims_from(read, message, number - std::min(number, longest_claim - 1), number))
    if (number - claim.first < claim.count && numbers.covered_at(number, claim.due)) return std::move(claim);
  return std::nullopt;
}

RecipientState effective(const MessageRow& message, std::uint32_t number, RecipientState stored,
                         bool active) {
  if (!is_open(stored) || active) return stored;
  if (message.giving_up || message.state == MessageState::finished) return RecipientState::removed;
  if (message.state == MessageState::held && number >= message.held_from) return RecipientState::held;
  return stored;
}

}  // namespace spoold::store::spool
