// Who answers the questions of protocol/auth for a program that may wait: the DNS, by libunbound with the system's
// configuration or [resolver], or a master file that stands in its place (protocol/dns/zone_file.hpp).
//
// Guarantees: a question has its answer after 20 s at most, with status timeout when none came (RFC 7208 4.6.4). A file's
// answers come from the file alone. Failures: what cannot be set up or read is one sentence.
//
// The daemon's network threads do not wait: they use server/delivery/resolver.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include <tl/expected.hpp>

#include "conf/settings.hpp"
#include "protocol/dns/records.hpp"

namespace spoold::server {

class Asker {
 public:
  virtual ~Asker() = default;
  /// An answer for each question, in their order.
  virtual std::vector<dns::Answer> ask(const std::vector<dns::Question>& questions) = 0;

  /// Asks what a check of protocol/auth asks, until it asks nothing more.
  template <class Check>
  Check& answer(Check& check) {
    for (auto questions = check.ask(); !questions.empty(); questions = check.ask()) {
      auto answers = ask(questions);
      for (std::size_t i = 0; i < questions.size(); ++i) check.answered(questions[i], std::move(answers[i]));
    }
    return check;
  }
};

tl::expected<std::unique_ptr<Asker>, std::string> dns_asker(const conf::Resolver& settings);
tl::expected<std::unique_ptr<Asker>, std::string> file_asker(const std::string& path);

}  // namespace spoold::server
