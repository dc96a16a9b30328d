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

const smtp::DsnOfRecipient& Requests::of(std::uint32_t number) {
  if (!message_.requests || number >= message_.originals) return none_;
  const std::uint32_t page = number / page_size;
  if (page_ != page) {
    page_ = page;
    loaded_.clear();
    const auto value = read_.get(Table::request, Key().u64(message_.id).u32(page));
    if (!value) return none_;
    Unpacker u(*value, "request");
    while (!u.at_end()) {
      const std::uint32_t at = page * page_size + u.num32();
      smtp::DsnOfRecipient& dsn = loaded_[at];
      dsn.notify = u.u8();
      dsn.orcpt = u.text();
    }
  }
  const auto found = loaded_.find(number);
  return found == loaded_.end() ? none_ : found->second;
}

}  // namespace spoold::store::spool
