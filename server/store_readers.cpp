#include "server/store_readers.hpp"

#include "server/log.hpp"

namespace spoold::server {
namespace {

constexpr auto every = std::chrono::seconds(10);

}  // namespace

void StoreReaders::start() {
  look();
}

void StoreReaders::stop() {
  stopped_ = true;
  timer_.cancel();
}

void StoreReaders::look() {
  if (stopped_) return;
  const store::ReadersFound found = store_.check_readers();
  if (found.dead > 0)
    log::event(
        log::Level::warning, "reader",
        {{"dead", found.dead},
         {"reply", "processes were killed while they read the store; what they pinned is free again"}});
  for (const store::OldReader& one : found.old)
    log::event(log::Level::warning, "reader",
               {{"pid", one.pid},
                {"seconds", std::chrono::duration_cast<std::chrono::seconds>(one.age).count()},
                {"behind", one.behind},
                {"reply",
                 "this process reads an old state of the store; the store grows until it ends: end it if it "
                 "hangs"}});
  timer_.expires_after(every);
  timer_.async_wait([this](const std::error_code& error) {
    if (!error) look();
  });
}

}  // namespace spoold::server
