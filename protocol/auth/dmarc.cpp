#include "protocol/auth/dmarc.hpp"

#include <algorithm>

#include "protocol/mail/ascii.hpp"

namespace spoold::auth {
namespace {

using Status = dns::Answer::Status;
constexpr std::ptrdiff_t most_labels = 7;  // of the second name that a walk asks for (4.10 step 4)

std::ptrdiff_t labels(std::string_view name) {
  return std::count(name.begin(), name.end(), '.') + 1;
}

/// The name with that many labels at its right end.
std::string ending(const std::string& name, std::ptrdiff_t keep) {
  std::size_t begin = 0;
  for (auto left = labels(name); left > keep; --left) begin = name.find('.', begin) + 1;
  return name.substr(begin);
}

DmarcPolicy one_step_less(DmarcPolicy policy) {
  return policy == DmarcPolicy::reject ? DmarcPolicy::quarantine : DmarcPolicy::none;
}

}  // namespace

const char* text(DmarcResult result) {
  constexpr const char* names[] = {"none", "pass", "fail", "temperror", "permerror"};
  return names[static_cast<std::size_t>(result)];
}

DmarcCheck::DmarcCheck(DmarcQuery query) : identifiers_(std::move(query.identifiers)) {
  verdict_.domain = as_name(query.author_domain);
  verdict_.organizational_domain = verdict_.domain;
  if (!is_name(verdict_.domain) || verdict_.domain.starts_with('[')) {
    finish(DmarcResult::none, "'" + printable(verdict_.domain) + "' is not a domain");
    return;
  }
  run();
}

void DmarcCheck::answered(const dns::Question& question, dns::Answer answer) {
  if (lookups_.answered(question, std::move(answer)) && !done_) run();
}

void DmarcCheck::finish(DmarcResult result, std::string problem) {
  verdict_.result = result;
  verdict_.problem = std::move(problem);
  done_ = true;
}

// Everything is computed anew from the answers that are there: a walk is a few of them.
void DmarcCheck::run() {
  const Walk author = walk(verdict_.domain);
  verdict_.walk = author.asked;
  if (!author.whole && author.failure.empty()) return;
  if (!discover(author)) return;
  if (choose_policy()) judge();
}

// ---- the tree walk (4.10)

DmarcCheck::Walk DmarcCheck::walk(const std::string& domain) {
  Walk walk;
  std::string name = domain;
  for (;;) {
    const std::string asked = "_dmarc." + name;
    if (is_name(asked)) {
      walk.asked.push_back(asked);
      const dns::Answer* answer = lookups_.find(asked, dns::Type::txt);
      if (answer == nullptr) return walk;
      if (answer->temporary()) {
        walk.failure = "DNS: TXT of " + printable(asked) + ": " + printable(answer->why);
        return walk;
      }
      std::vector<DmarcRecord> records;
      for (const std::string& rdata : answer->records)
        if (const auto txt = dns::parse_txt(rdata))
          if (auto record = DmarcRecord::parse(*txt)) records.push_back(std::move(*record));
      if (records.size() == 1) {
        const bool stops = records.front().psd != DmarcRecord::Psd::unknown;
        walk.found.push_back({name, std::move(records.front())});
        if (stops) break;
      }
    }
    const auto left = labels(name);
    if (left == 1) break;
    name = ending(name, left > most_labels ? most_labels : left - 1);
  }
  walk.whole = true;
  return walk;
}

/// 4.10.2
std::string DmarcCheck::organizational_domain(const std::string& domain, const std::vector<Found>& found) {
  for (const Found& one : found) {
    if (one.record.psd == DmarcRecord::Psd::no) return one.domain;
    if (one.record.psd == DmarcRecord::Psd::yes && one.domain != domain)
      return ending(domain, labels(one.domain) + 1);
  }
  return found.empty() ? domain : found.back().domain;
}

// ---- the record and its policy (4.10.1)

/// False: the check is at its end.
bool DmarcCheck::discover(const Walk& author) {
  const bool own = !author.found.empty() && author.found.front().domain == verdict_.domain;
  if (!author.failure.empty()) {
    unknown_ = author.failure;
    verdict_.organizational_domain.clear();
    if (!own) return finish(DmarcResult::temperror, author.failure), false;
  } else {
    verdict_.organizational_domain = organizational_domain(verdict_.domain, author.found);
  }
  const Found* applies = own ? &author.found.front() : nullptr;
  for (const Found& one : author.found)
    if (!own && one.domain == verdict_.organizational_domain) applies = &one;
  if (applies == nullptr && !author.found.empty() && author.found.back().record.psd == DmarcRecord::Psd::yes)
    applies = &author.found.back();
  if (applies == nullptr) return finish(DmarcResult::none), false;
  verdict_.record = applies->record;
  verdict_.record_domain = applies->domain;
  if (!applies->record.fault.empty()) return finish(DmarcResult::permerror, applies->record.fault), false;
  return true;
}

/// False: it waits.
bool DmarcCheck::choose_policy() {
  const DmarcRecord& record = *verdict_.record;
  verdict_.policy = record.policy;
  if (verdict_.record_domain == verdict_.domain) return true;
  verdict_.policy = record.subdomains.value_or(record.policy);
  if (!record.nonexistent || *record.nonexistent == *verdict_.policy) return true;
  // Non-existent is what is answered with NXDOMAIN (3.2.13); a name with a CNAME record exists.
  const dns::Answer* answer = lookups_.find(verdict_.domain, dns::Type::a);
  if (answer == nullptr) return false;
  if (answer->temporary()) {
    unknown_ = "DNS: A of " + printable(verdict_.domain) + ": " + printable(answer->why);
    verdict_.policy.reset();
  } else if (answer->status == Status::nxdomain && answer->canonical.empty()) {
    verdict_.policy = record.nonexistent;
  }
  return true;
}

// ---- alignment (4.4, 4.10.2)

DmarcCheck::Aligned DmarcCheck::align(DmarcVerdict::Alignment& alignment) {
  const std::string& domain = alignment.identifier.domain;
  if (domain == verdict_.domain) return Aligned::yes;
  const bool spf = alignment.identifier.by == Identifier::By::spf;
  if (spf ? verdict_.record->strict_spf : verdict_.record->strict_dkim) return Aligned::no;
  if (!is_name(domain) || ending(domain, 1) != ending(verdict_.domain, 1)) return Aligned::no;
  const Walk walked = walk(domain);
  if (!walked.failure.empty()) {
    unknown_ = walked.failure;
    return Aligned::unknown;
  }
  if (!walked.whole) return Aligned::waits;
  alignment.organizational_domain = organizational_domain(domain, walked.found);
  if (verdict_.organizational_domain.empty()) return Aligned::unknown;
  return alignment.organizational_domain == verdict_.organizational_domain ? Aligned::yes : Aligned::no;
}

void DmarcCheck::judge() {
  std::vector<DmarcVerdict::Alignment> alignments;
  bool waits = false, passes = false, unknown = false;
  for (const Identifier& identifier : identifiers_) {
    DmarcVerdict::Alignment alignment{{identifier.by, as_name(identifier.domain)}, false, {}};
    const Aligned aligned = align(alignment);
    waits = waits || aligned == Aligned::waits;
    unknown = unknown || aligned == Aligned::unknown;
    alignment.aligned = aligned == Aligned::yes;
    passes = passes || alignment.aligned;
    alignments.push_back(std::move(alignment));
  }
  if (waits) return;
  verdict_.alignments = std::move(alignments);
  if (passes) return finish(DmarcResult::pass);
  if (unknown || !verdict_.policy) return finish(DmarcResult::temperror, unknown_);
  verdict_.disposition = verdict_.record->testing ? one_step_less(*verdict_.policy) : *verdict_.policy;
  finish(DmarcResult::fail);
}

}  // namespace spoold::auth
