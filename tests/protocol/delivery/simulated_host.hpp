// A remote that closes connections, as a pure machine: commands of one round trip go in, replies come out, on
// a virtual clock. It keeps the log that tests judge by: what each connection carried, what was accepted and
// how often.
#pragma once
#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "protocol/delivery/planner.hpp"

namespace spoold::delivery::sim {

/// How it ends a connection. silence: it does not end it, it is only slow: no reply comes any more, and when the
/// client has gone it works through whatever it had read.
enum class Manner { fin, rst, reply_421, silence };
enum class Replies {
  at_once,
  held_and_flushed,
  held_and_lost
};  // what becomes of a group's replies when it closes

struct Faults {
  std::set<std::string> culprits;  // it ends the connection at their RCPT, in this manner
  Manner manner = Manner::fin;
  std::map<std::string, Manner> manners;  // of single culprits
  std::set<std::string> slow;  // their RCPT is answered only after so long: late for a short patience
  Duration slowness{};
  Replies replies = Replies::at_once;
  std::string words_421 = "closing transmission channel";  // %r: the recipient
  smtp::EnhancedStatus status_421{};
  // As Postfix: with so many refused commands the next one is answered 421 "too many errors".
  std::uint32_t errors_at_most = 0;
  std::map<std::string, int> refused;  // 4xx or 5xx for these
  std::uint32_t rcpts_of_transaction = 0, rcpts_of_connection = 0, rejects = 0,
                messages = 0;       // closes after so many
  bool replies_to_the_last = true;  // does the RCPT that fills a limit still get its reply?
  Duration lives{};                 // closes when so old
  bool down = false;                // connects are refused
  bool hangs_up_after_reject = false;
  std::uint32_t drops_after = 0;  // rejects: whoever comes next has 550 and the end, as with Exim's `drop`
  bool lmtp = false;
  bool pipelining = true;
  bool chunking = false;      // with pipelining: whole transactions by BDAT, many at once
  bool closes_late = false;   // such an end is noticed only with the next commands
  std::size_t unwritten = 0;  // of what is behind the command it ends at, the last so many were never written
  std::set<MessageId> kills_at_dot, kills_at_data, kills_at_mail;  // messages that end the connection there
  std::uint32_t too_many_after = 0;  // further RCPTs of a transaction are refused by this reply
  smtp::Reply too_many{452, {4, 5, 3}, "too many recipients"};
};

struct Command {
  enum class What { mail, rcpt, data, dot, bdat } what = What::mail;
  MessageId message = 0;
  std::string address;
  std::size_t transaction = 0, position = 0;  // the client's, to find the place of the reply
};

struct ConnectionLog {
  std::uint32_t messages = 0, rcpts = 0, delivered = 0;
  std::vector<std::string> commands;
  bool dropped = false;
};

/// One connection at the remote.
class SimulatedConnection {
 public:
  SimulatedConnection(Faults& faults, std::map<std::pair<MessageId, std::string>, int>& accepted,
                      TimePoint now)
      : faults_(&faults), accepted_(&accepted), opened_(now) {}

  struct Answer {
    std::vector<std::optional<smtp::Reply>> replies;            // by command
    std::vector<std::vector<std::optional<smtp::Reply>>> dots;  // LMTP: by command, for a dot
    bool ended = false;
    Duration late{};  // the replies come so much later: a slow RCPT
    std::size_t slow_at = 0;
    Drop::How how = Drop::How::closed;
    smtp::Reply last;
  };

  Answer handle(const std::vector<Command>& group, TimePoint now) {
    Answer a;
    a.replies.resize(group.size());
    a.dots.resize(group.size());
    std::size_t done = 0;
    while (done < group.size() && !a.ended) {
      if (closing_ || (faults_->lives > Duration{} && now - opened_ >= faults_->lives))
        end(a, Manner::fin, nullptr);
      else
        one(group[done], a, done);
      ++done;
    }
    if (a.ended && a.how == Drop::How::timeout) work_on(group, done - 1);
    const bool kept_back = faults_->replies == Replies::held_and_lost ||
                           (faults_->replies == Replies::held_and_flushed && a.how == Drop::How::timeout);
    if (a.ended && kept_back) {
      a.replies.assign(group.size(), std::nullopt);
      a.dots.assign(group.size(), {});
    }
    return a;
  }

  bool closing() const { return closing_; }

  ConnectionLog log;

 private:
  /// The client waits in vain for the reply to group[from]; what it wrote is taken all the same, later.
  void work_on(const std::vector<Command>& group, std::size_t from) {
    const std::size_t unwritten = faults_->chunking ? faults_->unwritten : 0;
    const std::size_t to = group.size() - std::min(unwritten, group.size() - from - 1);
    late_ = true;
    Answer unheard;
    unheard.replies.resize(group.size());
    unheard.dots.resize(group.size());
    for (std::size_t i = from; i < to && !unheard.ended; ++i) one(group[i], unheard, i);
  }

  static smtp::Reply reply(int code, std::string text) {
    smtp::Reply r;
    r.code = code;
    r.text = std::move(text);
    return r;
  }

  void end(Answer& a, Manner manner, std::optional<smtp::Reply>* place) {
    a.ended = log.dropped = true;
    switch (manner) {
      case Manner::fin:
        a.how = Drop::How::closed;
        break;
      case Manner::rst:
        a.how = Drop::How::reset;
        break;
      case Manner::silence:
        a.how = Drop::How::timeout;
        break;
      case Manner::reply_421:
        a.how = Drop::How::reply_421;
        a.last = reply(421, faults_->words_421);
        a.last.enhanced = faults_->status_421;
        if (const auto at = a.last.text.find("%r"); at != std::string::npos)
          a.last.text.replace(at, 2, address_);
        if (place) *place = a.last;
        break;
    }
  }

  template <typename T>
  bool kills(const std::set<T>& who, const T& one) const {
    return !late_ && who.contains(one);
  }

  void one(const Command& command, Answer& a, std::size_t i) {
    auto& out = a.replies[i];
    address_ = command.address;
    if (faults_->errors_at_most > 0 && errors_ >= faults_->errors_at_most) {
      end(a, Manner::reply_421, nullptr);
      out = a.last = {421, {4, 7, 0}, "peer.example Error: too many errors"};
      return;
    }
    answer(command, a, i);
    if (a.replies[i] && a.replies[i]->code >= 400) ++errors_;
  }

  void answer(const Command& command, Answer& a, std::size_t i) {
    auto& out = a.replies[i];
    switch (command.what) {
      case Command::What::mail:
        log.commands.push_back("MAIL " + std::to_string(command.message));
        rcpts_ = 0;
        waiting_.clear();
        if (faults_->messages > 0 && log.messages >= faults_->messages) return end(a, Manner::fin, nullptr);
        if (kills(faults_->kills_at_mail, command.message)) return end(a, faults_->manner, &out);
        out = reply(250, "sender ok");
        return;
      case Command::What::rcpt: {
        log.commands.push_back("RCPT " + command.address);
        if (faults_->drops_after > 0 && rejects_ >= faults_->drops_after) {
          out = reply(550, "too many unknown users");
          closing_ = true;
          return faults_->closes_late ? void() : end(a, Manner::fin, nullptr);
        }
        if (kills(faults_->culprits, command.address)) {
          const auto own = faults_->manners.find(command.address);
          return end(a, own == faults_->manners.end() ? faults_->manner : own->second, &out);
        }
        if (faults_->slow.contains(command.address) && a.late == Duration{}) {
          a.late = faults_->slowness;
          a.slow_at = i;
        }
        ++rcpts_;
        ++log.rcpts;
        const bool full = (faults_->rcpts_of_transaction > 0 && rcpts_ >= faults_->rcpts_of_transaction) ||
                          (faults_->rcpts_of_connection > 0 && log.rcpts >= faults_->rcpts_of_connection);
        if (full && !faults_->replies_to_the_last) return end(a, Manner::fin, nullptr);
        if (const auto refused = faults_->refused.find(command.address); refused != faults_->refused.end()) {
          out = reply(refused->second, "no");
          ++rejects_;
          if (faults_->hangs_up_after_reject) return end(a, Manner::fin, nullptr);
          if (faults_->rejects > 0 && rejects_ >= faults_->rejects) return end(a, Manner::fin, nullptr);
        } else if (faults_->too_many_after > 0 && waiting_.size() >= faults_->too_many_after) {
          out = faults_->too_many;
        } else {
          out = reply(250, "recipient ok");
          waiting_.push_back(command.address);
        }
        if (full) end(a, Manner::fin, nullptr);
        return;
      }
      case Command::What::data:
        log.commands.push_back("DATA");
        if (waiting_.empty()) {
          out = reply(554, "no valid recipients");
        } else {
          if (kills(faults_->kills_at_data, command.message)) return end(a, faults_->manner, &out);
          out = reply(354, "go ahead");
        }
        return;
      case Command::What::bdat:
        log.commands.push_back("BDAT");
        if (waiting_.empty()) {
          out = reply(503, "nobody to send it to");
          return;
        }
        return end_of_content(command, a, i);
      case Command::What::dot:
        log.commands.push_back("DOT");
        if (waiting_.empty()) return;
        return end_of_content(command, a, i);
    }
  }

  void end_of_content(const Command& command, Answer& a, std::size_t i) {
    auto& out = a.replies[i];
    if (kills(faults_->kills_at_dot, command.message)) return end(a, faults_->manner, nullptr);
    for (const std::string& address : waiting_) ++(*accepted_)[{command.message, address}];
    log.delivered += static_cast<std::uint32_t>(waiting_.size());
    ++log.messages;
    out = reply(250, "queued");
    if (faults_->lmtp) a.dots[i].assign(waiting_.size(), reply(250, "stored"));
    waiting_.clear();
  }

  Faults* faults_;
  std::map<std::pair<MessageId, std::string>, int>* accepted_;
  TimePoint opened_;
  std::uint32_t rcpts_ = 0, rejects_ = 0, errors_ = 0;
  std::string address_;  // of the command at hand
  bool closing_ = false;
  bool late_ = false;  // the client has gone
  std::vector<std::string> waiting_;
};

}  // namespace spoold::delivery::sim
