#include "server/office/brake.hpp"

#include <map>
#include <utility>

#include "protocol/list/brake.hpp"
#include "protocol/list/verp.hpp"
#include "protocol/mail/utf8.hpp"
#include "server/office/own_mail.hpp"
#include "server/office/replies.hpp"
#include "store/directory/directory.hpp"
#include "store/spool/brake.hpp"
#include "store/txn.hpp"

namespace spoold::server {
namespace {

/// Failed and deferred ones: more are not looked at, whatever a list has.
constexpr std::size_t most_rows = 20'000;

constexpr std::size_t most_said = 300;

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
  const auto table = reply_table(book.settings());
  store::spool::each_failed(read, post.id, most_rows, [&](const LastReply& last) {
    const std::string name =
        last.stage == Stage::dns
            ? "dns"
            : std::string(conf::text(table->classify(last.reply, smtp::host_in(last.remote)).action));
    Reason& reason = reasons[name];
    ++reason.failed;
    if (reason.example.empty()) reason.example = mail::utf8_front(last.reply.oneline(), most_said);
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
    const auto text = [](const std::string& said) {
      return mail::is_utf8(said) ? said : std::string("(words that are no UTF-8 text)");
    };
    const auto letter = letter_named(book.settings(), *list, "braked",
                                     {{"post_id", id},
                                      {"post_subject", text(post.subject)},
                                      {"count", std::to_string(reason.failed)},
                                      {"most", std::to_string(outcomes)},
                                      {"cause", name},
                                      {"limit", list::print_brake(rules)},
                                      {"words", text(reason.example)},
                                      {"waiting", std::to_string(post.counts.open())}});
    if (owners.empty() || !letter) return made;
    store::NewMessage mail = own_mail(book.settings(), *list,
                                      {.to = list::owner_address(*list),
                                       .from = list::bounces_address(*list),
                                       .subject = letter->subject,
                                       .at = failures.all.front().outcome.last.at});
    address_to_all(mail, *list, std::move(owners));
    add_text(book.settings(), mail, letter->text);
    made.content.bytes = std::make_shared<const std::string>();
    made.messages.push_back(std::move(mail));
    return made;
  }
  return std::nullopt;
}

}  // namespace spoold::server
