// Looks at the readers of the store every 10 s: frees the slots of processes that were killed in a Read, and logs
// (event=reader) each process that has read one old state for more than 5 s, because the store grows as long as it
// does. One timer for the whole daemon. Lives on one thread.
#pragma once
#include "server/asio.hpp"
#include "store/store.hpp"

namespace spoold::server {

class StoreReaders {
 public:
  StoreReaders(asio::io_context& io, store::Store& store) : store_(store), timer_(io) {}
  void start();
  void stop();

 private:
  void look();

  store::Store& store_;
  asio::steady_timer timer_;
  bool stopped_ = false;
};

}  // namespace spoold::server
