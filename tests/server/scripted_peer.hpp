// A next hop in the test's own loop: SMTP or LMTP, answers as a function says, keeps what it got.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "server/asio.hpp"

namespace spoold::server {

class ScriptedPeer {
 public:
  struct Got {
    std::string sender;
    std::vector<std::string> rcpts;  // accepted
    std::string content;             // unstuffed
    int connection = 0;
  };
  /// `stage`: banner ehlo mail rcpt data dot (LMTP: once a recipient) rset quit. Empty answer: the ordinary
  /// one. "!close", "!reset", "!silent" (from here on, on this connection), and "!close:REPLY" (says REPLY
  /// and closes) as well as any reply without CRLF.
  using Script = std::function<std::string(const std::string& stage, const std::string& argument)>;

  explicit ScriptedPeer(asio::io_context& io, bool lmtp = false);
  Script script;
  bool pipelining = true, eight_bit = true;
  std::vector<Got> got;
  std::vector<std::string> log;  // every command, "1: RCPT TO:<a@b>"
  int connections = 0, open = 0;
  int dots_with_company = 0;  // reads that held the end of a content and the next MAIL
  std::uint16_t port() const { return acceptor_.local_endpoint().port(); }
  std::string url() const {
    return (lmtp_ ? "lmtp://127.0.0.1:" : "smtp://127.0.0.1:") + std::to_string(port());
  }
  void refuse() { acceptor_.close(); }
  void hang_up();  // on everybody who is connected

 private:
  struct Connection {
    explicit Connection(asio::ip::tcp::socket s, int n) : socket(std::move(s)), number(n) {}
    asio::ip::tcp::socket socket;
    int number;
    std::string in;
    Got mail;
    bool data = false, silent = false;
  };
  static Awaitable<> accept(ScriptedPeer& self);
  static Awaitable<> serve(ScriptedPeer& self, std::shared_ptr<Connection> connection);
  /// False: the connection is over.
  bool line(Connection& c, const std::string& text);
  bool say(Connection& c, const std::string& stage, const std::string& argument, const std::string& ordinary,
           std::string* said = nullptr);

  asio::ip::tcp::acceptor acceptor_;
  std::vector<std::weak_ptr<Connection>> all_;
  bool lmtp_;
};

}  // namespace spoold::server
