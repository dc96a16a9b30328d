#include "tests/server/scripted_peer.hpp"

namespace spoold::server {

ScriptedPeer::ScriptedPeer(asio::io_context& io, bool lmtp)
    : acceptor_(io, asio::ip::tcp::endpoint(asio::ip::address_v4::loopback(), 0)), lmtp_(lmtp) {
  asio::co_spawn(io, accept(*this), asio::detached);
}

Awaitable<> ScriptedPeer::accept(ScriptedPeer& self) {
  for (;;) {
    auto [error, socket] = co_await self.acceptor_.async_accept(use);
    if (error) co_return;
    auto connection = std::make_shared<Connection>(std::move(socket), ++self.connections);
    self.all_.push_back(connection);
    ++self.open;
    std::error_code ignored;
    connection->socket.set_option(asio::ip::tcp::no_delay(true), ignored);
    if (!self.say(*connection, "banner", "", "220 peer.example")) {
      --self.open;
      continue;
    }
    asio::co_spawn(self.acceptor_.get_executor(), serve(self, connection), asio::detached);
  }
}

Awaitable<> ScriptedPeer::serve(ScriptedPeer& self, std::shared_ptr<Connection> connection) {
  Connection& c = *connection;
  std::array<char, 65536> buffer;
  bool alive = true;
  while (alive) {
    auto [error, n] = co_await c.socket.async_read_some(asio::buffer(buffer), use);
    if (error) break;
    const std::string bytes(buffer.data(), n);
    const std::size_t dot = bytes.find("\r\n.\r\n");
    if (c.data && dot != std::string::npos && bytes.find("MAIL FROM", dot) != std::string::npos)
      ++self.dots_with_company;
    c.in += bytes;
    std::size_t from = 0;
    for (std::size_t end; alive && (end = c.in.find("\r\n", from)) != std::string::npos; from = end + 2)
      alive = self.line(c, c.in.substr(from, end - from));
    c.in.erase(0, from);
  }
  std::error_code ignored;
  c.socket.close(ignored);
  --self.open;
}

bool ScriptedPeer::say(Connection& c, const std::string& stage, const std::string& argument,
                       const std::string& ordinary, std::string* said) {
  if (c.silent) return true;
  std::string answer = script ? script(stage, argument) : "";
  if (answer.empty()) answer = ordinary;
  if (said != nullptr) *said = answer;
  std::error_code ignored;
  if (answer == "!silent") {
    c.silent = true;
    return true;
  }
  if (answer == "!close") return false;
  if (answer == "!reset") {
    c.socket.set_option(asio::socket_base::linger(true, 0), ignored);
    return false;
  }
  const bool close = answer.starts_with("!close:");
  if (close) answer.erase(0, 7);
  asio::write(c.socket, asio::buffer(answer + "\r\n"), ignored);
  return !close && !ignored;
}

void ScriptedPeer::hang_up() {
  std::error_code ignored;
  for (const auto& weak : all_)
    if (const auto connection = weak.lock()) connection->socket.close(ignored);
}

bool ScriptedPeer::line(Connection& c, const std::string& text) {
  if (c.data) {
    if (text != ".") {
      c.mail.content += (text.starts_with(".") ? text.substr(1) : text) + "\r\n";
      return true;
    }
    c.data = false;
    Got mail = std::exchange(c.mail, {});
    mail.connection = c.number;
    log.push_back(std::to_string(c.number) + ": .");
    if (!lmtp_) {
      std::string said;
      const bool alive = say(c, "dot", mail.sender, "250 queued", &said);
      if (said.starts_with("2")) got.push_back(std::move(mail));
      return alive;
    }
    Got kept = mail;
    kept.rcpts.clear();
    for (const std::string& rcpt : mail.rcpts) {
      std::string said;
      const bool alive = say(c, "dot", rcpt, "250 stored", &said);
      if (said.starts_with("2")) kept.rcpts.push_back(rcpt);
      if (!alive) return false;
    }
    if (!kept.rcpts.empty()) got.push_back(std::move(kept));
    return true;
  }
  log.push_back(std::to_string(c.number) + ": " + text);
  const auto inner = [&] {
    const std::size_t from = text.find('<'), to = text.find('>');
    return text.substr(from + 1, to - from - 1);
  };
  std::string said;
  if (text.starts_with("EHLO") || text.starts_with("LHLO"))
    return say(c, "ehlo", text.substr(5),
               std::string("250-peer\r\n") + (pipelining ? "250-PIPELINING\r\n" : "") +
                   (eight_bit ? "250-8BITMIME\r\n" : "") + "250 SIZE 10000000");
  if (text.starts_with("MAIL")) {
    c.mail = {};
    c.mail.sender = inner();
    return say(c, "mail", c.mail.sender, "250 ok");
  }
  if (text.starts_with("RCPT")) {
    const bool alive = say(c, "rcpt", inner(), "250 ok", &said);
    if (said.starts_with("2")) c.mail.rcpts.push_back(inner());
    return alive;
  }
  if (text == "DATA") {
    if (c.mail.rcpts.empty()) return say(c, "data", "", "503 no recipients");
    const bool alive = say(c, "data", c.mail.sender, "354 go", &said);
    c.data = said.starts_with("354");
    return alive;
  }
  if (text == "RSET") return say(c, "rset", "", "250 ok");
  if (text == "QUIT") {
    say(c, "quit", "", "221 bye");
    return false;
  }
  return say(c, "unknown", text, "500 what");
}

}  // namespace spoold::server
