// SPF: may this client send mail for that domain? check_host() of RFC 7208 as a machine without sockets (lookups.hpp).
//
// Guarantees: it ends. At most 10 terms that ask (include, a, mx, ptr, exists, redirect, and the first %{p}: 4.6.4), at
// most 2 answers without records, 10 names of an MX and 10 of a PTR; beyond these the result is permerror (PTR: the first
// 10 names count). A failure of DNS is temperror, but for PTR (no match) and for exp= (no explanation). Records and
// answers are hostile input: the explanation is printable ASCII.
//
// See also: spf_record.hpp (the grammar).
#pragma once
#include <string>
#include <vector>

#include "protocol/auth/lookups.hpp"
#include "protocol/auth/spf_record.hpp"
#include "protocol/time.hpp"

namespace spoold::auth {

enum class SpfResult : std::uint8_t { none, neutral, pass, fail, softfail, temperror, permerror };
const char* text(SpfResult);  // "softfail"

/// One SMTP transaction.
struct SpfQuery {
  dns::Address client;    // ::ffff:192.0.2.1 is treated as 192.0.2.1 (RFC 7208 5)
  std::string helo;       // as the client wrote it
  std::string mail_from;  // without angle brackets; empty: the identity is postmaster@HELO (2.4)
  std::string receiver;   // this server's name, for %{r}
  TimePoint now;          // for %{t}
};

struct SpfVerdict {
  SpfResult result = SpfResult::none;
  std::string domain;  // that was judged
  std::string
      mechanism;  // that matched, as in the record of `domain`; "default": none did; empty: no verdict of a record
  std::string explanation;  // of a fail, by the domain's exp=
  std::string problem;      // of none, temperror and permerror, for people
  int lookups = 0, void_lookups = 0;
};

class SpfCheck {
 public:
  static constexpr int most_lookups = 10, most_void_lookups = 2;
  static constexpr std::size_t most_names = 10;

  explicit SpfCheck(SpfQuery query);

  std::vector<dns::Question> ask() { return lookups_.ask(); }
  void answered(const dns::Question&, dns::Answer);
  bool done() const { return done_; }
  const SpfVerdict& verdict() const { return verdict_; }

 private:
  /// One record under evaluation: the first one's, or an include's.
  struct Frame {
    std::string domain;
    std::optional<SpfRecord> record;
    std::size_t next = 0;  // the mechanism at hand
    bool counted = false;  // as a term that asks
  };
  enum class Match : std::uint8_t { no, yes, wait, end };  // end: finish() was called

  void run();
  void step();
  void read_record(Frame&);
  Match match(Frame&, const SpfMechanism&);
  Match match_a(const std::string& name, const SpfMechanism&);
  Match match_mx(const std::string& name, const SpfMechanism&);
  Match match_ptr(const std::string& name);
  Match match_exists(const std::string& name);
  Match answer_void(const dns::Answer&);
  bool count(Frame&);
  bool count_lookup();
  void leave(SpfResult result);
  void redirect(Frame&);
  void explain();
  bool holds(const std::string& rdata, const SpfMechanism&) const;
  std::optional<std::vector<std::string>> validated_names(const std::string& below);
  std::optional<std::string> macro_p(const std::string& domain);
  std::optional<std::string> expand(const MacroString&, const std::string& domain);
  std::optional<std::string> target(const Frame&, const MacroString&);
  void finish(SpfResult result, std::string problem = {});

  SpfQuery query_;
  std::string sender_, local_, sender_domain_;
  dns::Type address_type_;
  Lookups lookups_;
  std::vector<Frame> frames_;
  std::optional<MacroString> explanation_;  // of the fail; its domain is explained_by_
  std::string explained_by_;
  bool counted_p_ = false, explaining_ = false, done_ = false;
  int voids_of_term_ = 0;  // counted when the term is through
  SpfVerdict verdict_;
};

}  // namespace spoold::auth
