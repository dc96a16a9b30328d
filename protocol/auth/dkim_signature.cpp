#include "protocol/auth/dkim_signature.hpp"

#include <algorithm>
#include <charconv>

#include "protocol/auth/lookups.hpp"
#include "protocol/auth/tag_list.hpp"
#include "protocol/mail/ascii.hpp"
#include "protocol/mail/base64.hpp"

namespace spoold::auth {
namespace {

/// Labels of letters, digits, hyphens and underscores.
bool is_dkim_name(std::string_view name) {
  return is_name(name) && std::all_of(name.begin(), name.end(), [](char c) {
           return mail::is_alpha(c) || mail::is_digit(c) || c == '-' || c == '_' || c == '.';
         });
}

std::optional<std::string> decoded(std::string_view folded) {
  std::string letters = without_folding(folded);
  letters.resize((letters.size() + 3) / 4 * 4, '=');  // padding is left away by some
  return mail::base64_decode(letters);
}

/// Nothing: not digits. What is larger than any number here is the largest one.
std::optional<std::uint64_t> number(std::string_view digits, std::size_t most_digits) {
  if (digits.empty() || digits.size() > most_digits ||
      !std::all_of(digits.begin(), digits.end(), mail::is_digit))
    return std::nullopt;
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  return error == std::errc() ? value : ~std::uint64_t{0};
}

DkimFault broken(std::string reason) {
  return {DkimResult::neutral, "signature syntax: " + std::move(reason)};
}

bool is_field_name(std::string_view name) {
  return !name.empty() &&
         std::all_of(name.begin(), name.end(), [](char c) { return c > ' ' && c <= '~' && c != ':'; });
}

class Reader {
 public:
  Reader(DkimSignature& signature, const TagList& tags, TimePoint now)
      : s_(signature), tags_(tags), now_(now) {}

  std::optional<DkimFault> read() {
    for (const char* tag : {"v", "a", "b", "bh", "d", "h", "s"})
      if (!tags_.find(tag)) return broken(std::string(tag) + "= is missing");
    if (*tags_.find("v") != "1") return DkimFault{DkimResult::permerror, "the version is not 1"};
    if (!is_dkim_name(s_.domain)) return broken("d= is not a domain");
    if (!is_dkim_name(s_.selector) || !is_dkim_name(s_.key_name())) return broken("s= is not a selector");
    using Step = std::optional<DkimFault> (Reader::*)();
    for (const Step step : {&Reader::algorithm, &Reader::canonicalization, &Reader::octets, &Reader::fields,
                            &Reader::identity, &Reader::query, &Reader::times})
      if (auto fault = (this->*step)()) return fault;
    return std::nullopt;
  }

 private:
  std::optional<DkimFault> algorithm() {
    if (mail::same(s_.algorithm, "rsa-sha256")) return std::nullopt;
    s_.key_type = KeyType::ed25519;
    if (mail::same(s_.algorithm, "ed25519-sha256")) return std::nullopt;
    const bool historic = mail::same(s_.algorithm, "rsa-sha1");
    return DkimFault{DkimResult::permerror,
                     historic ? "rsa-sha1 is not accepted (RFC 8301)"
                              : "the algorithm " + printable(s_.algorithm) + " is not supported"};
  }

  std::optional<DkimFault> canonicalization() {
    const std::string_view given = tags_.find("c").value_or("simple/simple");
    const auto slash = given.find('/');
    const auto relaxed = [](std::string_view word) -> std::optional<bool> {
      if (mail::same(word, "relaxed")) return true;
      return mail::same(word, "simple") ? std::optional(false) : std::nullopt;
    };
    const auto header = relaxed(given.substr(0, slash));
    const auto body =
        slash == std::string_view::npos ? std::optional(false) : relaxed(given.substr(slash + 1));
    if (!header || !body)
      return DkimFault{DkimResult::permerror,
                       "the canonicalization " + printable(given) + " is not supported"};
    s_.relaxed_header = *header;
    s_.relaxed_body = *body;
    return std::nullopt;
  }

  std::optional<DkimFault> octets() {
    auto signature = decoded(*tags_.find("b")), hash = decoded(*tags_.find("bh"));
    if (!signature || signature->empty()) return broken("b= is not base64");
    if (!hash || hash->empty()) return broken("bh= is not base64");
    s_.signature = std::move(*signature);
    s_.body_hash = std::move(*hash);
    if (const auto length = tags_.find("l")) {
      s_.body_length = number(*length, 76);
      if (!s_.body_length) return broken("l= is not a number");
    }
    return std::nullopt;
  }

  std::optional<DkimFault> fields() {
    for (const std::string_view name : colon_list(*tags_.find("h"))) {
      if (!is_field_name(name)) return broken("h= has a name that is none");
      s_.fields.push_back(mail::lower(name));
    }
    if (std::find(s_.fields.begin(), s_.fields.end(), "from") == s_.fields.end())
      return DkimFault{DkimResult::permerror, "From is not signed"};
    return std::nullopt;
  }

  /// i= (dkim-quoted-printable) is within d=. Only its domain counts, and a domain has nothing to encode.
  std::optional<DkimFault> identity() {
    s_.identity_domain = as_name(s_.domain);
    const auto given = tags_.find("i");
    if (!given) return std::nullopt;
    const std::string address = without_folding(*given);
    const auto at = address.rfind('@');
    if (at == std::string::npos) return broken("i= has no domain");
    s_.identity_domain = as_name(std::string_view(address).substr(at + 1));
    if (!within(s_.identity_domain, as_name(s_.domain)))
      return DkimFault{DkimResult::permerror, "the domain of i= is not within d="};
    return std::nullopt;
  }

  std::optional<DkimFault> query() {
    const auto methods = colon_list(tags_.find("q").value_or("dns/txt"));
    if (std::any_of(methods.begin(), methods.end(),
                    [](std::string_view m) { return mail::same(m, "dns/txt"); }))
      return std::nullopt;
    return DkimFault{DkimResult::permerror, "q= offers no known query method"};
  }

  std::optional<DkimFault> times() {
    const auto t = tags_.find("t"), x = tags_.find("x");
    const auto begin = t ? number(*t, 12) : std::nullopt, end = x ? number(*x, 12) : std::nullopt;
    if (t && !begin) return broken("t= is not a time");
    if (x && !end) return broken("x= is not a time");
    if (begin && end && *end <= *begin) return broken("x= is not later than t=");
    const auto now = std::chrono::floor<std::chrono::seconds>(now_).time_since_epoch().count();
    if (end && now > 0 && *end < static_cast<std::uint64_t>(now))
      return DkimFault{DkimResult::policy, "the signature has expired"};
    return std::nullopt;
  }

  DkimSignature& s_;
  const TagList& tags_;
  const TimePoint now_;
};

}  // namespace

const char* text(DkimResult result) {
  constexpr const char* names[] = {"pass", "fail", "neutral", "policy", "temperror", "permerror"};
  return names[static_cast<std::size_t>(result)];
}

DkimSignature DkimSignature::parse(std::string_view value, TimePoint now) {
  DkimSignature signature;
  const auto tags = TagList::parse(value);
  if (!tags) {
    signature.fault = broken(tags.error());
    return signature;
  }
  signature.domain = tags->find("d").value_or("");
  signature.selector = tags->find("s").value_or("");
  signature.algorithm = tags->find("a").value_or("");
  signature.fault = Reader(signature, *tags, now).read();
  return signature;
}

tl::expected<DkimKey, std::string> DkimKey::parse(std::string_view txt, const DkimSignature& signature) {
  const auto tags = TagList::parse(txt);
  if (!tags) return tl::unexpected("key syntax: " + tags.error());
  const auto fail = [](const char* why) { return tl::unexpected(std::string(why)); };
  if (const auto version = tags->find("v"); version && (*version != "DKIM1" || tags->first() != "v"))
    return fail("the key record is not of DKIM1");
  const auto allows = [&](const char* tag, std::string_view what, std::string_view or_what) {
    const auto given = tags->find(tag);
    if (!given) return true;
    const auto words = colon_list(*given);
    return std::any_of(words.begin(), words.end(),
                       [&](std::string_view w) { return mail::same(w, what) || mail::same(w, or_what); });
  };
  const auto flag = [&](std::string_view name) {
    const auto flags = colon_list(tags->find("t").value_or(""));
    return std::any_of(flags.begin(), flags.end(), [&](std::string_view f) { return mail::same(f, name); });
  };
  if (!allows("s", "email", "*")) return fail("the key is not for mail");
  const auto octets = tags->find("p");
  if (!octets) return fail("key syntax: p= is missing");
  if (without_folding(*octets).empty()) return fail("the key has been revoked");
  if (!allows("h", "sha256", "sha256")) return fail("the key does not allow sha256");
  DkimKey key;
  const std::string_view type = tags->find("k").value_or("rsa");
  if (mail::same(type, "ed25519"))
    key.type = KeyType::ed25519;
  else if (!mail::same(type, "rsa"))
    return fail("the type of the key is not supported");
  if (key.type != signature.key_type) return fail("the key is of another type than the signature");
  auto decoded_octets = decoded(*octets);
  if (!decoded_octets) return fail("key syntax: p= is not base64");
  key.octets = std::move(*decoded_octets);
  if (flag("s") && signature.identity_domain != as_name(signature.domain))
    return fail("the key (t=s) does not allow an i= below d=");
  key.testing = flag("y");
  return key;
}

}  // namespace spoold::auth
