#include "store/spool/request.hpp"

#include "store/spool/numbers.hpp"

namespace spoold::store::spool {

void RequestWriter::add(std::uint32_t number, const smtp::DsnOfRecipient& dsn) {
  if (!dsn.given()) return;
  any_ = true;
  packed_.num(number % page_size).u8(dsn.notify).str(dsn.orcpt);
}

void RequestWriter::put(Write& write, Id message, std::uint32_t number) {
  if (packed_.size() == 0) return;
  write.put(Table::request, Key().u64(message).u32(number / page_size), packed_.bytes());
  packed_.clear();
}

RequestsOfPage unpack_requests(std::string_view key, std::string_view value) {
  KeyReader k(key);
  k.u64();
  const std::uint32_t first = k.u32() * page_size;
  RequestsOfPage requests;
  for (Unpacker u(value, "request", key); !u.at_end();) {
    smtp::DsnOfRecipient& dsn = requests[first + u.num32()];
    dsn.notify = u.u8();
    dsn.orcpt = u.text();
  }
  return requests;
}

const smtp::DsnOfRecipient& Requests::of(std::uint32_t number) {
  if (!message_.requests || number >= message_.originals) return none_;
  const std::uint32_t page = number / page_size;
  if (page_ != page) {
    page_ = page;
    loaded_.clear();
    const Key key = Key().u64(message_.id).u32(page);
    if (const auto value = read_.get(Table::request, key)) loaded_ = unpack_requests(key, *value);
  }
  const auto found = loaded_.find(number);
  return found == loaded_.end() ? none_ : found->second;
}

}  // namespace spoold::store::spool
