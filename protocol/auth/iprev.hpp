// Does a client's address have a name, and the name that address (RFC 8601 3, "iprev")? A machine without sockets
// (lookups.hpp). At most most_names names of the address are looked at; one that leads back is enough.
// Failures: a failure of DNS is temperror, unless some name leads back.
//
// Beside it: what a client may call itself in HELO (RFC 5321 4.1.4 forbids to refuse mail for a name that DNS does not know;
// what is looked at here is its form, and whether it claims to be this server).
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/auth/lookups.hpp"

namespace spoold::auth {

enum class Iprev : std::uint8_t { pass, fail, temperror };
const char* text(Iprev);

class IprevCheck {
 public:
  static constexpr std::size_t most_names = 10;

  explicit IprevCheck(const dns::Address& client);

  std::vector<dns::Question> ask() { return lookups_.ask(); }
  void answered(const dns::Question&, dns::Answer);
  bool done() const { return done_; }
  Iprev result() const { return result_; }
  /// In words, for people: "192.0.2.1 has no name".
  const std::string& problem() const { return problem_; }

 private:
  void run();
  void finish(Iprev result, std::string problem = {});

  const dns::Address client_;
  Lookups lookups_;
  Iprev result_ = Iprev::temperror;
  std::string problem_;
  bool done_ = false;
};

/// What is wrong with the name that a client gives in HELO or EHLO; nothing: it may be its own. `own`: this server's name.
std::optional<std::string> helo_fault(std::string_view hello, const dns::Address& client,
                                      std::string_view own);

}  // namespace spoold::auth
