#include "protocol/auth/dkim2.hpp"

#include <algorithm>
#include <map>
#include <numeric>

#include "protocol/mail/ascii.hpp"
#include "protocol/mail/mailbox.hpp"

namespace spoold::auth {
namespace {

constexpr auto oldest = std::chrono::hours(24 * 14);

/// The name of a domain, or one below it (9.4). Of a path with angle brackets.
bool relaxed_match(std::string_view path, std::string_view domain) {
  return within(as_name(domain_of(path.substr(1, path.size() - 2))), domain);
}

std::string with_lower_domain(std::string_view path) {
  const auto at = path.rfind('@');
  if (at == path.npos) return std::string(path);
  return std::string(path.substr(0, at)) + mail::lower(path.substr(at));
}

Dkim2Result as_dkim2(DkimResult result) {
  switch (result) {
    case DkimResult::pass:
      return Dkim2Result::pass;
    case DkimResult::fail:
      return Dkim2Result::fail;
    case DkimResult::temperror:
      return Dkim2Result::temperror;
    default:
      return Dkim2Result::permerror;
  }
}

}  // namespace

const char* text(Dkim2Result result) {
  constexpr const char* names[] = {"pass", "fail", "none", "temperror", "permerror"};
  return names[static_cast<std::size_t>(result)];
}

Dkim2Check::Dkim2Check(const mail::Header& header, const Session& session, const NewDigest& sha256,
                       const NewDigest& sha512) {
  whole_ = read(header);
  if (whole_) return;
  whole_ = custody(session);
  check_headers(header, sha256, sha512);
  if (!whole_) whole_ = requests();
  for (std::size_t i = signatures_.size(); i-- > 0;)
    for (const Dkim2Signature::Value& value : signatures_[i].values) {
      Value one{i, value, value.selector + "._domainkey." + signatures_[i].domain, {}, {}, false};
      if (value.algorithm != "rsa-sha256" && value.algorithm != "ed25519-sha256")
        one.fault = DkimFault{DkimResult::neutral, ""};  // 3.4: as if it were not there
      else
        lookups_.find(one.key_name, dns::Type::txt);
      values_.push_back(std::move(one));
    }
}

// Every field of both kinds, each number once from 1 on (11.2).
Dkim2Check::Found Dkim2Check::read(const mail::Header& header) {
  const auto wrong = [](std::string why) { return std::pair(Dkim2Result::permerror, std::move(why)); };
  std::map<std::uint64_t, std::pair<MessageInstance, const mail::Field*>> instances;
  std::map<std::uint64_t, std::pair<Dkim2Signature, const mail::Field*>> signatures;
  for (const mail::Field& field : header.fields()) {
    if (is_instance(field)) {
      auto one = MessageInstance::parse(field);
      if (!one) return wrong(std::move(one.error()));
      const auto number = one->number;
      if (!instances.emplace(number, std::pair(std::move(*one), &field)).second)
        return wrong("Message-Instance m=" + std::to_string(number) + " syntax error");
    } else if (is_signature(field)) {
      auto one = Dkim2Signature::parse(field);
      if (!one) return wrong(std::move(one.error()));
      const auto number = one->number;
      if (!signatures.emplace(number, std::pair(std::move(*one), &field)).second)
        return wrong("DKIM2-Signature i=" + std::to_string(number) + " syntax error");
    }
    if (instances.size() > most_hops || signatures.size() > most_hops)
      return wrong("more signatures than are looked at");
  }
  if (instances.empty() && signatures.empty()) return std::pair(Dkim2Result::none, std::string());
  std::uint64_t next = 0;
  for (auto& [number, one] : instances) {
    if (number != ++next) return wrong("Message-Instance m=" + std::to_string(next) + " missing");
    instances_.push_back(std::move(one.first));
    instance_fields_.push_back(dkim2_canonical(*one.second, false));
  }
  next = 0;
  std::uint64_t highest = 0;
  for (auto& [number, one] : signatures) {
    if (number != ++next) return wrong("DKIM2-Signature i=" + std::to_string(next) + " missing");
    if (one.first.instance > instances_.size())
      return wrong("Message-Instance m=" + std::to_string(one.first.instance) + " missing");
    if (one.first.instance < highest)
      return wrong("DKIM2-Signature i=" + std::to_string(number) + " syntax error");
    highest = one.first.instance;
    signature_fields_.push_back(dkim2_canonical(*one.second, false));
    unsigned_fields_.push_back(dkim2_canonical(*one.second, true));
    signatures_.push_back(std::move(one.first));
  }
  if (signatures_.empty()) return wrong("DKIM2-Signature i=1 missing");
  if (highest < instances_.size())
    return wrong("Message-Instance m=" + std::to_string(highest + 1) + " is not signed");
  return std::nullopt;
}

// 11.3, 11.4: how old, and the way from hop to hop.
Dkim2Check::Found Dkim2Check::custody(const Session& session) const {
  const auto now = std::chrono::floor<std::chrono::seconds>(session.now - oldest).time_since_epoch().count();
  for (std::size_t i = signatures_.size(); i-- > 0;) {
    const Dkim2Signature& one = signatures_[i];
    const auto wrong = [&](const std::string& why) {
      return std::pair(Dkim2Result::permerror, "DKIM2-Signature i=" + std::to_string(one.number) + " " + why);
    };
    if (now > 0 && one.time < static_cast<std::uint64_t>(now)) return wrong("signature expired");
    const bool top = i + 1 == signatures_.size();
    if (!one.mail_from) {
      if (top) return wrong("unexpected nd= tag");
      if (one.next_domain != signatures_[i + 1].domain) return wrong("MAIL nd= does not match");
      continue;
    }
    const bool null_path = *one.mail_from == "<>";
    if (top) {
      const std::string from = "<" + session.mail_from + ">";
      if (with_lower_domain(*one.mail_from) != with_lower_domain(from))
        return wrong("MAIL FROM " + printable(from) + " did not match");
      for (const std::string& rcpt : session.rcpt_to) {
        const std::string path = with_lower_domain("<" + rcpt + ">");
        if (std::ranges::none_of(one.rcpt_to,
                                 [&](const std::string& known) { return with_lower_domain(known) == path; }))
          return wrong("RCPT TO " + printable("<" + rcpt + ">") + " did not match");
      }
    }
    if (!null_path && !relaxed_match(*one.mail_from, one.domain))
      return wrong("MAIL FROM and d= do not match");
    if (i == 0 || null_path || !signatures_[i - 1].mail_from) continue;
    const bool came = std::ranges::any_of(signatures_[i - 1].rcpt_to, [&](const std::string& rcpt) {
      return relaxed_match(*one.mail_from,
                           as_name(domain_of(std::string_view(rcpt).substr(1, rcpt.size() - 2))));
    });
    if (!came) return wrong("MAIL FROM " + printable(*one.mail_from) + " did not match");
  }
  return std::nullopt;
}

void Dkim2Check::fault(std::size_t instance, Dkim2Result result, std::string why) {
  if (!instance_faults_[instance]) instance_faults_[instance] = std::pair(result, std::move(why));
}

// 11.7: the hashes of each instance, from the message as it is back to the first one. Here its fields; the bodies come later.
void Dkim2Check::check_headers(const mail::Header& header, const NewDigest& sha256, const NewDigest& sha512) {
  instance_faults_.resize(instances_.size());
  modifies_.resize(instances_.size());
  Instance now;
  for (const mail::Field& field : header.fields()) now.fields.emplace_back(field.raw);
  bool body_known = true;
  const Recipe* recipe = nullptr;
  for (std::size_t m = instances_.size(); m-- > 0;) {
    const MessageInstance& one = instances_[m];
    std::map<std::string, BodyHash> of_body;
    for (const MessageInstance::Hashes& hash : one.hashes) {
      if (hash.name != "sha256" && hash.name != "sha512") continue;
      const NewDigest& digest = hash.name == "sha256" ? sha256 : sha512;
      if (header_hash(now.fields, digest) != hash.header)
        fault(m, Dkim2Result::fail,
              "Message Instance m=" + std::to_string(one.number) + " header hash " + hash.name + " mismatch");
      of_body.emplace(hash.name, BodyHash(false, std::nullopt, digest));
    }
    if (body_known) bodies_.add(recipe, std::move(of_body));
    if (!one.recipes || m == 0) {
      recipe = nullptr;
      continue;
    }
    // To add a field removes nothing: the recipe then only copies what else is there, or names none.
    modifies_[m] =
        one.recipes->body.has_value() || one.recipes->body_lost ||
        std::ranges::any_of(one.recipes->header, [](const auto& named) {
          return std::ranges::any_of(named.second, [](const RecipeStep& step) { return !step.data.empty(); });
        });
    body_known = body_known && !one.recipes->body_lost;
    recipe = one.recipes->body ? &*one.recipes->body : nullptr;
    auto before = undone(now, {one.recipes->header, {}, false});
    if (before && body_known && recipe != nullptr && bodies_.size() == most_bodies)
      before = tl::unexpected(std::string("is one of more changes of the body than are looked at"));
    if (!before) {
      for (std::size_t earlier = 0; earlier < m; ++earlier)
        instance_faults_[earlier] =
            std::pair(Dkim2Result::permerror,
                      "Message-Instance m=" + std::to_string(one.number) + " " + before.error());
      return;
    }
    now = std::move(*before);
  }
}

void Dkim2Check::body_end() {
  ended_ = true;
  const auto found = bodies_.finish();
  for (std::size_t i = 0; i < found.size(); ++i) {
    const std::size_t m = instances_.size() - 1 - i;
    if (const std::uint64_t line = bodies_.missing(i); line != 0) {
      for (std::size_t earlier = 0; earlier <= m; ++earlier)
        instance_faults_[earlier] = std::pair(
            Dkim2Result::permerror, "Message-Instance m=" + std::to_string(instances_[m + 1].number) +
                                        " names line " + std::to_string(line) + ", which is not there");
      return;
    }
    for (const MessageInstance::Hashes& hash : instances_[m].hashes)
      if (const auto one = found[i].find(hash.name); one != found[i].end() && one->second != hash.body)
        fault(m, Dkim2Result::fail,
              "Message Instance m=" + std::to_string(instances_[m].number) + " body hash " + hash.name +
                  " mismatch");
  }
}

// 11.8
Dkim2Check::Found Dkim2Check::requests() const {
  bool keep = false, alone = false;
  std::uint64_t instance = 0;
  for (const Dkim2Signature& one : signatures_) {
    for (std::uint64_t m = instance; keep && m < one.instance; ++m)
      if (modifies_[m])
        return std::pair(Dkim2Result::fail,
                         std::string("Message has been modified despite a donotmodify request"));
    if (alone && one.has_flag("exploded"))
      return std::pair(Dkim2Result::fail,
                       std::string("Message has been exploded despite a donotexplode request"));
    instance = one.instance;
    keep = keep || one.has_flag("donotmodify");
    alone = alone || one.has_flag("donotexplode");
  }
  return std::nullopt;
}

void Dkim2Check::answered(const dns::Question& question, dns::Answer answer) {
  for (Value& value : values_)
    if (!value.fault && !value.proof && as_name(value.key_name) == question.name) take_key(value, answer);
  lookups_.answered(question, std::move(answer));
}

// 11.5
void Dkim2Check::take_key(Value& value, const dns::Answer& answer) {
  const Dkim2Signature& signature = signatures_[value.of];
  const auto wrong = [&](DkimResult result, const std::string& why) {
    value.fault = DkimFault{result, "public key " + printable(value.key_name) + " " + why};
  };
  if (answer.temporary()) return wrong(DkimResult::temperror, "could not be fetched");
  if (answer.records.empty()) return wrong(DkimResult::permerror, "does not exist");
  if (answer.records.size() > 1) return wrong(DkimResult::permerror, "has multiple records");
  DkimSignature as_dkim;  // what a key is read for
  as_dkim.domain = as_dkim.identity_domain = signature.domain;
  as_dkim.key_type = value.value.algorithm == "rsa-sha256" ? KeyType::rsa : KeyType::ed25519;
  const auto txt = dns::parse_txt(answer.records.front());
  if (!txt) return wrong(DkimResult::permerror, "has a syntax error");
  auto key = DkimKey::parse(*txt, as_dkim);
  if (!key) {
    const bool revoked = key.error().find("revoked") != std::string::npos,
               other = key.error().find("another type") != std::string::npos;
    return wrong(DkimResult::permerror, revoked ? "has been revoked"
                                        : other ? "algorithm mismatch"
                                                : "has a syntax error");
  }
  std::string octets;
  for (std::size_t m = 0; m < signature.instance; ++m) octets += instance_fields_[m];
  for (std::size_t i = 0; i < value.of; ++i) octets += signature_fields_[i];
  value.proof =
      Proof{key->type, std::move(key->octets), value.value.octets, octets + unsigned_fields_[value.of]};
}

std::optional<Proof> Dkim2Check::next_proof() {
  if (lookups_.owed() || !ended_) return std::nullopt;
  for (const Value& value : values_)
    if (value.proof && !value.proved) return value.proof;
  return std::nullopt;
}

void Dkim2Check::proved(Proved proved) {
  const auto value = std::ranges::find_if(values_, [](const Value& one) { return one.proof && !one.proved; });
  if (value == values_.end()) return;
  value->proved = true;
  value->proof->octets.clear();
  if (proved == Proved::yes) return;
  if (proved == Proved::no)
    value->fault = DkimFault{DkimResult::fail, printable(value->value.selector) + " incorrect signature"};
  else
    value->fault =
        DkimFault{DkimResult::permerror, "public key " + printable(value->key_name) + " has a syntax error"};
}

bool Dkim2Check::done() const {
  return ended_ && !lookups_.owed() &&
         std::ranges::all_of(values_, [](const Value& one) { return one.fault || one.proved; });
}

Dkim2Verdict Dkim2Check::verdict() const {
  Dkim2Verdict verdict;
  if (whole_) verdict.result = whole_->first, verdict.reason = whole_->second;
  if (signatures_.empty()) return verdict;
  if (!whole_) verdict.result = Dkim2Result::pass;
  const auto worse = [&](Dkim2Result result, const std::string& why) {
    if (verdict.result == Dkim2Result::pass && result != Dkim2Result::pass)
      verdict.result = result, verdict.reason = why;
  };
  for (std::size_t i = signatures_.size(); i-- > 0;) {
    const std::string name = "DKIM2-Signature i=" + std::to_string(signatures_[i].number) + " ";
    const Found& of_instance =
        instance_faults_.empty() ? whole_ : instance_faults_[signatures_[i].instance - 1];
    bool known = false;
    for (const Value& value : values_) {
      if (value.of != i) continue;
      Dkim2Verdict::Signature one{signatures_[i].number,
                                  signatures_[i].instance,
                                  signatures_[i].domain,
                                  value.value.selector,
                                  value.value.algorithm,
                                  Dkim2Result::pass,
                                  {}};
      const bool ignored = value.fault && value.fault->result == DkimResult::neutral;
      if (value.fault) {
        one.result = as_dkim2(value.fault->result);
        one.reason = ignored ? "the algorithm is not supported" : name + value.fault->reason;
      } else if (of_instance) {
        one.result = of_instance->first;
        one.reason = of_instance->second;
      }
      known = known || !ignored;
      if (!ignored) worse(one.result, one.reason);
      verdict.signatures.push_back(std::move(one));
    }
    if (!known) worse(Dkim2Result::permerror, name + "has no signature of a known algorithm");
    if (of_instance) worse(of_instance->first, of_instance->second);
  }
  return verdict;
}

}  // namespace spoold::auth
