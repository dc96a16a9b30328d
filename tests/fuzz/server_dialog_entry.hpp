// What the fuzzer and the replay of its corpus run: any octets as a client's input, cut into pieces, must end
// in the same state and the same words as in one piece, and never in an open content with something
// committed.
#pragma once
#include <string>

#include "protocol/mail/ascii.hpp"
#include "tests/fuzz/input.hpp"
#include "tests/protocol/smtp/dialog_script.hpp"

namespace spoold::tests {

/// The first octet chooses protocol and piece size; some are a port of submission under TLS.
inline void fuzz_server_dialog(std::string_view data) {
  if (data.empty()) return;
  const auto choice = static_cast<unsigned char>(data.front());
  data.remove_prefix(1);
  smtp::ServerProfile profile;
  profile.lmtp = (choice & 1) != 0;
  profile.submission = profile.starttls = choice % 32 == 14;
  profile.content = {.size = 2000, .line = 300, .header = 1000, .received = 3};
  profile.max_line = 200;
  Driver driver(profile);
  const std::size_t piece = 1 + choice / 2;
  if (profile.submission)
    for (const char* line : {"EHLO c.example\r\n", "STARTTLS\r\n", "EHLO c.example\r\n"}) driver.feed(line);
  const auto fresh = [&] { return driver.dialog.transaction() == smtp::Transaction{}; };
  while (!data.empty() && !driver.closed) {
    const std::size_t commits = driver.committed.size();
    driver.feed(data.substr(0, piece));
    data.remove_prefix(std::min(piece, data.size()));
    if (piece == 1 && driver.committed.size() != commits) must(fresh());
    if (driver.dialog.phase() == smtp::ServerDialog::Phase::ready || driver.closed) must(fresh());
    must(driver.pending.size() < (profile.submission ? smtp::sasl::max_line + 2 : profile.max_line));
    must(!driver.dialog.may_relay() || (driver.dialog.user() == "anne" && !driver.dialog.tls().empty()));
    must(driver.content.size() <= profile.content.size);
  }
  must(driver.out.size() < 4 || driver.out.ends_with("\r\n"));
  must(mail::is_ascii(driver.out));
}

/// Framing of BDAT. Of each pair of octets one chooses the size of a chunk and what is wrong with it, the other how it is cut;
/// the rest is content, of BINARYMIME where the second bit of
/// the first octet is set. No octet of a chunk may be read as a command, whatever is answered: the QUIT behind all of them is.
inline void fuzz_bdat(std::string_view data) {
  Input input{data};
  smtp::ServerProfile profile;
  const unsigned choice = input.octet();
  profile.lmtp = (choice & 1) != 0;
  const std::string mail =
      (choice & 2) != 0 ? "MAIL FROM:<a@c.example> BODY=BINARYMIME\r\n" : "MAIL FROM:<a@c.example>\r\n";
  profile.content = {.size = 500, .line = 100, .header = 300, .received = 3};
  profile.max_errors = 1 << 30;
  Driver driver(profile, true, {.trusted_network = true, .local = false});
  const auto feed = [&](std::string_view text, std::size_t piece) {
    for (; !text.empty(); text.remove_prefix(std::min(piece, text.size())))
      driver.feed(text.substr(0, piece));
  };
  feed(profile.lmtp ? "LHLO c.example\r\n" : "EHLO c.example\r\n", 1000);
  std::string whole;
  bool in_doubt = false;
  for (int i = 0; i < 20 && !input.data.empty(); ++i) {
    const unsigned what = input.octet(), piece = 1 + input.octet() % 40;
    if (what % 4 == 0) {
      feed("RSET\r\n" + mail + "RCPT TO:<b@mx.example>\r\n", piece);
      whole.clear();
      in_doubt = false;
    }
    const std::string chunk = input.take(what / 4);
    const bool last = what % 4 == 1;
    const std::size_t commits = driver.committed.size();
    const bool open = driver.dialog.phase() == smtp::ServerDialog::Phase::rcpt ||
                      driver.dialog.phase() == smtp::ServerDialog::Phase::chunks;
    feed("BDAT " + std::to_string(chunk.size()) + (last ? " LAST\r\n" : "\r\n") + chunk, piece);
    must(!driver.closed && driver.pending.empty());
    whole += chunk;
    in_doubt = in_doubt || !open;
    if (driver.committed.size() == commits) continue;
    const std::string& got = driver.committed.back();
    must(last && !in_doubt && (got == whole || got == whole + "\r\n"));
    const bool ends_in_header = driver.last.header_size == driver.last.size;
    must((choice & 2) == 0 || got == whole || ends_in_header);
    must((choice & 2) != 0 || !driver.last.binary);
  }
  feed("QUIT\r\n", 3);
  must(driver.closed && driver.out.ends_with("221 2.0.0 bye\r\n"));
}

/// The first octet chooses the piece size; the answer must be that of one piece.
inline void fuzz_data_reader(std::string_view data) {
  if (data.empty()) return;
  const std::size_t piece = 1 + static_cast<unsigned char>(data.front());
  data.remove_prefix(1);
  const smtp::DataLimits limits{.size = 500, .line = 100, .header = 300, .received = 2};
  smtp::DataReader whole(limits), cut(limits);
  std::string content, pieces;
  const std::size_t taken = whole.read(data, content);
  std::size_t at = 0;
  while (at < data.size() && !cut.ended()) at += cut.read(data.substr(at, piece), pieces);
  must(at == taken && whole.ended() == cut.ended() && whole.refusal() == cut.refusal());
  must(whole.size() == cut.size() && whole.header_size() == cut.header_size());
  must(whole.refused() || (content == pieces && content.size() == whole.size()));
  must(!whole.ended() || data.substr(0, taken).ends_with(".\r\n"));
}

}  // namespace spoold::tests
