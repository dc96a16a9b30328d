#include "server/admin/retry_waiting.hpp"

#include <algorithm>
#include <utility>

#include "store/spool/spool.hpp"
#include "store/txn.hpp"

namespace spoold::server::admin {
namespace {

constexpr std::size_t at_once = 1000;  // ranges of a Read, wishes of a change

}  // namespace

store::Result<void> RetryWaiting::on(const std::string& route) {
  store::spool::Later place;
  place.at = request_.store.now();
  place.message = ~store::Id{0};
  while (true) {
    if (request_.stopping)
      return tl::unexpected(stopped_at(std::to_string(recipients) + " recipients were made due"));
    const auto page = [&] {
      const store::Read read(request_.store);
      return store::spool::later(read, route, place, at_once);
    }();
    for (store::spool::Later one : page) {
      place = one;
      if (one.at <= request_.store.now()) continue;  // due meanwhile, or made due by us
      for (std::uint32_t piece; one.count > 0; one.first += piece, one.count -= piece) {
        piece = std::min<std::uint32_t>(one.count, at_once);
        const auto waiting = [&] {
          const store::Read read(request_.store);
          return store::spool::waiting(read, one, piece);
        }();
        for (const store::Recipient& recipient : waiting) {
          Wish wish;
          wish.edit.what = store::Edit::What::retry;
          wish.edit.number = recipient.number;
          wish.address = recipient.address;
          wishes_[one.message].push_back(std::move(wish));
        }
        wished_ += waiting.size();
        if (wished_ < at_once) continue;
        if (auto done = apply(); !done) return done;
      }
    }
    if (auto done = apply(); !done) return done;
    if (page.size() < at_once) return {};
  }
}

store::Result<void> RetryWaiting::apply() {
  for (auto& [message, wishes] : std::exchange(wishes_, {})) {
    std::size_t changed = wishes.size();
    if (!request_.dry_run) {
      const auto report = edit_recipients(request_.store, request_.lanes, message, std::move(wishes),
                                          request_.who, false, request_.stopping);
      const bool gone = !report && (report.error().kind == store::Error::Kind::not_found ||
                                    report.error().kind == store::Error::Kind::conflict);
      if (!report && !gone) return tl::unexpected(report.error());
      changed = report ? report->done.size() : 0;
    }
    recipients += changed;
    if (changed > 0) messages.insert(message);
  }
  wished_ = 0;
  return {};
}

}  // namespace spoold::server::admin
