// The scripts of tests/dialogs (its README has the format), and a driver of a ServerDialog that has no
// socket.
#pragma once
#include <algorithm>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "protocol/smtp/server_dialog.hpp"

namespace spoold::tests {

struct Step {
  std::string sent;                   // what the client sends
  std::vector<smtp::Reply> commit;    // what a commit in it answers
  std::vector<std::string> expected;  // lines, without CRLF
  bool closed = false;
};

struct Script {
  std::string name;
  smtp::ServerProfile profile;
  bool room = true, grouped_only = false;
  std::vector<Step> steps;
};

inline std::string unescaped(const std::string& text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      out.push_back(text[i]);
      continue;
    }
    switch (text.at(++i)) {
      case 'r':
        out.push_back('\r');
        break;
      case 'n':
        out.push_back('\n');
        break;
      case '0':
        out.push_back('\0');
        break;
      case '\\':
        out.push_back('\\');
        break;
      case 'x':
        out.push_back(static_cast<char>(std::stoi(text.substr(i + 1, 2), nullptr, 16)));
        i += 2;
        break;
      case '{': {
        const auto end = text.find('}', i);
        out.append(std::stoul(text.substr(i + 3, end - i - 3)), text.at(i + 1));
        i = end;
        break;
      }
      default:
        throw std::runtime_error("unknown escape in: " + text);
    }
  }
  return out;
}

inline smtp::Reply reply_of(const std::string& text) {
  smtp::Reply reply{std::stoi(text), {}, text.size() > 4 ? text.substr(4) : ""};
  const auto space = reply.text.find(' ');
  if (const auto status = smtp::EnhancedStatus::parse(reply.text.substr(0, space))) {
    reply.enhanced = *status;
    reply.text = space == std::string::npos ? "" : reply.text.substr(space + 1);
  }
  return reply;
}

inline Script read_script(const std::string& path) {
  Script script;
  script.name = path;
  script.profile.hostname = "mx.example";
  script.steps.emplace_back();
  std::ifstream file(path);
  if (!file) throw std::runtime_error("cannot read " + path);
  const auto starts = [](const std::string& line, const char* with) { return line.starts_with(with); };
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line.front() == '#') continue;
    if (starts(line, "c: ") || starts(line, "c- ") || line == "c:") {
      if (!script.steps.back().expected.empty()) script.steps.emplace_back();
      script.steps.back().sent +=
          unescaped(line.substr(std::min<std::size_t>(3, line.size()))) + (line[1] == ':' ? "\r\n" : "");
    } else if (starts(line, "s: ")) {
      script.steps.back().expected.push_back(line.substr(3));
    } else if (line == "closed") {
      script.steps.back().closed = true;
    } else if (starts(line, "commit: ")) {
      std::string rest = line.substr(8);
      for (std::size_t bar; (bar = rest.find(" | ")) != std::string::npos; rest = rest.substr(bar + 3))
        script.steps.back().commit.push_back(reply_of(rest.substr(0, bar)));
      script.steps.back().commit.push_back(reply_of(rest));
    } else if (line == "grouped only") {
      script.grouped_only = true;
    } else if (starts(line, "set ")) {
      std::istringstream words(line.substr(4));
      std::string key, value;
      words >> key >> value;
      if (key == "protocol")
        script.profile.lmtp = value == "lmtp";
      else if (key == "max_recipients")
        script.profile.max_recipients = std::stoul(value);
      else if (key == "max_size")
        script.profile.content.size = std::stoul(value);
      else if (key == "max_errors")
        script.profile.max_errors = std::stoi(value);
      else if (key == "max_rejected")
        script.profile.max_rejected = std::stoul(value);
      else if (key == "starttls")
        script.profile.starttls = value != "0";
      else if (key == "submission")
        script.profile.submission = value != "0";
      else if (key == "room")
        script.room = value != "0";
      else
        throw std::runtime_error(path + ": unknown setting " + key);
    } else {
      throw std::runtime_error(path + ": cannot read: " + line);
    }
  }
  return script;
}

/// What a session would do, with answers made up from the recipient's local part.
class Driver {
 public:
  explicit Driver(const smtp::ServerProfile& profile, bool has_room = true,
                  smtp::ServerDialog::Client client = {})
      : dialog(profile, client), room(has_room) {
    dialog.open(out);
  }

  void feed(std::string_view bytes) {
    using What = smtp::ServerDialog::Action::What;
    pending.append(bytes);
    std::string_view input = pending;
    while (!closed) {
      std::string said;  // a session writes after each call
      What what = dialog.consume(input, said, content).what;
      if (what == What::more) {
        out += said;
        break;
      }
      if (what == What::ask) {
        content
            .clear();  // as a session does: what is left of a message that was given up is not the next one's
        what = dialog.answer(answer(), said).what;
      }
      if (what == What::pause) ++pauses;
      if (what == What::handshake) dialog.secured("TLSv1.3 TLS_AES_256_GCM_SHA384", said);
      if (what == What::close) closed = true;
      if (what == What::commit) {
        const std::size_t wanted = dialog.profile().lmtp ? dialog.transaction().recipients.size() : 1;
        if (commit.size() != wanted) commit.assign(wanted, smtp::Reply{250, {2, 0, 0}, "taken"});
        committed.push_back(std::exchange(content, {}));
        last = dialog.reader().scanned();
        dialog.committed(commit, said);
      }
      most_said = std::max(most_said, said.size());
      out += said;
    }
    pending = std::string(input);
  }

  /// anne's password is "secret".
  static smtp::sasl::Answer login(const smtp::sasl::Question& question) {
    namespace sasl = smtp::sasl;
    if (const auto* password = std::get_if<sasl::Password>(&question)) {
      if (password->user == "later") return smtp::Reply{454, {4, 7, 0}, "try again later"};
      if (password->user == "anne" && password->password == "secret") return sasl::Right{};
      return sasl::wrong_credentials();
    }
    if (std::holds_alternative<sasl::ScramKeys>(question)) return sasl::Salt{"salt", 4096, "server"};
    const auto& proof = std::get<sasl::ScramProof>(question);
    if (proof.user == "anne" && proof.proof == "secret") return sasl::Signature{"signature"};
    return sasl::wrong_credentials();
  }

  smtp::ServerDialog::Answer answer() const {
    if (const auto* question = std::get_if<smtp::sasl::Question>(&dialog.asked())) return login(*question);
    const auto* rcpt = std::get_if<smtp::RcptArgument>(&dialog.asked());
    if (rcpt == nullptr) {
      if (!room) return smtp::Reply{452, {4, 3, 1}, "no room for mail now; try again later"};
      return smtp::ServerDialog::Granted{};
    }
    const auto& path = rcpt->forward_path;
    if (path && path->local() == "unknown") return smtp::Reply{550, {5, 1, 1}, "no such address here"};
    if (path && path->local() == "later") return smtp::Reply{451, {4, 3, 0}, "ask later"};
    smtp::Recipient recipient;
    recipient.address = path ? path->text() : "postmaster";
    return recipient;
  }

  smtp::ServerDialog dialog;
  bool room;
  std::string out, content, pending;
  std::vector<std::string> committed;
  mail::Scanned last;  // of the last of them
  std::vector<smtp::Reply> commit;
  bool closed = false;
  int pauses = 0;             // that a session would have made
  std::size_t most_said = 0;  // octets of replies at a time
};

/// Empty when `said` is what the step expects, else a sentence.
inline std::string difference(const Step& step, const std::string& said, bool closed) {
  std::string rest = said;
  for (const std::string& line : step.expected) {
    const auto end = rest.find("\r\n");
    if (end == std::string::npos) return "expected '" + line + "', but nothing more was said";
    const std::string got = rest.substr(0, end);
    const bool same = line.ends_with('*') ? got.starts_with(line.substr(0, line.size() - 1)) : got == line;
    if (!same) return "expected '" + line + "', got '" + got + "'";
    rest.erase(0, end + 2);
  }
  if (!rest.empty()) return "not expected: '" + rest + "'";
  if (closed != step.closed) return closed ? "closed unexpectedly" : "not closed";
  return {};
}

}  // namespace spoold::tests
