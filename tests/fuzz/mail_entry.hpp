// What the fuzzers of mail/ and list/ and the replay of their corpora run: any octets as a path, a message, a
// VERP detail, a file of members; each with what must hold whatever comes in.
#pragma once
#include <cstdlib>
#include <string>

#include "protocol/list/addresses.hpp"
#include "protocol/list/cook.hpp"
#include "protocol/list/import_file.hpp"
#include "protocol/list/moderator_reply.hpp"
#include "protocol/list/policy.hpp"
#include "protocol/list/verp.hpp"
#include "protocol/mail/address_list.hpp"
#include "protocol/mail/draft.hpp"

namespace spoold::tests {

inline void hold(bool holds) {
  if (!holds) std::abort();
}

/// What parses is written so that it parses to the same, within the limits of RFC 5321 4.5.3.1.
inline void fuzz_mailbox(std::string_view data) {
  auto mailbox = Mailbox::parse(data, Mailbox::Allow::utf8);
  if (!mailbox) return hold(!mailbox.error().empty());
  const std::string text = mailbox->text();
  hold(text.size() <= 254);
  auto again = Mailbox::parse(text, Mailbox::Allow::utf8);
  hold(again.has_value() && *again == *mailbox);
  auto lower = Mailbox::parse(mailbox->key(), Mailbox::Allow::utf8);
  hold(lower.has_value() && lower->key() == mailbox->key());
}

/// A header is never lost or doubled; what cook() makes is a whole header that the same list knows as its
/// own.
inline void fuzz_header(std::string_view data) {
  auto header = mail::Header::scan(data);
  if (!header) return;
  std::size_t octets = 0;
  for (const mail::Field& field : header->fields()) octets += field.raw.size();
  hold(octets <= header->end() && header->end() <= octets + 2);
  (void)mail::author(*header);
  (void)mail::mailboxes(*header, {"To", "Cc"});
  (void)mail::subject(*header);
  (void)mail::message_id(*header);
  list::List list;
  list.local = "test";
  list.domain = "lists.example";
  const mail::Scanned scanned = mail::scan(data);
  mail::Draft draft(*header, scanned);
  draft.prepend("Received: by us\r\n");
  // As it came, but for a mbox line and a blank line that was missing.
  const mail::Outgoing plain = draft.outgoing();
  hold(plain.size == plain.head.size() + (plain.body.empty() ? 0 : plain.body[0].length));
  hold(plain.body.empty() || plain.body[0].offset + plain.body[0].length == data.size());
  list::cook(draft, list, {.message_id = "<id@us>"});
  const mail::Outgoing out = draft.outgoing();
  const std::string& cooked = out.head;
  const std::string whole = cooked + std::string(out.body.empty() ? "" : data.substr(out.body[0].offset));
  const mail::Octets true_of = mail::octets_of(whole);
  hold(whole.size() == out.size && out.octets.eight_bit >= true_of.eight_bit);
  hold(out.octets.leading_dots >= true_of.leading_dots);
  auto again = mail::Header::scan(cooked, {1 << 20, 1 << 16});
  hold(again.has_value() && again->complete() && again->end() == cooked.size());
  hold(again->count("List-Id") == 1 && again->count("Precedence") == 1 && again->count("Bcc") == 0);
  const list::MemberOf everybody = [](const std::string&) { return list::Membership{}; };
  hold(list::judge(list, list::Rules(), {*again, "a@b", 1}, everybody).refusal.has_value());
}

/// Rules of a list, and a moderator's answer: what is printed reads as the same, and no expression takes long.
inline void fuzz_rules(std::string_view data) {
  std::vector<std::string> faults;
  const std::string senders = list::print_address_patterns(list::read_address_patterns(data, faults));
  hold(list::print_address_patterns(list::read_address_patterns(senders, faults)) == senders);
  const std::string rules = list::print_header_rules(list::read_header_rules(data, faults));
  hold(list::print_header_rules(list::read_header_rules(rules, faults)) == rules);
  list::RuleTexts texts;
  texts.bans = data;
  texts.header_rules = data;
  const list::Rules compiled(texts);
  (void)compiled.bans.match("user@host.example");
  if (const auto header = mail::Header::scan(data)) (void)compiled.first(*header);
  if (const auto reply = list::moderator_reply(data)) hold(reply->reason.find('\n') == std::string::npos);
}

/// A classic form that is read is written the same way again.
inline void fuzz_verp(std::string_view data) {
  const list::Hmac hmac = [](std::string_view) { return std::array<std::uint8_t, 32>{1, 2, 3, 4, 5, 6, 7}; };
  if (auto sub = list::sub_address(data, '+')) hold(sub->list.size() <= data.size());
  auto decoded = list::decode_verp(data, 700, hmac);
  if (!decoded || decoded->kind != list::DecodedVerp::Kind::classic) return;
  list::List list;
  list.local = "t";
  list.domain = "l";
  std::string path;
  list::VerpEncoder(list, list::VerpFormat::classic, '+', 700, hmac).append(path, decoded->address, 5);
  auto mailbox = Mailbox::parse(path);
  hold(mailbox.has_value());
  auto sub = list::sub_address(mailbox->local(), '+');
  hold(sub && sub->role == list::Role::bounces && sub->list == "t");
  auto again = list::decode_verp(sub->detail, 700, hmac);
  hold(again.has_value());
  if (again->kind == list::DecodedVerp::Kind::classic)
    hold(again->address == decoded->address);
  else
    hold(again->kind == list::DecodedVerp::Kind::opaque && again->member == 5);
}

inline void fuzz_import_file(std::string_view data) {
  auto file = list::read_import_file(data);
  if (!file) return hold(!file.error().empty());
  for (const list::Member& member : file->members)
    hold(Mailbox::parse(member.address, Mailbox::Allow::utf8).has_value());
}

}  // namespace spoold::tests
