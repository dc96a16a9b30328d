// What the fuzzer and the replay of its corpus run: any octets as a server's words up to where mail can be
// sent (greeting, EHLO, STARTTLS, AUTH). Whatever it says: the password goes out under TLS only, or where
// nobody listens; where TLS is demanded nothing is established without it; what was heard before the
// handshake is forgotten; it ends.
#pragma once
#include <memory>
#include <string_view>

#include "protocol/mail/base64.hpp"
#include "protocol/smtp/client_dialog.hpp"
#include "tests/fuzz/input.hpp"

namespace spoold::tests {

/// The first octet chooses protocol, TLS, credentials and what becomes of a handshake; the second the piece
/// size.
inline void fuzz_opening(std::string_view data) {
  using Use = smtp::TlsPlan::Use;
  if (data.size() < 2) return;
  const auto choice = static_cast<unsigned char>(data[0]);
  const std::size_t piece = 1 + static_cast<unsigned char>(data[1]);
  data.remove_prefix(2);
  smtp::ClientDialog::Options options;
  options.lmtp = (choice & 1) != 0;
  options.hostname = "me";
  options.tls.use = static_cast<Use>((choice >> 1) % 3);
  options.tls.policy = "required";
  options.tls.implicit = (choice & 8) != 0 && options.tls.use != Use::never;
  options.tls.plain_auth = (choice & 16) != 0;
  const bool breaks = (choice & 128) != 0;
  if ((choice & 32) != 0)
    options.credentials = std::make_shared<const smtp::Credentials>(
        smtp::Credentials{"spoold", "secret", (choice & 64) != 0 ? "no password file" : ""});

  smtp::ClientDialog dialog(options);
  bool secure = false;
  int commands = 0;
  smtp::ClientDialog::Output out;
  const auto pull = [&] {
    while (!dialog.wants_handshake() && dialog.output(out, {})) {
      must(!dialog.failed() && !dialog.established() && out.contents.empty());
      must(out.commands.ends_with("\r\n") && ++commands <= 10);
      const bool open_to_all = !secure && !options.tls.plain_auth;
      for (const std::string& secret : {mail::base64_encode("spoold"), mail::base64_encode("secret"),
                                        mail::base64_encode(std::string("\0spoold\0secret", 14))})
        must(out.commands.find(secret) == std::string::npos || (options.credentials && !open_to_all));
      dialog.written();
    }
  };
  pull();
  while (!dialog.failed() && !dialog.established()) {
    if (dialog.wants_handshake()) {
      must(options.tls.use != Use::never && !secure);
      if (breaks) {
        dialog.handshake_failed("handshake: broken");
        must(dialog.failed() && dialog.tls_broke());
        break;
      }
      secure = true;
      dialog.secured();
      const smtp::Capabilities& now = dialog.offered();
      must(!now.starttls && !now.auth_plain && !now.pipelining && !now.size);
    } else if (data.empty()) {
      break;
    } else {
      dialog.received(data.substr(0, piece));
      data.remove_prefix(std::min(piece, data.size()));
    }
    pull();
  }
  must(!dialog.established() || secure || options.tls.use != Use::must);
  must(!dialog.established() || dialog.failed() || dialog.wants_next());
  dialog.end(smtp::Drop::How::closed);
  must(!dialog.drop().text.empty() && dialog.take_open().empty() && dialog.take_finished().empty());
}

}  // namespace spoold::tests
