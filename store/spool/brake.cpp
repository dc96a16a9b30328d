#include "store/spool/brake.hpp"

#include "store/spool/rows.hpp"

namespace spoold::store::spool {

bool is_untouched(const Read& read, Id id) {
  const auto message = find_message(read, id);
  return message && message->state == MessageState::queued && message->generation == 0;
}

void each_failed(const Read& read, Id id, std::size_t rows, const std::function<void(const LastReply&)>& f) {
  if (rows == 0) return;
  read.each(Table::recipient, Key().u64(id), [&](std::string_view key, std::string_view value) {
    const RecipientRow row = unpack_recipient(value, key);
    if (row.state == RecipientState::failed && row.last) f(*row.last);
    return --rows > 0;
  });
}

}  // namespace spoold::store::spool
