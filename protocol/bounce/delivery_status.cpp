#include "protocol/bounce/delivery_status.hpp"

#include <algorithm>

#include "protocol/bounce/address.hpp"
#include "protocol/bounce/notice.hpp"
#include "protocol/mail/ascii.hpp"
#include "protocol/mail/mailbox.hpp"

namespace spoold::bounce {
namespace {

constexpr std::size_t lines_at_most = 20000, fields_at_most = 4096, value_at_most = 2000;

/// A value of RFC 3464 2.1.2, "type; value": without the type, comments behind it kept.
std::string_view behind_type(std::string_view value) {
  const std::size_t semicolon = value.find(';');
  return mail::trim(semicolon == value.npos ? value : value.substr(semicolon + 1));
}

/// "rfc822; anne@example.net", "<anne@example.net>", "anne@example.net (Anne)". X.400 and the like: none.
std::string recipient(std::string_view value) {
  value = mail::trim(value);
  const std::size_t semicolon = value.find(';');
  if (semicolon != value.npos) {
    const std::string type = mail::lower(mail::trim(value.substr(0, semicolon)));
    const bool mail_type = type == "rfc822" || type == "utf-8" || type == "smtp" || type == "rfc-822";
    if (!mail_type && type.find('@') == type.npos) return {};
    if (mail_type) value = mail::trim(value.substr(semicolon + 1));
  }
  std::string address = value.find('<') != value.npos ? angle_address(value) : std::string();
  if (address.empty()) address = first_address(value);
  if (!address.empty()) return address;
  // Here, and only here, an address of one label is one: "anne@localhost" stands in a field for addresses.
  const std::string_view word = value.substr(0, value.find_first_of(" \t("));
  const auto mailbox = Mailbox::parse(word, Mailbox::Allow::utf8);
  return mailbox ? std::string(word) : std::string();
}

enum class Fate { unknown, fine, delayed, failed };

Fate fate_of(std::string_view action) {
  std::string word;
  for (const char c : action) {
    if (mail::is_alpha(c))
      word += mail::lower(c);
    else if (!word.empty())
      break;
  }
  if (word.starts_with("fail") || word.starts_with("error") || word == "expired" || word == "undeliverable" ||
      word == "rejected" || word == "bounced")
    return Fate::failed;
  if (word.starts_with("delay") || word == "deferred" || word == "warning") return Fate::delayed;
  if (word.starts_with("deliver") || word.starts_with("relay") || word.starts_with("expand") ||
      word == "success")
    return Fate::fine;
  return Fate::unknown;
}

smtp::EnhancedStatus status_in(std::string_view value) {
  value = mail::trim(value);
  const std::size_t begin = value.find_first_of("245");
  if (begin == value.npos) return {};
  const std::size_t end = value.find_first_not_of("0123456789.", begin);
  return smtp::EnhancedStatus::parse(value.substr(begin, end == value.npos ? end : end - begin))
      .value_or(smtp::EnhancedStatus{});
}

/// The fields of one recipient, as far as they were read.
struct Group {
  std::string original, final_one, actual, action, status, diagnostic, remote;

  bool named() const { return !original.empty() || !final_one.empty() || !actual.empty(); }
  bool whole() const { return named() && (!action.empty() || !status.empty()); }
  bool empty() const { return !named() && action.empty() && status.empty() && diagnostic.empty(); }
  /// The member for a field; nullptr: a field of no interest.
  std::string* at(std::string_view name) {
    if (name == "original-recipient") return &original;
    if (name == "final-recipient") return &final_one;
    if (name == "x-actual-recipient") return &actual;
    if (name == "action") return &action;
    if (name == "status") return &status;
    if (name == "diagnostic-code") return &diagnostic;
    if (name == "remote-mta") return &remote;
    return nullptr;
  }
};

void close(Group& group, StatusReport& report) {
  Group g = std::exchange(group, {});
  if (g.empty()) return;
  const smtp::EnhancedStatus status = status_in(g.status);
  Fate fate = fate_of(g.action);
  if (fate == Fate::unknown && g.named())
    fate = status.klass == 5   ? Fate::failed
           : status.klass == 4 ? Fate::delayed
           : status.klass == 2 ? Fate::fine
                               : fate;
  if (fate == Fate::unknown) return;
  report.recipients = true;
  if (fate == Fate::fine) return;
  std::string address;
  for (const std::string* value : {&g.original, &g.final_one, &g.actual})
    if (address.empty()) address = recipient(*value);
  if (address.empty()) {
    report.nameless = true;
    return;
  }
  if (report.failures.size() == failures_at_most) return;
  report.failures.push_back({std::move(address), fate == Fate::failed, status,
                             std::string(behind_type(g.diagnostic)), std::string(behind_type(g.remote))});
}

}  // namespace

Fields fields_of(std::string_view text) {
  Fields fields;
  for (const std::string_view line : lines_of(text, lines_at_most)) {
    if (fields.size() == fields_at_most) break;
    if (mail::trim(line).empty()) {
      fields.emplace_back();
      continue;
    }
    if (mail::is_space(line.front())) {  // folding (RFC 5322 2.2.3); behind a blank line it continues nothing
      if (!fields.empty() && !fields.back().first.empty() && fields.back().second.size() < value_at_most) {
        fields.back().second += ' ';
        fields.back().second += mail::trim(line).substr(0, value_at_most);
      }
      continue;
    }
    const std::size_t colon = line.find(':');
    if (colon == line.npos) continue;
    fields.emplace_back(mail::lower(mail::trim(line.substr(0, colon))),
                        std::string(mail::trim(line.substr(colon + 1)).substr(0, value_at_most)));
  }
  return fields;
}

StatusReport read_delivery_status(std::string_view text) {
  StatusReport report;
  Group group;
  bool gap = false;  // a blank line since the last field
  for (auto& [name, value] : fields_of(text)) {
    if (name.empty()) {
      gap = true;
      continue;
    }
    std::string* field = group.at(name);
    if (!field) continue;
    // A field that a recipient has once, again: the blank line before the next recipient is missing. An address behind a
    // blank line is the next recipient's; any other field may stand there because someone doubled the line ends.
    if (!field->empty() || (gap && group.whole() && name.ends_with("-recipient"))) close(group, report);
    gap = false;
    *group.at(name) = value.empty() ? " " : std::move(value);
  }
  close(group, report);
  return report;
}

}  // namespace spoold::bounce
