// DMARC (RFC 9989): may mail be from the domain in its From, given who SPF and DKIM say it is from? A machine without
// sockets (lookups.hpp). There is no list of public suffixes: the tree walk (4.10) finds the organizational domain.
//
// Guarantees: it ends; at most 8 questions for each domain that takes part, and one whether the author's domain exists.
// Several records at a name are none. A failure of DNS is temperror where it could change the result, and never a policy.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "protocol/auth/dmarc_record.hpp"
#include "protocol/auth/lookups.hpp"

namespace spoold::auth {

enum class DmarcResult : std::uint8_t { none, pass, fail, temperror, permerror };
const char* text(DmarcResult);

/// A domain for which SPF or a DKIM signature passed.
struct Identifier {
  enum class By : std::uint8_t { spf, dkim } by = By::spf;
  std::string domain;
};

struct DmarcQuery {
  std::string author_domain;  // of From, as A-labels
  std::vector<Identifier> identifiers;
};

struct DmarcVerdict {
  struct Alignment {
    Identifier identifier;
    bool aligned = false;
    std::string organizational_domain;  // empty: nobody had to know
  };
  DmarcResult result = DmarcResult::none;
  std::string domain;                 // of the author
  std::string organizational_domain;  // of the author; empty: not known, DNS failed
  std::optional<DmarcRecord> record;  // that applies
  std::string record_domain;
  std::optional<DmarcPolicy> policy;  // of the record for this author; nothing: no record, or not known
  DmarcPolicy disposition =
      DmarcPolicy::none;          // what the domain's owner wishes for this message (t=y is one step less)
  std::vector<std::string> walk;  // names asked for the author's domain, in order
  std::vector<Alignment> alignments;
  std::string problem;  // of temperror and permerror, for people
};

class DmarcCheck {
 public:
  explicit DmarcCheck(DmarcQuery query);

  std::vector<dns::Question> ask() { return lookups_.ask(); }
  void answered(const dns::Question&, dns::Answer);
  bool done() const { return done_; }
  const DmarcVerdict& verdict() const { return verdict_; }

 private:
  struct Found {
    std::string domain;
    DmarcRecord record;
  };
  struct Walk {
    bool whole = false;        // false: it waits for an answer, or failed
    std::string failure;       // of DNS
    std::vector<Found> found;  // the longest name first
    std::vector<std::string> asked;
  };
  enum class Aligned : std::uint8_t { no, yes, waits, unknown };

  void run();
  bool discover(const Walk& author);
  bool choose_policy();
  void judge();
  Walk walk(const std::string& domain);
  Aligned align(DmarcVerdict::Alignment&);
  void finish(DmarcResult result, std::string problem = {});
  static std::string organizational_domain(const std::string& domain, const std::vector<Found>&);

  std::vector<Identifier> identifiers_;
  Lookups lookups_;
  DmarcVerdict verdict_;
  std::string unknown_;  // the failure that left something open
  bool done_ = false;
};

}  // namespace spoold::auth
