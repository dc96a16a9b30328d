// spoolctl's end of the control socket. Blocking, with time limits; plain POSIX, because spoolctl needs no
// event loop.
#pragma once
#include <chrono>
#include <string>

#include <tl/expected.hpp>

#include "server/admin/json.hpp"

namespace spoold::server::admin {

class ControlClient {
 public:
  struct Failure {
    enum class Kind { absent, silent, refused } kind;  // refused: no permission
    std::string text;
  };

  /// Connects and asks for a ping: a daemon that does not answer it within `patience` is silent.
  static tl::expected<ControlClient, Failure> connect(const std::string& path,
                                                      std::chrono::milliseconds patience);
  ControlClient(ControlClient&&) noexcept;
  ControlClient& operator=(ControlClient&&) = delete;
  ~ControlClient();

  tl::expected<Json, Failure> ask(const Json& request, std::chrono::milliseconds patience);

 private:
  explicit ControlClient(int socket) : socket_(socket) {}
  int socket_;
  std::string received_;
};

}  // namespace spoold::server::admin
