#include "server/office/bounces.hpp"

#include <algorithm>
#include <unordered_set>
#include <utility>

#include "protocol/bounce/complaint.hpp"
#include "protocol/bounce/event.hpp"
#include "protocol/list/addresses.hpp"
#include "protocol/list/verp.hpp"
#include "protocol/mail/ascii.hpp"
#include "server/office/replies.hpp"
#include "store/directory/scores.hpp"

namespace spoold::server {
namespace {

namespace directory = store::directory;
using directory::ScoreMember;

constexpr std::size_t most_said = 300;

std::string cut(std::string text) {
  if (text.size() > most_said) text.resize(most_said);
  return text;
}

/// The token in the reverse path of a probe of ours.
std::string token_in(const std::string& reverse_path, char delimiter) {
  const mail::Address address(reverse_path);
  const auto sub = list::sub_address(address.local, delimiter);
  return sub && sub->role == list::Role::bounces ? mail::lower(sub->detail) : std::string();
}

directory::Operation operation(std::string id, ScoreMember change) {
  return {std::move(id), "spoold", std::move(change)};
}

/// The first failure of the report that counts in full, else one that counts half.
std::optional<std::pair<bounce::Event, const bounce::Failure*>> worst(const bounce::Scan& scan,
                                                                      const smtp::ReplyTable& table,
                                                                      TimePoint at) {
  std::optional<std::pair<bounce::Event, const bounce::Failure*>> found;
  for (const bounce::Failure& failure : scan.failures)
    if (auto event = bounce::event_of(failure, table, at); event && (!found || found->first.soft))
      if (!found || !event->soft) found.emplace(std::move(*event), &failure);
  return found;
}

std::string said(const bounce::Failure& failure) {
  std::string text = failure.diagnostic.empty() ? failure.status.text() : failure.diagnostic;
  if (!failure.remote.empty()) text += " (" + failure.remote + ")";
  return cut(std::move(text));
}

ScoreMember failed(list::ListId list, std::string address, bounce::Event event, std::string said) {
  ScoreMember change;
  change.list = list;
  change.address = std::move(address);
  change.failure = std::move(event);
  change.said = std::move(said);
  return change;
}

/// Every copy has a reverse path that nobody else can write: what comes to another one is no answer to it.
bool proves_each_copy(const list::Settings& settings) {
  return settings.verp == list::Verp::always && settings.verp_format != list::VerpFormat::classic &&
         settings.verp_accept == 0;
}

}  // namespace

std::vector<directory::Operation> scores_of(const conf::Settings& settings, const store::Read& read,
                                            const store::spool::Failures& failures) {
  std::vector<directory::Operation> operations;
  const store::Message& message = failures.message;
  const std::string token =
      message.post == 0 ? token_in(message.reverse_path, settings.verp.delimiter) : std::string();
  const auto table = reply_table(settings);
  for (const store::spool::Failures::One& one : failures.all) {
    const bool expired = one.outcome.verdict == Verdict::expired;
    const LastReply& last = one.outcome.last;
    if (const auto probe = directory::probed(read, token)) {
      if (expired || (!last.reply.permanent() && last.stage != Stage::dns)) continue;
      ScoreMember change =
          failed(probe->list, probe->address, {last.at, false, {}}, cut(last.reply.oneline()));
      change.what = ScoreMember::What::probe;
      change.token = token;
      operations.push_back(operation("probe:" + token, std::move(change)));
      continue;
    }
    auto event = bounce::event_of(last, expired, one.outcome.alone, *table);
    if (!event) continue;
    operations.push_back(operation(
        "failed:" + store::id_text(message.id) + ":" + std::to_string(one.outcome.number),
        failed(message.list, mail::lower(one.address), std::move(*event), cut(last.reply.oneline()))));
  }
  return operations;
}

ReportRead read_report(const conf::Settings& settings, const store::Read& read, list::ListId list,
                       const std::string& member, std::string_view mail, TimePoint at) {
  ReportRead report;
  const bounce::Scan scan = bounce::scan(mail);
  if (scan.failures.empty() || scan.harmless) {
    report.to_owners = !scan.harmless;
    report.what = scan.harmless ? "nothing failed for good" : "not recognised";
    return report;
  }
  const auto table = reply_table(settings);
  if (!member.empty()) {
    if (auto found = worst(scan, *table, at))
      report.operations.push_back(
          operation(directory::new_operation_id(),
                    failed(list, member, std::move(found->first), said(*found->second))));
    else
      report.what = "does not count: " + said(scan.failures.front());
    return report;
  }
  // The report names whom it is about; each of them once.
  const auto found = directory::list(read, list);
  if (found && proves_each_copy(found->settings)) {
    report.what = "does not count: anybody can write to this address, and each copy had one of its own";
    return report;
  }
  std::unordered_set<std::string> seen;
  bool any = false;
  for (const bounce::Failure& failure : scan.failures) {
    const auto mailbox = Mailbox::parse(failure.address, Mailbox::Allow::utf8);
    if (!mailbox || !failure.permanent || !found || !directory::list_of_reader(read, *found, mailbox->key()))
      continue;
    any = true;
    if (auto event = bounce::event_of(failure, *table, at); event && seen.insert(mailbox->key()).second)
      report.operations.push_back(operation(directory::new_operation_id(),
                                            failed(list, mailbox->key(), std::move(*event), said(failure))));
  }
  if (report.operations.empty())
    report.what = any ? "does not count: " + said(scan.failures.front()) : "names no member";
  report.to_owners = !any;
  return report;
}

ReportRead read_probe_report(const store::Read& read, const std::string& token, std::string_view mail,
                             TimePoint at) {
  ReportRead report;
  const auto probe = directory::probed(read, token);
  const bounce::Scan scan = bounce::scan(mail);
  if (!probe || scan.harmless) {
    report.to_owners = true;
    report.what = "an answer to a probe that is no bounce";
    return report;
  }
  ScoreMember change = failed(probe->list, probe->address, {at, false, {}},
                              scan.failures.empty() ? std::string() : said(scan.failures.front()));
  change.what = ScoreMember::What::probe;
  change.token = token;
  report.operations.push_back(operation("probe:" + token, std::move(change)));
  return report;
}

namespace {

/// An envelope sender in the opaque or the signed form: the address book knows only those that were made here. The classic form is
/// one that anybody can write.
bool has_tag(const std::string& address, char delimiter) {
  const auto sub = list::sub_address(mail::Address(address).local, delimiter);
  return sub && list::has_tag(sub->detail);
}

/// Whose copy it is, by an address in it that only this server can have made.
std::optional<ComplaintRead> proven(const AddressBook& book, const store::Read& read,
                                    const bounce::Complaint& complaint, TimePoint now) {
  const auto member_of = [&](const smtp::Recipient& to,
                             const std::string& address) -> std::optional<ComplaintRead> {
    if (const auto* leave = std::get_if<smtp::to::Leave>(&to.to); leave && !leave->address.empty())
      return ComplaintRead{leave->list, leave->address, complaint.feedback_type};
    const auto* bounce = std::get_if<smtp::to::Bounce>(&to.to);
    if (!bounce || bounce->member.empty() || !has_tag(address, book.settings().verp.delimiter))
      return std::nullopt;
    return ComplaintRead{bounce->list, bounce->member, complaint.feedback_type};
  };
  for (const std::string& address : complaint.tagged) {
    const auto path = Mailbox::parse(address);
    if (!path) continue;
    const auto to = book.look_up(read, *path, {}, false, now);
    if (auto found = to ? member_of(*to, address) : std::nullopt) return found;
  }
  return std::nullopt;
}

/// The ids name the membership's state: any number of complaints do the same as one.
std::optional<directory::Operation> answer_to(const list::List& list, const list::Member& member) {
  const std::string id = std::to_string(list.id) + ":" + std::to_string(member.id);
  const std::string who = "a complaint";
  switch (list.settings.complaint) {
    case list::OnComplaint::tell:
      break;
    case list::OnComplaint::leave:
      return directory::Operation{"complaint:" + id, who, directory::Unsubscribe{list.id, {member.address}}};
    case list::OnComplaint::nomail:
      if (member.delivery == list::Delivery::nomail_by_user) break;
      directory::SetMember set;
      set.list = list.id;
      set.address = member.address;
      set.delivery = list::Delivery::nomail_by_user;
      return directory::Operation{directory::new_operation_id(), who, std::move(set)};
  }
  return std::nullopt;
}

}  // namespace

std::optional<ComplaintRead> read_complaint(const AddressBook& book, const store::Read& read,
                                            std::string_view mail, TimePoint now) {
  const auto complaint = bounce::scan_complaint(mail);
  if (!complaint || complaint->feedback_type == "not-spam") return std::nullopt;
  if (auto found = proven(book, read, *complaint, now)) {
    const auto list = directory::list(read, found->list);
    const auto member = directory::find_member(read, found->list, found->member);
    if (list && member) found->operation = answer_to(*list, *member);
    return found;
  }
  const mail::Address address(complaint->list);
  const auto member = Mailbox::parse(complaint->member, Mailbox::Allow::utf8);
  const auto list = directory::find_list(read, address.local, address.domain);
  if (!list || !member || !directory::find_member(read, list->id, member->key())) return std::nullopt;
  return ComplaintRead{list->id, member->key(), complaint->feedback_type};
}

}  // namespace spoold::server
