// The end of a connection: which command was the oldest without a reply (isolation.md section 2), and what
// had been sent of the transactions that were open.
#include <algorithm>
#include <utility>

#include "protocol/mail/utf8.hpp"
#include "protocol/smtp/client_dialog.hpp"

namespace spoold::smtp {
namespace {

using How = Drop::How;

// What was heard before EHLO was answered may be long.
void cut(std::string& words) {
  constexpr std::size_t most = 1000;
  if (words.size() > most) words.resize(mail::utf8_front(words, most).size());
}

std::string sentence(How how, Stage stage, const std::string& words) {
  const std::string at = text(stage);
  const bool content = stage == Stage::content;
  const std::string waiting = stage == Stage::none       ? " between commands"
                              : content                  ? " while sending the content"
                              : stage == Stage::greeting ? " while waiting for the greeting"
                                                         : " while waiting for the reply to " + at;
  switch (how) {
    case How::closed:
      return "connection closed" + waiting;
    case How::reset:
      return "connection reset" + waiting;
    case How::timeout:
      return "timed out" + waiting;
    case How::reply_421:
      if (stage == Stage::none || content) return "the peer ended the connection" + waiting + ": " + words;
      return "the peer ended the connection in reply to " + at + ": " + words;
    case How::garbage:
      return "protocol error" + waiting + ": " + words;
    case How::ours:
      return "we ended the connection" + waiting;
  }
  return "connection lost" + waiting;
}

}  // namespace

void ClientDialog::die(How how, const Reply& reply, std::string words) {
  dead_ = true;
  drop_.how = how;
  drop_.reply = reply;
  cut(drop_.reply.text);
  drop_.text = words.empty() ? drop_.reply.oneline() : std::move(words);
  cut(drop_.text);
}

void ClientDialog::partly_written(std::size_t commands, std::size_t contents) {
  written_ = output_at_ + commands + contents;
}

void ClientDialog::end(How how) {
  left_in_order_ = open_.empty() && (said_bye_ || (quit_written_ && !dead_));
  // What the kernel never took was never sent.
  while (!expected_.empty() && expected_.back().end > written_) {
    const Expected& last = expected_.back();
    if (last.open != nullptr) {
      Observation& seen = last.open->seen;
      if (last.command == Command::mail) seen.mail_sent = false;
      if (last.command == Command::rcpt) seen.rcpts_sent = std::min(seen.rcpts_sent, last.position);
      if (last.command == Command::data) seen.data_sent = false;
      if (last.command == Command::dot) {
        seen.dot_sent = false;
        seen.content_sent = written_ >= last.open->content_at;
      }
    }
    expected_.pop_back();
  }

  // The first line of a refusal is a verdict, although the connection ended before its last line.
  if (const Reply& begun = reader_.begun(); !dead_ && begun.code >= 400 && begun.code != 421 &&
                                            !expected_.empty() &&
                                            expected_.front().command == Command::rcpt) {
    take_rcpt(expected_.front(), begun);
    expected_.pop_front();
  }

  Stage stage = opening_.stage();  // none once it is done
  const auto oldest = std::find_if(expected_.begin(), expected_.end(),
                                   [](const Expected& e) { return e.command != Command::rset; });
  if (oldest != expected_.end()) {
    switch (oldest->command) {
      case Command::opening:
        break;
      case Command::mail:
        stage = Stage::mail;
        break;
      case Command::rcpt:
        stage = Stage::rcpt;
        break;
      case Command::data:
        stage = Stage::data;
        break;
      case Command::dot:
        stage = Stage::dot;
        break;
      case Command::rset:
      case Command::quit:
        break;
    }
  } else if (!open_.empty() && (open_.front().go_ahead || open_.front().seen.content_sent)) {
    stage = Stage::content;
  }

  if (!dead_) {
    drop_.how = how;
    drop_.text = sentence(how, stage, {});
  } else {
    drop_.text = sentence(drop_.how, stage, drop_.text);
  }
  if (!fault_.empty()) drop_.text = fault_;
  drop_.oldest = stage;
  dead_ = true;
}

std::vector<Observation> ClientDialog::take_open() {
  std::vector<Observation> all;
  for (Open& open : open_) {
    // One answer a recipient is owed after the dot; those not read are empty (LMTP: in doubt one by one).
    if (open.seen.dot_sent) open.seen.dot.resize(std::max<std::size_t>(open.dots, 1));
    all.push_back(std::move(open.seen));
  }
  open_.clear();
  return all;
}

}  // namespace spoold::smtp
