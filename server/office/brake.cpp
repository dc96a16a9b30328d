#include "server/office/brake.hpp"

#include <map>
#include <utility>

#include "protocol/list/brake.hpp"
#include "protocol/list/verp.hpp"
#include "protocol/mail/utf8.hpp"
#include "server/office/bounces.hpp"
#include "server/office/own_mail.hpp"
#include "store/directory/directory.hpp"
#include "store/spool/brake.hpp"
#include "store/txn.hpp"

namespace spoold::server {
namespace {

/// Failed and deferred ones: more are not looked at, whatever a list has.
constexpr std::size_t most_rows = 20'000;

std::string one_line(std::string text) {
  for (char& c : text)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  if (text.size() > 300) text.resize(300);
  return mail::is_utf8_text(text) ? text : "(words that are no UTF-8 text)";
}

struct Reason {
  std::uint64_t failed = 0;
  std::string example;
};

}  // namespace

std::optional<store::Acceptance> brake_of(const AddressBook& book, const store::Read& read,
                                          const store::spool::Failures& failures) {
  const store::Message& post = failures.message;
  if (post.post == 0) return std::nullopt;
  const auto list = store::directory::list(read, post.list);
  if (!list || list->settings.brake.of == 0) return std::nullopt;
  const list::BrakeRules& rules = list->settings.brake;
  const std::uint64_t outcomes =
                          std::uint64_t{post.counts.delivered} + post.counts.failed + post.counts.expired,
                      before = outcomes - std::min<std::uint64_t>(outcomes, failures.all.size());
  // Without looking at replies: too few have failed, or the first ones are through.
  if (!list::brakes(rules, before, post.counts.failed) || post.counts.open() == 0 ||
      !store::spool::is_untouched(read, post.id))
    return std::nullopt;
  std::map<std::string, Reason> reasons;
  store::spool::each_failed(read, post.id, most_rows, [&](const LastReply& last) {
    const std::string host = last.remote.substr(0, last.remote.find_first_of("[: "));
    const std::string name = last.stage == Stage::dns
                                 ? "dns"
                                 : std::string(conf::text(reply_table().classify(last.reply, host).action));
    Reason& reason = reasons[name];
    ++reason.failed;
    if (reason.example.empty()) reason.example = one_line(last.reply.oneline());
  });
  for (const auto& [name, reason] : reasons) {
    if (!list::brakes(rules, before, reason.failed)) continue;
    store::Acceptance made;
    const std::string id = store::id_text(post.id), why = std::to_string(reason.failed) + " of the first " +
                                                          std::to_string(outcomes) +
                                                          " recipients failed for one reason (" + name + ")";
    store::HistoryEvent event;
    event.at = failures.all.front().outcome.last.at;
    event.message = post.id;
    event.event = "held";
    event.who = "brake";
    event.list = post.list;
    event.detail = list::print_brake(rules) + ": " + why + ": " + reason.example;
    made.events.push_back(std::move(event));
    std::vector<std::string> owners = book.owners_of(read, list->id);
    if (owners.empty()) return made;
    store::NewMessage mail =
        own_mail(book.settings(), *list,
                 {.to = list::owner_address(*list),
                  .from = list::bounces_address(*list),
                  .subject = "A post to " + list->address() + " is held: too many copies fail",
                  .at = failures.all.front().outcome.last.at});
    address_to_all(mail, *list, std::move(owners));
    add_text(book.settings(), mail,
             "The post " + id + " to " + list->address() + " is held: " + why +
                 ".\r\nThe limit of the list is " + list::print_brake(rules) +
                 " (setting \"brake\").\r\n\r\nSubject of the post: " + one_line(post.subject) +
                 "\r\nAn answer of a next hop:\r\n\r\n    " + reason.example + "\r\n\r\nStill to get it: " +
                 std::to_string(post.counts.open()) + " recipients. `spoolctl show " + id +
                 "` shows what was answered to whom,\r\n`spoolctl release " + id +
                 "` sends the post on, `spoolctl remove " + id + "` gives it up.\r\n");
    made.content.bytes = std::make_shared<const std::string>();
    made.messages.push_back(std::move(mail));
    return made;
  }
  return std::nullopt;
}

}  // namespace spoold::server
