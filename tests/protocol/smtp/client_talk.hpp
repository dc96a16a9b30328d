// A talk with a ClientDialog as a script: "C" lines are one write of the client, "S" lines are read by it.
// replay() runs it whole, then with the connection closed before every step; every recipient must be
// accounted for each time.
#pragma once
#include <doctest/doctest.h>

#include <set>

#include "protocol/smtp/client_dialog.hpp"

namespace spoold::smtp {

struct Step {
  bool client;
  std::string bytes;
};

inline Step C(std::string text) {
  return {true, std::move(text)};
}
inline Step S(std::string text) {
  return {false, std::move(text)};
}

inline ClientDialog::Mail mail(smtp::MessageId message, std::vector<std::string> addresses,
                               std::uint32_t window = 32) {
  ClientDialog::Mail m;
  m.plan.message = message;
  m.plan.window = window;
  m.plan.overlap = true;
  for (std::uint32_t i = 0; i < addresses.size(); ++i) m.plan.recipients.push_back(i);
  m.sender = "s@x";
  m.addresses = std::move(addresses);
  return m;
}

// A content of 3 octets and its line's end; the final dot only where it goes by DATA.
inline std::string text_of(const ClientDialog::Output& out) {
  std::string all;
  std::size_t from = 0;
  for (const auto& content : out.contents) {
    all += out.commands.substr(from, content.at - from) + "<" + std::to_string(content.message) + ">\r\n";
    if (!content.chunk) all += ".\r\n";
    from = content.at;
  }
  return all + out.commands.substr(from);
}

struct Talk {
  explicit Talk(ClientDialog::Options options = {false, "me", ClientDialog::Pipelining::connection, {}})
      : dialog(std::move(options)) {}

  // Everything the dialog wants to write now, as one text.
  std::string pull() {
    std::string all;
    for (;;) {
      while (dialog.wants_next() && next < mails.size()) dialog.begin(mails[next++]);
      if (dialog.wants_next() && next == mails.size() && quit_at_end && dialog.idle()) dialog.quit();
      if (!dialog.output(
              out, [&](smtp::MessageId, std::uint32_t number) { return !withdrawn.contains(number); })) {
        if (dialog.wants_next() && next < mails.size()) continue;
        return all;
      }
      all += text_of(out);
      if (stop_after && all.size() > *stop_after) return all;
      dialog.written();
    }
  }

  ClientDialog dialog;
  ClientDialog::Output out;
  std::vector<ClientDialog::Mail> mails;
  std::set<std::uint32_t> withdrawn;
  std::size_t next = 0;
  bool quit_at_end = true;
  std::optional<std::size_t> stop_after;
};

inline std::string crlf(std::string_view text) {
  std::string all;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    all += std::string(line) + "\r\n";
  }
  return all;
}

using Script = std::vector<Step>;

// Every recipient of every transaction begun is in exactly one observation, finished ones before open ones.
inline void check_accounts(Talk& talk, std::vector<Observation> finished) {
  const std::vector<Observation> open = talk.dialog.take_open();
  std::vector<Observation> all = std::move(finished);
  all.insert(all.end(), open.begin(), open.end());
  REQUIRE(all.size() == talk.next);
  for (std::size_t i = 0; i < all.size(); ++i) {
    CHECK(all[i].message == talk.mails[i].plan.message);
    CHECK(all[i].recipients == talk.mails[i].plan.recipients);
    CHECK(all[i].rcpt.size() == all[i].recipients.size());
    CHECK(all[i].rcpts_sent <= all[i].recipients.size());
    if (!all[i].mail_sent) CHECK(all[i].rcpts_sent == all[i].skipped.size());
    if (all[i].dot_sent) CHECK(all[i].content_sent);
    if (all[i].content_sent && !all[i].chunked) CHECK((all[i].data && all[i].data->code == 354));
    if (all[i].chunked) CHECK((!all[i].data_sent && !all[i].data));
    for (std::size_t r = 0; r < all[i].rcpt.size(); ++r)
      if (r >= all[i].rcpts_sent) CHECK(!all[i].rcpt[r].has_value());
  }
}

inline Talk fresh(const std::vector<ClientDialog::Mail>& mails, const ClientDialog::Options& options) {
  Talk talk(options);
  talk.mails = mails;
  return talk;
}

inline const ClientDialog::Options plain{false, "me", ClientDialog::Pipelining::connection, {}};

// Runs the script whole, then cut before each step.
inline void replay(const std::vector<ClientDialog::Mail>& mails, const Script& script,
                   ClientDialog::Options options = plain) {
  for (std::size_t cut = 0; cut <= script.size(); ++cut) {
    CAPTURE(cut);
    Talk talk = fresh(mails, options);
    std::vector<Observation> finished;
    for (std::size_t i = 0; i < cut; ++i) {
      CAPTURE(i);
      if (script[i].client) {
        REQUIRE(talk.pull() == crlf(script[i].bytes));
      } else {
        talk.dialog.received(crlf(script[i].bytes));
        if (i + 1 == script.size() || !script[i + 1].client) {
          if (!talk.dialog.finished() && i + 1 < script.size()) REQUIRE(talk.pull().empty());
        }
      }
      for (Observation& seen : talk.dialog.take_finished()) finished.push_back(std::move(seen));
    }
    talk.dialog.end(Drop::How::closed);
    check_accounts(talk, std::move(finished));
  }
}

inline const char* const offers =
    "250-hello\n250-PIPELINING\n250-SIZE 1000\n250-8BITMIME\n250 ENHANCEDSTATUSCODES";

}  // namespace spoold::smtp
