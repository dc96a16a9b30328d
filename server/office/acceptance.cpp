#include "server/office/acceptance.hpp"

#include <algorithm>
#include <span>
#include <unordered_map>
#include <unordered_set>

#include "protocol/list/moderator_reply.hpp"
#include "protocol/list/verp.hpp"
#include "protocol/mail/address_list.hpp"
#include "protocol/mail/ascii.hpp"
#include "protocol/mail/header.hpp"
#include "protocol/smtp/dsn.hpp"
#include "server/office/address_book.hpp"
#include "server/office/bounces.hpp"
#include "server/office/drafts.hpp"
#include "server/office/leaving.hpp"
#include "server/office/posting.hpp"
#include "server/office/refusals.hpp"
#include "server/office/report.hpp"
#include "server/office/requests.hpp"
#include "server/office/returned.hpp"
#include "server/office/senders.hpp"
#include "server/office/signing.hpp"
#include "store/directory/directory.hpp"
#include "store/store.hpp"
#include "store/txn.hpp"

namespace spoold::server {
namespace {

namespace to = smtp::to;
namespace directory = store::directory;

// What the parts of one acceptance share.
class Disposing {
 public:
  Disposing(const conf::Settings& settings, store::Store& store, Arrival arrival, const mail::Header& header)
      : settings_(settings),
        read_(store),
        arrival_(std::move(arrival)),
        header_(header),
        drafts_(settings, store, arrival_, header) {
    made_.acceptance.content = std::move(arrival_.content);
  }

  Disposition run() {
    const auto& recipients = arrival_.transaction.recipients;
    auto refusal = server::refusal(arrival_.transaction, header_, arrival_.header.size());
    if (!refusal && !arrival_.user.empty())
      refusal = author_refusal(read_, arrival_.user, settings_.submission.senders, header_);
    if (refusal) {
      made_.fates.assign(recipients.size(), Fate{std::move(refusal), {}});
      return std::move(made_);
    }
    // All fates first: where all are refused the reply says so, and nothing is kept or reported.
    for (const smtp::Recipient& recipient : recipients) made_.fates.push_back(fate_of(recipient));
    if (made_.unnumbered) return std::move(made_);
    if (made_.all_refused()) return std::move(made_);
    if (posting_) posting_->finish();
    if (made_.unnumbered) return std::move(made_);
    for (std::size_t i = 0; i < recipients.size(); ++i) {
      if (!made_.fates[i].refusal)
        succeeded(recipients[i]);
      else if (arrival_.one_reply)  // LMTP: its own reply has refused it
        refused(recipients[i], *made_.fates[i].refusal);
    }
    note_held();
    send_report();
    return std::move(made_);
  }

 private:
  // One function for each kind of address: without one for a new kind this does not compile.
  Fate fate_of(const smtp::Recipient& recipient) {
    const bool is_read = !recipient.is<to::Relay>() && !recipient.is<to::Alias>() &&
                         !recipient.is<to::Owners>() && !recipient.is<to::Leave>();
    if (arrival_.scanned.binary && is_read) return {no_binary(recipient.address), {}};
    return std::visit([&](const auto& to) { return fate_of(recipient, to); }, recipient.to);
  }
  Fate fate_of(const smtp::Recipient& recipient, const to::Relay&) {
    return {{}, plain({&recipient.address, 1}, dsn_of(recipient))};
  }
  Fate fate_of(const smtp::Recipient&, const to::Post& to) { return posting().post(to.list); }
  Fate fate_of(const smtp::Recipient& recipient, const to::Alias&) { return fate_of_led(recipient); }
  Fate fate_of(const smtp::Recipient& recipient, const to::Owners&) {
    (void)complained();
    if (was_delivered_to(header_, recipient.address)) return {loop_at(recipient.address), {}};
    const std::vector<std::string>& owners = behind_of(recipient).targets.addresses;
    if (!owners.empty() && but_the_author(owners).empty())
      return {smtp::Reply{550,
                          {5, 4, 6},
                          "nobody but you answers " + recipient.address + ": this would come back to you"},
              {}};
    return fate_of_led(recipient);
  }
  Fate fate_of(const smtp::Recipient& recipient, const to::Bounce& to) {
    if (const auto list = complained()) return to_owners(recipient, *list);
    std::string member = to.member;
    if (arrival_.returned != nullptr)
      if (auto refusal = forged(*arrival_.returned, recipient.address, member))
        return {std::move(refusal), {}};
    ReportRead report = read_report(settings_, read_, to.list, member, content(), arrival_.at);
    if (arrival_.returned != nullptr) note_authentic(report);
    return bounced(recipient, to.list, member, report);
  }
  Fate fate_of(const smtp::Recipient& recipient, const to::Probe& to) {
    return bounced(recipient, to.list, {}, read_probe_report(read_, to.token, content(), arrival_.at));
  }

  // What is asked of a list. Its operations and the letters that answer are one commit with the message.
  Fate fate_of(const smtp::Recipient&, const to::Command& to) {
    RequestRead request = read_request(read_, to,
                                       {.header = header_,
                                        .content = content(),
                                        .reverse_path = arrival_.transaction.reverse_path,
                                        .pace = arrival_.pace,
                                        .network = arrival_.network,
                                        .at = arrival_.at});
    if (request.refusal) return {std::move(request.refusal), {}};
    if (is_banned(to.list, request)) return {smtp::Reply{550, {5, 7, 1}, "you cannot join lists here"}, {}};
    for (const store::directory::Operation& one : request.operations)
      made_.acceptance.operations.push_back(store::directory::pack(one));
    return {};
  }
  // Whoever is banned may still leave, and ask for help.
  bool is_banned(list::ListId id, const RequestRead& request) const {
    const auto list = directory::list(read_, id);
    if (!list || arrival_.addresses == nullptr) return false;
    return std::ranges::any_of(request.operations, [&](const directory::Operation& one) {
      const auto* ask = std::get_if<directory::Ask>(&one.change);
      if (ask == nullptr || ask->what != list::What::join) return false;
      const auto mailbox = Mailbox::parse(ask->address, Mailbox::Allow::utf8);
      return mailbox && arrival_.addresses->is_banned(read_, *list, mailbox->key());
    });
  }
  Fate fate_of(const smtp::Recipient&, const to::Leave& to) {
    leave(to, arrival_, made_.acceptance);
    return {};
  }
  Fate fate_of(const smtp::Recipient&, const to::Moderation& to) {
    answered_by_mail(made_, read_, to, header_, content(), arrival_);
    return {};
  }

  // What is recognised is an operation, recorded with what it did. Anything else is noted, and what nobody here can read
  // goes to the owners too.
  Fate bounced(const smtp::Recipient& recipient, list::ListId list, const std::string& member,
               const ReportRead& report) {
    for (const store::directory::Operation& one : report.operations)
      made_.acceptance.operations.push_back(store::directory::pack(one));
    if (!report.operations.empty()) made_.acceptance.evidence = content().substr(0, 64 << 10);
    if (report.operations.empty()) {
      store::HistoryEvent event;
      event.at = arrival_.at;
      event.event = "bounce";
      event.list = list;
      event.address = member;
      event.detail = report.what + "; From: " + drafts_.from() + "; Subject: " + drafts_.subject();
      made_.acceptance.events.push_back(std::move(event));
    }
    const bool loop = was_delivered_to(header_, recipient.address);
    return report.to_owners && !loop ? to_owners(recipient, list) : Fate{};
  }

  Fate to_owners(const smtp::Recipient& recipient, list::ListId list) {
    smtp::Recipient owners = recipient;
    owners.to = to::Owners{{list}};
    return fate_of_led(owners);
  }

  // A complaint is recorded once, and reaches the owners whichever of these addresses it comes to.
  std::optional<list::ListId> complained() {
    if (complaint_) return *complaint_;
    complaint_.emplace();
    if (arrival_.addresses == nullptr) return *complaint_;
    auto complaint = read_complaint(*arrival_.addresses, read_, content(), arrival_.at);
    if (!complaint) return *complaint_;
    if (complaint->operation)
      made_.acceptance.operations.push_back(store::directory::pack(*complaint->operation));
    *complaint_ = complaint->list;
    store::HistoryEvent event;
    event.at = arrival_.at;
    event.event = "complaint";
    event.list = complaint->list;
    event.address = complaint->member;
    event.detail = complaint->what + "; From: " + drafts_.from() + "; Subject: " + drafts_.subject();
    made_.acceptance.events.push_back(std::move(event));
    return *complaint_;
  }

  // Of a content that is staged only the begin is at hand.
  std::string_view content() const {
    const auto& bytes = made_.acceptance.content.bytes;
    return bytes ? std::string_view(*bytes) : arrival_.header;
  }

  // Named again, or by another of its names: where it leads is followed once.
  Fate fate_of_led(const smtp::Recipient& recipient) {
    Behind& behind = behind_of(recipient);
    if (!behind.fate) behind.fate = fate_of(recipient, behind.targets);
    return *behind.fate;
  }

  // Without whoever wrote it: a program of an owner that answers all that it gets would answer itself for ever. Automatic mail of an
  // owner goes to no owner, as another one may have such a program, too.
  std::vector<std::string> but_the_author(const std::vector<std::string>& owners) const {
    std::vector<std::string> authors{key_of(arrival_.transaction.reverse_path)};
    if (const mail::Author author = mail::author(header_); author.address)
      authors.push_back(author.address->mailbox.key());
    std::vector<std::string> others;
    std::ranges::copy_if(owners, std::back_inserter(others), [&](const std::string& owner) {
      return std::ranges::find(authors, key_of(owner)) == authors.end();
    });
    if (others.size() < owners.size() && list::is_automatic(header_)) others.clear();
    return others;
  }

  struct Behind {
    AddressBook::Targets targets;
    std::optional<Fate> fate;
  };

  Behind& behind_of(const smtp::Recipient& recipient) {
    std::string key = mail::lower(recipient.address);
    if (const auto* owners = std::get_if<to::Owners>(&recipient.to)) {
      key = "owners";
      for (const list::ListId list : owners->lists) key.append(1, ' ').append(std::to_string(list));
    }
    const auto [at, first] = behind_.try_emplace(std::move(key));
    if (first && arrival_.addresses != nullptr)
      at->second.targets = arrival_.addresses->targets(read_, recipient);
    return at->second;
  }

  Fate fate_of(const smtp::Recipient& recipient, const AddressBook::Targets& targets) {
    if (targets.addresses.empty() && targets.lists.empty())  // since RCPT
      return {smtp::Reply{550, {5, 1, 6}, "nobody answers " + recipient.address + " now"}, {}};
    if (const auto* owners = std::get_if<to::Owners>(&recipient.to)) {
      const std::vector<std::string> others = but_the_author(targets.addresses);
      return {{},
              plain(others.empty() ? targets.addresses : others, {}, owners_sender(*owners, recipient),
                    recipient.address)};
    }
    Fate fate;
    if (!targets.addresses.empty()) fate.message = plain(targets.addresses, dsn_of(recipient));
    for (const list::ListId list : targets.lists) {
      Fate of_list = posting().post(list);
      // A list behind an alias may refuse while somebody else is reached: the alias has accepted then.
      if (of_list.message && !fate.message) fate.message = of_list.message;
      if (of_list.refusal && !fate.refusal) fate.refusal = std::move(of_list.refusal);
    }
    if (fate.message) fate.refusal.reset();
    return fate;
  }

  // The one reply is 250, so the sender learns of the rest by mail: in the same commit, and never at <>.
  void refused(const smtp::Recipient& recipient, const smtp::Reply& reply) {
    LastReply last;
    last.reply = reply;
    last.remote = settings_.hostname;
    last.at = arrival_.at;
    store::HistoryEvent event;
    event.at = arrival_.at;
    event.event = "failed";
    if (const auto* post = std::get_if<to::Post>(&recipient.to)) event.list = post->list;
    if (const auto* owners = std::get_if<to::Owners>(&recipient.to)) event.list = owners->lists.front();
    event.address = recipient.address;
    event.detail = reply.oneline();
    event.last = last;
    made_.acceptance.events.push_back(std::move(event));
    if (recipient.dsn.wants_failure())
      report_.recipients.push_back(
          {recipient.address, recipient.dsn.orcpt, smtp::DsnAction::failed, std::move(last), false});
  }

  // RFC 3461 5.2.7: what is delivered here for good, or goes on from here in other names, to a sender who
  // asked for it. Not for strangers: the sender's address is their word only, and whoever it belongs to would
  // get a report, with the stranger's header in it, for each message.
  void succeeded(const smtp::Recipient& recipient) {
    if (!recipient.dsn.wants_success() || recipient.is<to::Relay>() || sole_target(recipient)) return;
    if (!arrival_.may_relay && !by_member(recipient)) return;
    LastReply last;
    last.at = arrival_.at;
    report_.recipients.push_back(
        {recipient.address, recipient.dsn.orcpt,
         recipient.is<to::Alias>() ? smtp::DsnAction::expanded : smtp::DsnAction::delivered, std::move(last),
         false});
  }

  // A filter wants them to be held: `spoolctl release` lets them go.
  void note_held() {
    for (const store::NewMessage& one : made_.acceptance.messages) {
      if (one.message.state != store::MessageState::held) continue;
      store::HistoryEvent& event = made_.acceptance.events.emplace_back();
      event.at = arrival_.at;
      event.message = one.message.id;
      event.event = "held";
      event.detail = arrival_.quarantine;
    }
  }

  void send_report() {
    const smtp::Transaction& transaction = arrival_.transaction;
    if (report_.recipients.empty() || transaction.reverse_path.empty()) return;
    // A sender that is an alias or a list here: as in every report of ours.
    std::vector<std::string> to{transaction.reverse_path};
    if (arrival_.addresses != nullptr)
      to = arrival_.addresses->reported_to(read_, transaction.reverse_path, arrival_.at);
    if (to.empty()) return;
    report_.reporting_mta = settings_.hostname;
    report_.to = transaction.reverse_path;
    report_.queue_id = "here-" + unique_text(arrival_.at);  // what is refused never had an id
    report_.envid = transaction.dsn.envid;
    report_.original = arrival_.header;
    report_.arrived = report_.now = arrival_.at;
    store::NewMessage made = report_message(settings_, report_, std::move(to));
    made.message.require_tls = transaction.require_tls;  // RFC 8689 5
    sign_report(settings_, report_.original, made);
    made_.acceptance.messages.push_back(std::move(made));
  }

  // An alias with a single forwarding address: what was asked of reports goes on with the mail (5.2.7.2).
  bool sole_target(const smtp::Recipient& recipient) {
    if (!recipient.is<to::Alias>()) return false;
    const AddressBook::Targets& targets = behind_of(recipient).targets;
    return targets.addresses.size() == 1 && targets.lists.empty();
  }

  bool by_member(const smtp::Recipient& recipient) const {
    const auto* post = std::get_if<to::Post>(&recipient.to);
    return post != nullptr && posting_ && posting_->by_member(post->list);
  }

  // What is asked of reports on the mail to each target.
  smtp::DsnOfRecipient dsn_of(const smtp::Recipient& recipient) {
    smtp::DsnOfRecipient dsn = recipient.dsn;
    if (!arrival_.may_relay) dsn.notify = smtp::without_success(dsn.notify);
    if (!recipient.is<to::Alias>()) return dsn;
    // The sender knows the alias, not what is behind it: reports name it as the original recipient.
    if (dsn.orcpt.empty()) smtp::append_orcpt(dsn.orcpt, recipient.address);
    if (!sole_target(recipient)) dsn.notify = smtp::without_success(dsn.notify);
    return dsn;
  }

  // Mail to owners is sent on in the list's name, so that what bounces does not trouble the author; bounces
  // stay bounces, and what came to their address becomes one: no program answers it.
  std::string owners_sender(const to::Owners& owners, const smtp::Recipient& recipient) {
    if (arrival_.transaction.reverse_path.empty() || owners.lists.size() != 1)
      return arrival_.transaction.reverse_path;
    const auto sub = list::sub_address(mail::Address(recipient.address).local, settings_.verp.delimiter);
    if (sub && sub->role == list::Role::bounces) return {};
    const auto list = directory::list(read_, owners.lists.front());
    return list ? list::bounces_address(*list) : arrival_.transaction.reverse_path;
  }

  // `own_sender`: the mail goes on in another name than its sender's, without what he asked of reports, and says that it
  // came to the address `by`.
  std::size_t plain(std::span<const std::string> addresses, const smtp::DsnOfRecipient& dsn,
                    const std::optional<std::string>& own_sender = std::nullopt, const std::string& by = {}) {
    const std::string& reverse_path = own_sender ? *own_sender : arrival_.transaction.reverse_path;
    // One message for each reverse path. Posts are not joined: each has a header of its list's own.
    auto& messages = made_.acceptance.messages;
    std::size_t at = 0;
    while (at < messages.size() && (messages[at].message.list != 0 ||
                                    messages[at].message.reverse_path != reverse_path || came_by(at) != by))
      ++at;
    if (at == messages.size()) {
      store::NewMessage made = drafts_.message();
      made.message.reverse_path = reverse_path;
      if (!own_sender) made.message.dsn = arrival_.transaction.dsn;
      mail::Draft draft = drafts_.of(made);
      if (!by.empty()) draft.prepend(delivered_to(by));
      put(draft.outgoing(), made);
      drafts_.sign(made);
      if (!by.empty()) sent_on_[at] = by;
      messages.push_back(std::move(made));
    }
    // Mailbox texts: the domain is in lower case; what the local part's case means, its host decides.
    auto& recipients = messages[at].recipients;
    for (const std::string& address : addresses)
      if (is_new(at, recipients, address)) recipients.push_back(store::PlainRecipient{address, dsn});
    return at;
  }

  std::string_view came_by(std::size_t at) const {
    const auto known = sent_on_.find(at);
    return known == sent_on_.end() ? std::string_view() : known->second;
  }

  // Most mail is for one or a few: no table is made for them.
  bool is_new(std::size_t at, const std::vector<store::PlainRecipient>& recipients,
              const std::string& address) {
    if (recipients.size() < 16)
      return std::ranges::none_of(recipients, [&](const auto& known) { return known.address == address; });
    std::unordered_set<std::string>& known = known_[at];
    if (known.empty())
      for (const store::PlainRecipient& recipient : recipients) known.insert(recipient.address);
    return known.insert(address).second;
  }

  Posting& posting() {
    if (!posting_) posting_.emplace(settings_, read_, arrival_, header_, drafts_, made_);
    return *posting_;
  }

  const conf::Settings& settings_;
  const store::Read read_;
  Arrival arrival_;
  const mail::Header& header_;
  Drafts drafts_;
  Disposition made_;
  std::optional<Posting> posting_;
  smtp::Dsn report_;
  std::optional<std::optional<list::ListId>>
      complaint_;  // once asked: the list that the content is a complaint about
  std::unordered_map<std::string, Behind> behind_;  // by alias, or by the lists whose owners they are
  std::unordered_map<std::size_t, std::unordered_set<std::string>> known_;  // recipients, by message
  std::unordered_map<std::size_t, std::string>
      sent_on_;  // by message: the address that it came to, where it names it
};

}  // namespace

bool Disposition::all_refused() const {
  return std::all_of(fates.begin(), fates.end(), [](const Fate& fate) { return fate.refusal.has_value(); });
}

Disposition dispose(const conf::Settings& settings, store::Store& store, Arrival arrival) {
  const auto header = mail::Header::scan(arrival.header);
  if (!header) {
    Disposition refused;
    refused.fates.assign(
        arrival.transaction.recipients.size(),
        Fate{smtp::Reply{550, {5, 6, 0}, std::string("bad header: ") + mail::text(header.error())}, {}});
    return refused;
  }
  return Disposing(settings, store, std::move(arrival), *header).run();
}

}  // namespace spoold::server
