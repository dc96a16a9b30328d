#include "protocol/smtp/command.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "protocol/mail/ascii.hpp"
#include "protocol/mail/utf8.hpp"

namespace spoold::smtp {
namespace {

constexpr EnhancedStatus bad_argument{5, 5, 4};

using mail::same;
using mail::trim;

bool blank(char c) {
  return c == ' ' || c == '\t';
}

tl::unexpected<Reply> refuse(int code, EnhancedStatus enhanced, std::string text) {
  return tl::unexpected<Reply>(Reply{code, enhanced, std::move(text)});
}

// Echoes a peer's word in a reply: visible ASCII only, cut to 60 octets.
std::string shown(std::string_view text) {
  std::string out(text.substr(0, 60));
  for (char& c : out)
    if (c < ' ' || c > '~') c = '?';
  return out;
}

struct PathAndRest {
  std::string_view path;  // between < and >, source route removed
  std::string_view rest;  // parameters
};

// `FROM:<...> rest`. A space behind the colon is what many clients send; it harms nobody.
tl::expected<PathAndRest, Reply> split_path(std::string_view argument, std::string_view keyword,
                                            const char* usage) {
  if (argument.size() <= keyword.size() || !same(argument.substr(0, keyword.size()), keyword))
    return refuse(501, bad_argument, std::string("syntax: ") + usage);
  argument = trim(argument.substr(keyword.size()));
  if (argument.empty() || argument.front() != '<')
    return refuse(501, bad_argument,
                  std::string("the address must stand in angle brackets; syntax: ") + usage);
  bool quoted = false;
  std::size_t end = 1;
  for (; end < argument.size(); ++end) {
    const char c = argument[end];
    if (quoted && c == '\\') {
      ++end;
    } else if (c == '"') {
      quoted = !quoted;
    } else if (c == '>' && !quoted) {
      break;
    }
  }
  if (end >= argument.size())
    return refuse(501, bad_argument, std::string("no closing '>'; syntax: ") + usage);
  PathAndRest out{argument.substr(1, end - 1), argument.substr(end + 1)};
  if (!out.rest.empty() && !blank(out.rest.front()))
    return refuse(501, bad_argument, "a space must follow the '>' of the address");
  if (!out.path.empty() && out.path.front() == '@') {
    const auto colon = out.path.find(':');
    if (colon == std::string_view::npos) return refuse(501, bad_argument, "source route without ':'");
    out.path.remove_prefix(colon + 1);
    if (out.path.empty()) return refuse(501, bad_argument, "source route without an address");
  }
  return out;
}

// Some mobile carriers gave out local parts with dots at their ends or side by side. They are senders of real
// mail; what RFC 5321 has for such local parts are quotes.
std::optional<std::string> quoted_dots(std::string_view path) {
  const auto at = path.find('@');
  const std::string_view local = path.substr(0, at);
  const bool odd = local.starts_with('.') || local.ends_with('.') || local.find("..") != local.npos;
  if (at == path.npos || !odd) return std::nullopt;
  if (!std::all_of(local.begin(), local.end(), [](char c) { return c == '.' || mail::is_atext(c); }))
    return std::nullopt;
  return '"' + std::string(local) + '"' + std::string(path.substr(at));
}

/// `code`: of the refusal of an address that only SMTPUTF8 allows (RFC 6531 3.5).
tl::expected<Mailbox, Reply> parse_path(std::string_view path, bool utf8, int code,
                                        EnhancedStatus bad_address) {
  if (!utf8 && !mail::is_ascii(path))
    return refuse(code, {5, 6, 7}, "a non-ASCII address needs SMTPUTF8 at MAIL");
  auto mailbox = Mailbox::parse(path, utf8 ? Mailbox::Allow::utf8 : Mailbox::Allow::ascii);
  if (!mailbox) return refuse(501, bad_address, "bad address: " + mailbox.error());
  return *std::move(mailbox);
}

// Of a parameter without '='. Not the value of one that ends with it: that one is empty.
constexpr std::string_view no_value{};
bool has_value(std::string_view value) {
  return value.data() != nullptr;
}

// Calls `each(keyword, value)` until one answers with a Reply.
template <class Each>
std::optional<Reply> parameters(std::string_view rest, Each each) {
  for (rest = trim(rest); !rest.empty(); rest = trim(rest)) {
    const auto end = std::min(rest.find_first_of(" \t"), rest.size());
    const std::string_view word = rest.substr(0, end);
    rest.remove_prefix(end);
    const auto equals = word.find('=');
    const std::string_view value = equals == word.npos ? no_value : word.substr(equals + 1);
    if (std::optional<Reply> refused = each(word.substr(0, equals), value)) return refused;
  }
  return std::nullopt;
}

Reply unknown_parameter(std::string_view keyword) {
  return Reply{555, bad_argument, "parameter not recognized: " + shown(keyword)};
}

// SMTPUTF8, REQUIRETLS: a word without a value.
std::optional<Reply> word_parameter(bool& have, const char* keyword, std::string_view value) {
  if (has_value(value)) return Reply{501, bad_argument, std::string(keyword) + " takes no value"};
  if (std::exchange(have, true)) return Reply{501, bad_argument, std::string(keyword) + " given twice"};
  return std::nullopt;
}

// RFC 4954 section 5: a mailbox, or "<>", in xtext.
std::optional<Reply> auth_parameter(bool& have_auth, std::string_view value) {
  if (std::exchange(have_auth, true)) return Reply{501, bad_argument, "AUTH given twice"};
  const bool good = !value.empty() && value.size() <= 500 &&
                    std::all_of(value.begin(), value.end(), [](char c) { return c > ' ' && c <= '~'; });
  if (!good) return Reply{501, bad_argument, "AUTH must be an address in xtext, or <>"};
  return std::nullopt;
}

std::optional<Reply> mail_parameter(MailArgument& mail, bool& have_size, bool& have_body,
                                    std::string_view keyword, std::string_view value) {
  if (same(keyword, "size")) {
    if (std::exchange(have_size, true)) return Reply{501, bad_argument, "SIZE given twice"};
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), mail.size);
    if (value.empty() || value.size() > 20 || end != value.data() + value.size())
      return Reply{501, bad_argument, "SIZE must be a number of octets"};
    if (error == std::errc::result_out_of_range)
      mail.size = UINT64_MAX;  // 20 digits are allowed (RFC 1870 3)
    return std::nullopt;
  }
  if (same(keyword, "body")) {
    if (std::exchange(have_body, true)) return Reply{501, bad_argument, "BODY given twice"};
    if (same(value, "8bitmime")) {
      mail.eight_bit = true;
    } else if (same(value, "binarymime")) {
      mail.eight_bit = mail.binary = true;
    } else if (!same(value, "7bit")) {
      return Reply{501, bad_argument, "BODY must be 7BIT, 8BITMIME or BINARYMIME"};
    }
    return std::nullopt;
  }
  if (same(keyword, "smtputf8")) return word_parameter(mail.utf8, "SMTPUTF8", value);
  if (same(keyword, "requiretls")) return word_parameter(mail.require_tls, "REQUIRETLS", value);
  if (same(keyword, "ret")) return take_ret(mail.dsn, value);
  if (same(keyword, "envid")) return take_envid(mail.dsn, value);
  return unknown_parameter(keyword);
}

}  // namespace

Command split(std::string_view line) {
  static constexpr std::array<std::pair<std::string_view, Verb>, 18> verbs{{{"helo", Verb::helo},
                                                                            {"ehlo", Verb::ehlo},
                                                                            {"lhlo", Verb::lhlo},
                                                                            {"mail", Verb::mail},
                                                                            {"rcpt", Verb::rcpt},
                                                                            {"data", Verb::data},
                                                                            {"rset", Verb::rset},
                                                                            {"noop", Verb::noop},
                                                                            {"vrfy", Verb::vrfy},
                                                                            {"help", Verb::help},
                                                                            {"quit", Verb::quit},
                                                                            {"expn", Verb::elsewhere},
                                                                            {"starttls", Verb::starttls},
                                                                            {"auth", Verb::auth},
                                                                            {"bdat", Verb::bdat},
                                                                            {"etrn", Verb::elsewhere},
                                                                            {"turn", Verb::elsewhere},
                                                                            {"xclient", Verb::xclient}}};
  Command command;
  const auto end = std::min(line.find_first_of(" \t"), line.size());
  command.word = line.substr(0, end);
  command.argument = trim(line.substr(end));
  for (const auto& [name, verb] : verbs)
    if (same(command.word, name)) command.verb = verb;
  return command;
}

tl::expected<MailArgument, Reply> parse_mail(std::string_view argument, const PathRules& rules) {
  const auto split = split_path(argument, "from:", "MAIL FROM:<address>");
  if (!split) return tl::unexpected<Reply>(split.error());
  MailArgument mail;
  bool have_size = false, have_body = false, have_auth = false;
  // SMTPUTF8 stands behind the path that it is about.
  auto refused = parameters(split->rest, [&](std::string_view keyword, std::string_view value) {
    if (rules.auth && same(keyword, "auth")) return auth_parameter(have_auth, value);
    return mail_parameter(mail, have_size, have_body, keyword, value);
  });
  if (refused) return tl::unexpected<Reply>(*std::move(refused));
  if (mail.require_tls && !rules.tls)  // RFC 8689 2: only under TLS
    return refuse(530, {5, 7, 10}, "REQUIRETLS is offered under TLS only: STARTTLS first");
  if (!split->path.empty()) {
    const auto quoted = quoted_dots(split->path);
    auto mailbox = parse_path(quoted ? *quoted : split->path, mail.utf8, 550, {5, 1, 7});
    if (!mailbox) return tl::unexpected<Reply>(std::move(mailbox.error()));
    mail.reverse_path = *std::move(mailbox);
  }
  return mail;
}

tl::expected<RcptArgument, Reply> parse_rcpt(std::string_view argument, const PathRules& rules) {
  const auto split = split_path(argument, "to:", "RCPT TO:<address>");
  if (!split) return tl::unexpected<Reply>(split.error());
  RcptArgument rcpt;
  if (split->path.empty()) return refuse(501, {5, 1, 3}, "an empty address cannot receive mail");
  if (!same(split->path, "postmaster")) {
    auto mailbox = parse_path(split->path, rules.utf8, 553, {5, 1, 3});
    if (!mailbox) return tl::unexpected<Reply>(std::move(mailbox.error()));
    rcpt.forward_path = *std::move(mailbox);
  }
  auto refused = parameters(split->rest, [&](std::string_view keyword, std::string_view value) {
    if (same(keyword, "notify")) return take_notify(rcpt.dsn, value);
    if (same(keyword, "orcpt")) return take_orcpt(rcpt.dsn, value, rules.utf8);
    return std::optional<Reply>(unknown_parameter(keyword));
  });
  if (refused) return tl::unexpected<Reply>(*std::move(refused));
  return rcpt;
}

std::optional<Reply> vrfy_fault(std::string_view argument) {
  const auto space = argument.find_last_of(" \t");
  const std::string_view last = space == argument.npos ? std::string_view{} : argument.substr(space + 1);
  if (mail::starts_with(last, "smtputf8=")) return Reply{501, bad_argument, "SMTPUTF8 takes no value"};
  if (same(last, "smtputf8")) argument = trim(argument.substr(0, space));
  if (argument.empty()) return Reply{501, bad_argument, "VRFY needs an address"};
  if (!mail::is_utf8(argument)) return Reply{501, bad_argument, "the address is not valid UTF-8"};
  return std::nullopt;
}

tl::expected<BdatArgument, Reply> parse_bdat(std::string_view argument) {
  BdatArgument bdat;
  const std::string_view size = argument.substr(0, argument.find_first_of(" \t"));
  const std::string_view rest = trim(argument.substr(size.size()));
  const auto [end, error] = std::from_chars(size.data(), size.data() + size.size(), bdat.size);
  const bool number =
      !size.empty() && size.size() <= 20 && error == std::errc{} && end == size.data() + size.size();
  bdat.last = same(rest, "last");
  if (!number || (!rest.empty() && !bdat.last))
    return refuse(501, bad_argument, "syntax: BDAT octets [LAST]");
  return bdat;
}

tl::expected<std::string_view, Reply> parse_hello(std::string_view argument) {
  const std::string_view name = argument.substr(0, argument.find_first_of(" \t"));
  if (name.empty()) return refuse(501, bad_argument, "your host name is missing");
  if (name.size() > 255 || std::any_of(name.begin(), name.end(), [](char c) { return c <= ' ' || c > '~'; }))
    return refuse(501, bad_argument, "bad host name");
  return name;
}

}  // namespace spoold::smtp
