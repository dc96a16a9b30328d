#include "server/delivery/reporter.hpp"

#include <algorithm>

#include "server/log.hpp"

namespace spoold::server {
namespace {

// A quarter of what is waited for: a look is one read of the store.
Duration looks(Duration report_wait, Duration delay_warning) {
  if (delay_warning > Duration{}) report_wait = std::min(report_wait, delay_warning);
  return std::clamp<Duration>(report_wait / 4, std::chrono::milliseconds(100), std::chrono::seconds(15));
}

}  // namespace

Reporter::Reporter(asio::io_context& io, store::Store& store, Duration report_wait, Duration delay_warning)
    : io_(io), store_(store), every_(looks(report_wait, delay_warning)), timer_(io) {}

Reporter::~Reporter() {
  *alive_ = false;
}

void Reporter::start() {
  look();
}

void Reporter::stop() {
  stopped_ = true;
  timer_.cancel();
}

void Reporter::look() {
  if (stopped_) return;
  store_.make_reports(store_.now(), [this, io = &io_, alive = alive_](const store::Result<void>& made) {
    const std::string failed = made ? std::string() : made.error().text;
    asio::post(*io, [this, alive, failed] {
      if (!*alive) return;
      if (!failed.empty()) log::event(log::Level::error, "report", {{"reply", failed}});
      wait();
    });
  });
}

void Reporter::wait() {
  if (stopped_) return;
  timer_.expires_after(every_);
  timer_.async_wait([this, alive = alive_](std::error_code error) {
    if (!error && *alive) look();
  });
}

void log_report(const store::MadeReport& report) {
  const std::string about = store::id_text(report.about);
  if (report.id == 0) {
    log::event(log::Level::warning, "report",
               {{"qid", about}, {"reply", "nobody can be told: no postmaster is configured here"}});
    return;
  }
  const std::string qid = store::id_text(report.id);
  log::event(log::Level::info, "report",
             {{"qid", qid}, {"about", about}, {"to", report.to}, {"reply", report.subject}});
}

}  // namespace spoold::server
