// What the fuzzer and the replay of its corpus run: any octets as a server's replies. Every transaction begun
// must be in exactly one observation, in order, and nothing may be written after the dialog failed or said
// QUIT.
#pragma once
#include <string_view>

#include "protocol/smtp/client_dialog.hpp"
#include "tests/fuzz/input.hpp"

namespace spoold::tests {

/// The first octet chooses protocol, pipelining, whether CHUNKING is trusted, and the window; the second the
/// piece size.
inline void fuzz_client_dialog(std::string_view data) {
  if (data.size() < 2) return;
  const auto choice = static_cast<unsigned char>(data[0]);
  const std::size_t piece = 1 + static_cast<unsigned char>(data[1]);
  data.remove_prefix(2);
  smtp::ClientDialog dialog(
      {(choice & 1) != 0, "me", static_cast<smtp::ClientDialog::Pipelining>((choice >> 1) % 3), {}});
  const std::uint32_t window = 1 + choice / 64;
  const bool chunked = (choice & 32) != 0;
  std::vector<smtp::Observation> seen;
  std::uint32_t begun = 0;
  bool quit = false;
  smtp::ClientDialog::Output out;
  const auto pull = [&] {
    for (;;) {
      bool fresh = false;
      while (begun < 5 && dialog.wants_next()) {
        smtp::ClientDialog::Mail mail;
        mail.plan.message = begun++;
        mail.plan.window = window;
        mail.plan.overlap = true;
        mail.plan.chunked = chunked;
        mail.plan.recipients = {1, 2, 3};
        mail.addresses = {"a@b", "j\xc3\xb6rg@b", "c@b"};
        mail.size = 100;
        mail.utf8 = mail.plan.message == 3;
        mail.binary = mail.plan.message == 2;
        mail.require_tls = mail.plan.message == 4;
        mail.dsn = {smtp::Ret::headers, "id"};
        mail.list_copies = (mail.plan.message & 1) != 0;
        if (!mail.list_copies) mail.requests = {{smtp::notify_never, ""}, {}, {0, "rfc822;c+2Bb"}};
        dialog.begin(std::move(mail));
        fresh = true;
      }
      if (begun == 5 && dialog.idle()) dialog.quit();
      const bool more = dialog.output(out, [](smtp::MessageId, std::uint32_t number) { return number != 3; });
      must(!more || (!quit && !dialog.failed()));
      quit = quit || (more && out.commands.ends_with("QUIT\r\n"));
      if (more) dialog.written();
      for (smtp::Observation& one : dialog.take_finished()) seen.push_back(std::move(one));
      if (!more && !fresh) return;
    }
  };
  while (!data.empty() && !dialog.failed() && !dialog.finished()) {
    dialog.received(data.substr(0, piece));
    data.remove_prefix(std::min(piece, data.size()));
    for (smtp::Observation& one : dialog.take_finished()) seen.push_back(std::move(one));
    pull();
  }
  dialog.end(smtp::Drop::How::closed);
  for (smtp::Observation& one : dialog.take_open()) seen.push_back(std::move(one));
  must(seen.size() == begun);
  for (std::uint32_t i = 0; i < begun; ++i) {
    must(seen[i].message == i && seen[i].rcpt.size() == 3 && seen[i].rcpts_sent <= 3);
    must(!seen[i].dot_sent || seen[i].content_sent);
    must(!seen[i].content_sent || seen[i].chunked || (seen[i].data && seen[i].data->code / 100 == 3));
    must(!seen[i].chunked || ((chunked || i == 2) && !seen[i].data_sent && seen[i].dot.size() <= 1));
    must(!seen[i].data_sent || seen[i].mail_sent);
    must(i != 2 || (!seen[i].data_sent && (choice & 1) * seen[i].content_sent == 0));
  }
  must(!dialog.drop().text.empty());
}

}  // namespace spoold::tests
