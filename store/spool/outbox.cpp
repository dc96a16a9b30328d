#include "store/spool/outbox.hpp"

#include "store/key.hpp"

namespace spoold::store::spool {

void put_outbox(Write& write, std::string_view operation) {
  std::uint64_t last = 0;
  {
    Cursor cursor = write.cursor(Table::outbox);
    if (cursor.last()) last = KeyReader(cursor.key()).u64();
  }
  write.append(Table::outbox, Key().u64(last + 1), operation);
}

std::optional<OutboxRow> take_outbox(Write& write) {
  Cursor cursor = write.cursor(Table::outbox);
  if (!cursor.first()) return std::nullopt;
  OutboxRow row{KeyReader(cursor.key()).u64(), std::string(cursor.value())};
  cursor.del(write);
  return row;
}

}  // namespace spoold::store::spool
