#include "protocol/list/sender_forms.hpp"

#include <utility>

#include "protocol/mail/ascii.hpp"
#include "protocol/mail/mailbox.hpp"

namespace spoold::list {
namespace {

/// "anne=north.example" as an address; empty when it is none.
std::string member_of(std::string_view detail) {
  const std::size_t at = detail.rfind('=');
  if (at == detail.npos) return {};
  std::string address(detail);
  address[at] = '@';
  const auto mailbox = Mailbox::parse(address);
  return mailbox && mailbox->domain().find('.') != std::string::npos ? mailbox->text() : std::string();
}

struct Form {
  std::string_view list;    // local part
  std::string_view detail;  // where the member is; empty: nowhere
  CopyForm of = CopyForm::classic;
};

/// Behind "17-", "warn-COOKIE-" or "probe-COOKIE-": the member.
std::string_view behind_number(std::string_view detail) {
  for (const std::string_view word : {"warn-", "probe-", "receipt-"})
    if (mail::starts_with(detail, word)) detail.remove_prefix(word.size());
  const std::size_t dash = detail.find('-');
  return dash == detail.npos ? std::string_view() : detail.substr(dash + 1);
}

std::optional<Form> form_of(std::string_view local) {
  const std::string lower = mail::lower(local);
  if (const std::size_t at = lower.find("-bounces"); at != lower.npos && at > 0) {
    const std::string_view rest = local.substr(at + 8);
    if (rest.empty()) return Form{local.substr(0, at), {}};
    if (rest.front() == '+' || rest.front() == '-' || rest.front() == '=')
      return Form{local.substr(0, at), rest.substr(1)};
  }
  constexpr std::pair<std::string_view, CopyForm> numbered[] = {{"+bounces-", CopyForm::mlmmj},
                                                                {"-return-", CopyForm::ezmlm}};
  for (const auto& [word, of] : numbered)
    if (const std::size_t at = lower.find(word); at != lower.npos && at > 0)
      return Form{local.substr(0, at), behind_number(local.substr(at + word.size())), of};
  if (lower.starts_with("owner-")) {
    const std::size_t plus = local.find('+');
    if (plus != local.npos) return Form{local.substr(6, plus - 6), local.substr(plus + 1), CopyForm::xverp};
  }
  return std::nullopt;
}

/// Sympa: all lists of a host share "bounce".
std::optional<SenderOfCopy> sympa(std::string_view local, std::string_view domain) {
  if (!mail::starts_with(local, "bounce+")) return std::nullopt;
  const std::string_view detail = local.substr(7);
  const std::size_t at = detail.find("==a==");
  if (at == detail.npos) return std::nullopt;
  const std::string_view rest = detail.substr(at + 5);
  const std::size_t end = rest.find("==");
  if (end == rest.npos) return std::nullopt;
  const std::string_view name = rest.substr(end + 2, rest.find("==", end + 2) - (end + 2));
  const auto mailbox =
      Mailbox::parse(std::string(detail.substr(0, at)) + "@" + std::string(rest.substr(0, end)));
  if (!mailbox || name.empty()) return std::nullopt;
  return SenderOfCopy{mail::lower(name) + "@" + mail::lower(domain), mailbox->text(), CopyForm::sympa};
}

}  // namespace

std::optional<SenderOfCopy> sender_of_copy(std::string_view envelope_sender) {
  const auto mailbox = Mailbox::parse(envelope_sender);
  if (!mailbox) return std::nullopt;
  if (auto found = sympa(mailbox->local(), mailbox->domain())) return found;
  const auto form = form_of(mailbox->local());
  if (!form) return std::nullopt;
  return SenderOfCopy{mail::lower(form->list) + "@" + mailbox->domain(), member_of(form->detail), form->of};
}

}  // namespace spoold::list
