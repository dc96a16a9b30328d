#include "protocol/auth/spf.hpp"

#include <algorithm>

#include "protocol/mail/ascii.hpp"
#include "protocol/mail/mailbox.hpp"

namespace spoold::auth {
namespace {

using Status = dns::Answer::Status;

SpfResult result_of(char qualifier) {
  switch (qualifier) {
    case '-':
      return SpfResult::fail;
    case '~':
      return SpfResult::softfail;
    case '?':
      return SpfResult::neutral;
    default:
      return SpfResult::pass;
  }
}

bool within_network(const dns::Address& client, const dns::Address& network, int bits) {
  for (std::size_t i = 0; bits > 0; ++i, bits -= 8) {
    const unsigned differs = client.octets[i] ^ network.octets[i];
    if (bits >= 8 ? differs != 0 : (differs >> (8 - bits)) != 0) return false;
  }
  return true;
}

/// A name that can be asked for and has more than one label (RFC 7208 4.3).
bool is_mail_domain(std::string_view domain) {
  return is_name(domain) && domain.find('.') != std::string_view::npos && mail::is_ascii(domain) &&
         domain.find_first_of(" \t[]<>@") == std::string_view::npos;
}

std::string percent_encoded(std::string_view text) {
  constexpr const char* digits = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    if (mail::is_alpha(c) || mail::is_digit(c) ||
        std::string_view("-._~").find(c) != std::string_view::npos) {
      out += c;
    } else {
      const auto octet = static_cast<unsigned char>(c);
      ((out += '%') += digits[octet >> 4]) += digits[octet & 15];
    }
  }
  return out;
}

/// Splits, reverses, keeps the rightmost parts, joins with dots (7.1, 7.3).
std::string transformed(const std::string& value, const MacroPart& part) {
  const std::string_view delimiters = part.delimiters.empty() ? std::string_view(".") : part.delimiters;
  std::vector<std::string_view> pieces;
  for (std::size_t begin = 0; begin <= value.size();) {
    const auto end = std::min(value.find_first_of(delimiters, begin), value.size());
    pieces.push_back(std::string_view(value).substr(begin, end - begin));
    begin = end + 1;
  }
  if (part.reverse) std::reverse(pieces.begin(), pieces.end());
  const std::size_t skip = part.keep == 0 || part.keep > pieces.size() ? 0 : pieces.size() - part.keep;
  std::string out;
  for (std::size_t i = skip; i < pieces.size(); ++i) {
    if (i > skip) out += '.';
    out += pieces[i];
  }
  return out;
}

/// %{i}: an IPv4 address, or nibbles with dots between them (7.4 writes them in capitals).
std::string dotted(const dns::Address& client) {
  if (!client.v6) return dns::text(client);
  std::string nibbles = dns::reversed(client);
  std::reverse(nibbles.begin(), nibbles.end());
  for (char& c : nibbles)
    if (c >= 'a') c = static_cast<char>(c - 'a' + 'A');
  return nibbles;
}

}  // namespace

const char* text(SpfResult result) {
  constexpr const char* names[] = {"none", "neutral", "pass", "fail", "softfail", "temperror", "permerror"};
  return names[static_cast<std::size_t>(result)];
}

SpfCheck::SpfCheck(SpfQuery query) : query_(std::move(query)) {
  query_.client = dns::unmapped(query_.client);
  address_type_ = query_.client.v6 ? dns::Type::aaaa : dns::Type::a;
  const std::string& from = query_.mail_from;
  const auto at = from.rfind('@');
  sender_domain_ = from.empty() ? query_.helo : from.substr(at == std::string::npos ? 0 : at + 1);
  local_ = at == std::string::npos ? std::string() : from.substr(0, at);
  if (local_.empty()) local_ = "postmaster";  // 4.3
  sender_ = local_ + "@" + sender_domain_;
  verdict_.domain = as_name(sender_domain_);
  if (!is_mail_domain(verdict_.domain)) {
    finish(SpfResult::none, "'" + printable(sender_domain_) + "' is no domain of mail");
    return;
  }
  frames_.push_back({verdict_.domain, std::nullopt});
  run();
}

void SpfCheck::answered(const dns::Question& question, dns::Answer answer) {
  if (lookups_.answered(question, std::move(answer)) && !done_) run();
}

void SpfCheck::run() {
  while (!done_ && !lookups_.owed()) explaining_ ? explain() : step();
}

void SpfCheck::finish(SpfResult result, std::string problem) {
  verdict_.result = result;
  verdict_.problem = std::move(problem);
  if (result == SpfResult::temperror || result == SpfResult::permerror) verdict_.mechanism.clear();
  done_ = true;
}

// ---- records

void SpfCheck::step() {
  Frame& frame = frames_.back();
  if (!frame.record) return read_record(frame);
  if (frame.next == frame.record->mechanisms.size()) {
    if (frame.record->redirect) return redirect(frame);
    if (frames_.size() == 1) verdict_.mechanism = "default";
    return leave(SpfResult::neutral);  // 4.7
  }
  const SpfMechanism& mechanism = frame.record->mechanisms[frame.next];
  voids_of_term_ = 0;
  const Match match = this->match(frame, mechanism);
  if (match == Match::wait || match == Match::end) return;
  verdict_.void_lookups += voids_of_term_;
  if (verdict_.void_lookups > most_void_lookups)
    return finish(SpfResult::permerror, "more than 2 look-ups without an answer");
  if (match == Match::no) {
    ++frame.next;
    frame.counted = false;
    return;
  }
  if (frames_.size() == 1) verdict_.mechanism = mechanism.text;
  leave(result_of(mechanism.qualifier));
}

void SpfCheck::read_record(Frame& frame) {
  const bool first = frames_.size() == 1 && verdict_.lookups == 0;
  const SpfResult without = first ? SpfResult::none : SpfResult::permerror;  // 5.2, 6.1
  const std::string shown = printable(frame.domain);
  if (!is_name(frame.domain)) return finish(without, "'" + shown + "' is not a domain");
  const dns::Answer* answer = lookups_.find(frame.domain, dns::Type::txt);
  if (answer == nullptr) return;
  if (answer->temporary())
    return finish(SpfResult::temperror, "DNS: TXT of " + shown + ": " + printable(answer->why));
  if (answer->status != Status::ok && !first) ++verdict_.void_lookups;
  std::vector<std::string> records;
  for (const std::string& rdata : answer->records)
    if (auto txt = dns::parse_txt(rdata); txt && SpfRecord::is_one(*txt)) records.push_back(std::move(*txt));
  if (records.empty()) return finish(without, shown + " has no SPF record");
  if (records.size() > 1) return finish(SpfResult::permerror, shown + " has several SPF records");
  auto record = SpfRecord::parse(records.front());
  if (!record) return finish(SpfResult::permerror, record.error());
  frame.record = std::move(*record);
}

void SpfCheck::redirect(Frame& frame) {
  if (!count(frame)) return;
  const auto name = target(frame, *frame.record->redirect);
  if (!name) return;
  frame = {*name, std::nullopt};
}

/// The record at hand has its result: it ends the check, or it is one of an include (5.2).
void SpfCheck::leave(SpfResult result) {
  if (frames_.size() == 1) {
    verdict_.result = result;
    explanation_ = frames_.back().record->explanation;
    explained_by_ = frames_.back().domain;
    explaining_ = result == SpfResult::fail && explanation_;
    done_ = !explaining_;
    return;
  }
  frames_.pop_back();
  Frame& frame = frames_.back();
  const SpfMechanism& include = frame.record->mechanisms[frame.next];
  ++frame.next;
  frame.counted = false;
  if (result != SpfResult::pass) return;
  if (frames_.size() == 1) verdict_.mechanism = include.text;
  leave(result_of(include.qualifier));
}

bool SpfCheck::count_lookup() {
  if (++verdict_.lookups <= most_lookups) return true;
  finish(SpfResult::permerror, "more than 10 terms that ask the DNS");
  return false;
}

bool SpfCheck::count(Frame& frame) {
  if (frame.counted) return true;
  frame.counted = true;
  return count_lookup();
}

// ---- mechanisms

SpfCheck::Match SpfCheck::match(Frame& frame, const SpfMechanism& mechanism) {
  using Kind = SpfMechanism::Kind;
  switch (mechanism.kind) {
    case Kind::all:
      return Match::yes;
    case Kind::ip4:
    case Kind::ip6: {
      const bool same_family = query_.client.v6 == mechanism.network.v6;
      const int bits = query_.client.v6 ? mechanism.bits6 : mechanism.bits4;
      return same_family && within_network(query_.client, mechanism.network, bits) ? Match::yes : Match::no;
    }
    default:
      break;
  }
  if (!count(frame)) return Match::end;
  const auto name = target(frame, mechanism.domain);
  if (!name) return done_ ? Match::end : Match::wait;
  if (mechanism.kind == Kind::include) {
    frames_.push_back({*name, std::nullopt});
    return Match::wait;
  }
  if (!is_name(*name)) return Match::no;  // 4.8: it cannot exist
  switch (mechanism.kind) {
    case Kind::a:
      return match_a(*name, mechanism);
    case Kind::mx:
      return match_mx(*name, mechanism);
    case Kind::ptr:
      return match_ptr(*name);
    default:
      return match_exists(*name);
  }
}

/// An answer that may be void or a failure; `yes` when it has records.
SpfCheck::Match SpfCheck::answer_void(const dns::Answer& answer) {
  if (answer.temporary()) {
    finish(SpfResult::temperror, "DNS: " + printable(answer.why));
    return Match::end;
  }
  if (answer.status == Status::ok) return Match::yes;
  ++voids_of_term_;
  return Match::no;
}

bool SpfCheck::holds(const std::string& rdata, const SpfMechanism& mechanism) const {
  const auto address = dns::parse_address(address_type_, rdata);
  return address && within_network(query_.client, *address, address->v6 ? mechanism.bits6 : mechanism.bits4);
}

SpfCheck::Match SpfCheck::match_a(const std::string& name, const SpfMechanism& mechanism) {
  const dns::Answer* answer = lookups_.find(name, address_type_);
  if (answer == nullptr) return Match::wait;
  if (const Match state = answer_void(*answer); state != Match::yes) return state;
  const bool any = std::any_of(answer->records.begin(), answer->records.end(),
                               [&](const std::string& rdata) { return holds(rdata, mechanism); });
  return any ? Match::yes : Match::no;
}

SpfCheck::Match SpfCheck::match_mx(const std::string& name, const SpfMechanism& mechanism) {
  const dns::Answer* answer = lookups_.find(name, dns::Type::mx);
  if (answer == nullptr) return Match::wait;
  if (const Match state = answer_void(*answer); state != Match::yes) return state;
  if (answer->records.size() > most_names) {  // 4.6.4
    finish(SpfResult::permerror, printable(name) + " has more than 10 MX records");
    return Match::end;
  }
  std::vector<dns::Mx> hosts;
  for (const std::string& rdata : answer->records)
    if (auto mx = dns::parse_mx(rdata, dns::Labels::any); mx && !mx->host.empty())
      hosts.push_back(std::move(*mx));
  std::stable_sort(hosts.begin(), hosts.end(),
                   [](const dns::Mx& a, const dns::Mx& b) { return a.preference < b.preference; });
  // In order, so that a host behind the one that matches neither fails the check nor counts as void. One is asked for at a
  // time for the same reason.
  for (const dns::Mx& mx : hosts)
    if (const Match match = match_a(mx.host, mechanism); match != Match::no) return match;
  return Match::no;
}

SpfCheck::Match SpfCheck::match_ptr(const std::string& name) {
  const auto names = validated_names(name);
  if (!names) return Match::wait;
  return names->empty() ? Match::no : Match::yes;
}

SpfCheck::Match SpfCheck::match_exists(const std::string& name) {
  const dns::Answer* answer = lookups_.find(name, dns::Type::a);  // A, whatever the client's family (5.7)
  return answer == nullptr ? Match::wait : answer_void(*answer);
}

/// The client's names whose addresses lead back to it, among the first 10 (5.5); only those within `below`, when that is
/// given. Nothing: it waits.
std::optional<std::vector<std::string>> SpfCheck::validated_names(const std::string& below) {
  const dns::Answer* answer = lookups_.find(dns::reverse_name(query_.client), dns::Type::ptr);
  if (answer == nullptr) return std::nullopt;
  std::vector<std::string> names;
  if (!answer->temporary() && answer->status != Status::ok) ++voids_of_term_;
  std::size_t looked_at = 0;
  const SpfMechanism exactly;
  bool waits = false;
  for (const std::string& rdata : answer->records) {
    if (looked_at++ == most_names) break;
    const auto name = dns::parse_ptr(rdata);
    if (!name || name->empty() || (!below.empty() && !within(*name, below))) continue;
    const dns::Answer* addresses = lookups_.find(*name, address_type_);
    if (addresses == nullptr) {
      waits = true;
    } else if (std::any_of(addresses->records.begin(), addresses->records.end(),
                           [&](const std::string& a) { return holds(a, exactly); })) {
      names.push_back(*name);
    }
  }
  return waits ? std::nullopt : std::optional(std::move(names));
}

// ---- macros

/// 7.3: the domain itself, else a name below it, else any.
std::optional<std::string> SpfCheck::macro_p(const std::string& domain) {
  if (!counted_p_ && !explaining_) {
    counted_p_ = true;
    if (!count_lookup()) return std::nullopt;
  }
  const auto names = validated_names({});
  if (!names) return std::nullopt;
  if (names->empty()) return "unknown";
  if (std::find(names->begin(), names->end(), domain) != names->end()) return domain;
  const auto below =
      std::find_if(names->begin(), names->end(), [&](const std::string& n) { return within(n, domain); });
  return below != names->end() ? *below : names->front();
}

/// Nothing: it waits, or the check is at its end.
std::optional<std::string> SpfCheck::expand(const MacroString& parts, const std::string& domain) {
  std::string out;
  for (const MacroPart& part : parts) {
    out += part.literal;
    std::string value;
    switch (part.letter) {
      case 0:
        continue;
      case 's':
        value = sender_;
        break;
      case 'l':
        value = local_;
        break;
      case 'o':
        value = sender_domain_;
        break;
      case 'd':
        value = domain;
        break;
      case 'i':
        value = dotted(query_.client);
        break;
      case 'p': {
        auto name = macro_p(domain);
        if (!name) return std::nullopt;
        value = std::move(*name);
        break;
      }
      case 'v':
        value = query_.client.v6 ? "ip6" : "in-addr";
        break;
      case 'h':
        value = query_.helo;
        break;
      case 'c':
        value = dns::text(query_.client);
        break;
      case 'r':
        value = query_.receiver.empty() ? "unknown" : query_.receiver;
        break;
      case 't':
        value =
            std::to_string(std::chrono::floor<std::chrono::seconds>(query_.now).time_since_epoch().count());
        break;
    }
    value = transformed(value, part);
    out += part.escape ? percent_encoded(value) : value;
  }
  return out;
}

/// The name that a term is about: without labels at the left while it is too long (7.3).
std::optional<std::string> SpfCheck::target(const Frame& frame, const MacroString& domain) {
  if (domain.empty()) return frame.domain;
  auto expanded = expand(domain, frame.domain);
  if (!expanded) return std::nullopt;
  std::string name = as_name(*expanded);
  while (name.size() > 253) {
    const auto dot = name.find('.');
    if (dot == std::string::npos) break;
    name.erase(0, dot + 1);
  }
  return name;
}

// ---- the explanation (6.2): whatever goes wrong, the result stays what it is

void SpfCheck::explain() {
  const auto name = target({explained_by_, std::nullopt}, *explanation_);
  if (!name) return;
  const dns::Answer* answer = is_name(*name) ? lookups_.find(*name, dns::Type::txt) : nullptr;
  if (answer == nullptr) {
    done_ = !is_name(*name);
    return;
  }
  const auto txt = answer->records.size() == 1 ? dns::parse_txt(answer->records.front()) : std::nullopt;
  const auto parts = txt && mail::is_ascii(*txt) ? parse_macros(*txt, MacroUse::explanation) : std::nullopt;
  if (!parts) {
    done_ = true;
    return;
  }
  const auto text = expand(*parts, explained_by_);
  if (!text) return;
  // What macros add is the client's: a line of printable ASCII, or no explanation.
  if (std::all_of(text->begin(), text->end(), [](char c) { return c >= ' ' && c <= '~'; }))
    verdict_.explanation = *text;
  done_ = true;
}

}  // namespace spoold::auth
