// Reports made inside the writer's transactions: joins what is due (spool/report.hpp), how a report is sent
// (Options::report) and its acceptance (spool/accept.hpp), so that what is reported and the report are one commit.
// Failures: as spool/accept.hpp; then the transaction's change as a whole did not happen and is tried again.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "store/spool/report.hpp"
#include "store/store.hpp"

namespace spoold::store {

class Reporting {
 public:
  /// To be told after the commit.
  struct Made {
    MadeReport report;
    std::vector<std::string> routes;  // to be woken
  };

  Reporting(const Options& options, std::function<std::string(std::string_view)> route)
      : options_(options), route_(std::move(route)) {}

  /// Whether slice() would do something.
  bool due(const Read&, TimePoint now) const;
  /// Makes due reports, at least one. True: there are no more.
  Result<bool> slice(Write&, const Enough&, std::vector<Made>&) const;
  /// The report of this message, if one is due.
  Result<void> one(Write&, Id, std::vector<Made>&) const;

 private:
  Result<void> send(Write&, spool::DueReport, std::vector<Made>&) const;
  const Options& options_;
  std::function<std::string(std::string_view)> route_;
};

}  // namespace spoold::store
