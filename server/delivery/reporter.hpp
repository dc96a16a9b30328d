// Lets the store make the reports that have become due (store::Store::make_reports): failures that were kept back
// to be reported together, and delays. One timer for the whole daemon, on one thread.
#pragma once
#include <memory>

#include "server/asio.hpp"
#include "store/store.hpp"

namespace spoold::server {

class Reporter {
 public:
  Reporter(asio::io_context& io, store::Store& store, Duration report_wait, Duration delay_warning);
  ~Reporter();
  void start();
  void stop();

 private:
  void look();
  void wait();

  asio::io_context& io_;
  store::Store& store_;
  Duration every_;
  asio::steady_timer timer_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  bool stopped_ = false;
};

/// store::Options::on_report: the log's line.
void log_report(const store::MadeReport& report);

}  // namespace spoold::server
