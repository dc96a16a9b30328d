// What the fuzzer and the replay of its corpus run: any octets as a client's input, cut into pieces, must end
// in the same state and the same words as in one piece, and never in an open content with something
// committed.
#pragma once
#include <string>

#include "tests/fuzz/input.hpp"
#include "tests/protocol/smtp/dialog_script.hpp"

namespace spoold::tests {

/// The first octet chooses protocol and piece size.
inline void fuzz_server_dialog(std::string_view data) {
  if (data.empty()) return;
  const auto choice = static_cast<unsigned char>(data.front());
  data.remove_prefix(1);
  smtp::ServerProfile profile;
  profile.lmtp = (choice & 1) != 0;
  profile.content = {.size = 2000, .line = 300, .header = 1000, .received = 3};
  profile.max_line = 200;
  Driver driver(profile);
  const std::size_t piece = 1 + choice / 2;
  const auto fresh = [&] { return driver.dialog.transaction() == smtp::Transaction{}; };
  while (!data.empty() && !driver.closed) {
    const std::size_t commits = driver.committed.size();
    driver.feed(data.substr(0, piece));
    data.remove_prefix(std::min(piece, data.size()));
    if (piece == 1 && driver.committed.size() != commits) must(fresh());
    if (driver.dialog.phase() == smtp::ServerDialog::Phase::ready || driver.closed) must(fresh());
    must(driver.pending.size() < profile.max_line);
    must(driver.content.size() <= profile.content.size);
  }
  must(driver.out.size() < 4 || driver.out.ends_with("\r\n"));
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
