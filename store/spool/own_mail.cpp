#include "store/spool/own_mail.hpp"

#include <algorithm>

#include "store/spool/spool.hpp"

namespace spoold::store::spool {
namespace {

constexpr std::uint32_t most_recipients = 1000;

bool without_content(const HeadRow& row) {
  return std::ranges::all_of(row.body, [](const Splice& piece) { return piece.length == 0; });
}

}  // namespace

bool keeps_its_text(const Read& read, const Message& message) {
  if (message.list == 0 || message.post != 0) return false;
  const auto row = find_head(read, message.id);
  return row && without_content(*row);
}

Result<NewMessage> own_mail(const Read& read, Id id) {
  const auto message = spool::message(read, id);
  if (!message) return fail(Error::Kind::not_found, "there is no message " + id_text(id));
  if (message->list == 0 || message->post != 0)
    return fail(Error::Kind::conflict,
                id_text(id) + " is no mail that a list itself has sent: a confirmation, a notice, a probe");
  auto row = find_head(read, id);
  if (!row || !without_content(*row))
    return fail(Error::Kind::conflict,
                "the text of " + id_text(id) + " is gone: only the letters of a list are kept");
  NewMessage made;
  Message& m = made.message;
  m.reverse_path = message->reverse_path;
  m.list = message->list;
  m.list_address = message->list_address;
  m.copies = message->copies;
  m.verp_format = message->verp_format;
  m.eight_bit = message->eight_bit;
  m.leading_dots = message->leading_dots;
  m.personal = message->personal;
  m.utf8 = message->utf8;
  m.require_tls = message->require_tls;
  m.from = message->from;
  m.subject = message->subject;
  m.message_id = message->message_id;
  made.head = std::move(row->head);
  made.body = std::move(row->body);
  for (Recipient& one : recipients(read, id, 0, most_recipients))
    made.recipients.push_back({std::move(one.address), {}, one.member});
  return made;
}

}  // namespace spoold::store::spool
