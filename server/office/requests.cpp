#include "server/office/requests.hpp"

#include <algorithm>

#include "protocol/bounce/scan.hpp"
#include "protocol/list/moderator_reply.hpp"
#include "protocol/mail/address_list.hpp"
#include "protocol/mail/ascii.hpp"
#include "protocol/mime/transfer.hpp"
#include "store/directory/asked.hpp"
#include "store/directory/persons.hpp"

namespace spoold::server {
namespace {

namespace directory = store::directory;

smtp::Reply refusal(int code, smtp::EnhancedStatus enhanced, std::string text) {
  return {code, enhanced, std::move(text)};
}

list::Role role_of(const smtp::to::Command& to) {
  for (const list::Role role : {list::Role::join, list::Role::leave, list::Role::confirm})
    if (to.role == list::text(role)) return role;
  return list::Role::request;
}

/// The first line of what the owners of the list answered says no.
bool says_no(const RequestMail& mail) {
  for (const list::Wish& wish : list::wishes(list::Role::request, {}, mail.header, mail.content))
    if (wish.what == list::What::unknown) {
      const std::string word = mail::lower(wish.words.substr(0, wish.words.find(' ')));
      return word == "refuse" || word == "reject" || word == "no" || word == "discard";
    }
  return false;
}

std::string name_of(const mail::NameAddr& author) {
  const std::string name = mime::decoded_words(author.name, 200);
  return list::member_name_fault(name) ? std::string() : name;
}

list::Decision decision_of(const store::Read& read, const list::List& list, const directory::Ask& ask,
                           bool member, TimePoint now) {
  const auto mailbox = Mailbox::parse(ask.address, Mailbox::Allow::utf8);
  const std::string key = mailbox ? mailbox->key() : std::string();
  return list::answer_to(list.settings, {ask.what, member, list::is_owner(list.settings, key)},
                         directory::asked_of(read, list.id, key, ask.what), now);
}

/// Counts what would lead to a letter with a token. A reply: it comes too fast.
std::optional<smtp::Reply> too_fast(const store::Read& read, const directory::Ask& ask,
                                    const RequestMail& mail) {
  const auto list = directory::list(read, ask.list);
  const auto mailbox = Mailbox::parse(ask.address, Mailbox::Allow::utf8);
  if (mail.pace == nullptr || !list || !mailbox) return std::nullopt;
  const bool member = directory::find_member_or_person(read, list->id, mailbox->key()).has_value();
  if (!decision_of(read, *list, ask, member, mail.at).with_token()) return std::nullopt;
  const auto wait = mail.pace->wait(mail.network, list->id, mail.at);
  if (!wait) return std::nullopt;
  return refusal(451, {4, 7, 1},
                 "too many requests that nobody has confirmed; try again in " +
                     std::to_string(std::chrono::ceil<std::chrono::seconds>(*wait).count()) + " s");
}

directory::Operation operation(const std::string& who, directory::Change change) {
  return {directory::new_operation_id(), who, std::move(change)};
}

}  // namespace

RequestRead read_request(const store::Read& read, const smtp::to::Command& to, const RequestMail& mail) {
  RequestRead made;
  if (to.undelivered) {
    // The letter with the token did not arrive: nobody can send it back. Other reports about it mean nothing.
    const bounce::Scan scan = bounce::scan(mail.content);
    const auto row = directory::asked_by_token(read, to.token);
    if (row && row->asked.answer == list::Answer::confirm && !scan.failures.empty() && !scan.harmless)
      made.operations.push_back(operation("spoold", directory::Redeem{.token = to.token, .refuse = true}));
    return made;
  }
  if (mail.reverse_path.empty() || list::is_automatic(mail.header)) {
    made.refusal = refusal(550, {5, 7, 1}, "automatic mail is not answered here");
    return made;
  }
  const mail::Author author = mail::author(mail.header);
  if (!author.address) {
    made.refusal =
        refusal(550, {5, 6, 0}, "the message has no From with one address, so nobody can be answered");
    return made;
  }
  const std::string from = author.address->mailbox.text();
  for (const list::Wish& wish : list::wishes(role_of(to), to.token, mail.header, mail.content)) {
    if (wish.what == list::What::confirm) {
      const auto row = directory::asked_by_token(read, wish.words);
      if (row && row->list == to.list) {
        directory::Redeem redeem{.token = wish.words};
        if (mail.pace != nullptr) mail.pace->confirmed(mail.network, to.list, mail.at);
        redeem.refuse = row->asked.answer == list::Answer::moderate && says_no(mail);
        made.operations.push_back(operation(from, std::move(redeem)));
        continue;
      }
    }
    directory::Ask ask;
    ask.list = to.list;
    ask.what = wish.what == list::What::confirm ? list::What::unknown : wish.what;
    ask.address = from;
    ask.name = name_of(*author.address);
    ask.delivery = wish.delivery;
    ask.preferences = wish.preferences;
    ask.words = wish.what == list::What::confirm ? "confirm" : wish.words;
    if (auto refusal = too_fast(read, ask, mail)) {
      made.operations.clear();
      made.refusal = std::move(refusal);
      return made;
    }
    made.operations.push_back(operation(from, std::move(ask)));
  }
  return made;
}

std::vector<WouldDo> would_do(const store::Read& read, const smtp::to::Command& to, const RequestMail& mail,
                              TimePoint now) {
  std::vector<WouldDo> all;
  const RequestRead request = read_request(read, to, mail);
  if (request.refusal) return {{to.role, {}, "refused", request.refusal->oneline()}};
  const auto list = directory::list(read, to.list);
  if (!list) return {};
  const auto is_member = [&](const std::string& address) {
    const auto mailbox = Mailbox::parse(address, Mailbox::Allow::utf8);
    return mailbox && directory::find_member_or_person(read, to.list, mailbox->key()).has_value();
  };
  for (const directory::Operation& one : request.operations) {
    if (const auto* ask = std::get_if<directory::Ask>(&one.change)) {
      const bool member = is_member(ask->address);
      const auto decision = decision_of(read, *list, *ask, member, now);
      all.push_back({list::text(ask->what), ask->address, list::text(decision.answer),
                     decision.answer == list::Answer::silence
                         ? "a letter about this went out lately"
                         : ask->address + (member ? " is a member" : " is no member")});
    } else if (const auto* redeem = std::get_if<directory::Redeem>(&one.change)) {
      const auto row = directory::asked_by_token(read, redeem->token);
      const auto decision =
          list::answer_to_token(list->settings, row->asked, is_member(row->asked.member_address()), now);
      all.push_back({"confirm", row->asked.address,
                     list::text(redeem->refuse ? list::Answer::refused : decision.answer),
                     std::string("the token stands for ") + list::text(row->asked.what)});
    }
  }
  return all;
}

}  // namespace spoold::server
