#include "protocol/milter/conversation.hpp"

#include <algorithm>
#include <utility>

namespace spoold::milter {
namespace {

constexpr std::size_t most_reply_lines = 32, most_reply_line = 980;

/// "<anna@a.example>\0SIZE=1\0"
std::string arguments(std::string_view path, std::string_view parameters) {
  std::string data(path);
  data.push_back('\0');
  while (!parameters.empty()) {
    const std::string_view word = parameters.substr(0, parameters.find(' '));
    if (!word.empty()) data.append(word).push_back('\0');
    parameters.remove_prefix(std::min(parameters.size(), word.size() + 1));
  }
  return data;
}

// As Postfix: "%%" stands for "%", because Sendmail takes the text for a format.
std::string unescaped(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    out.push_back(text[i]);
    if (text[i] == '%' && i + 1 < text.size() && text[i + 1] == '%') ++i;
  }
  return out;
}

}  // namespace

std::optional<smtp::Reply> parse_reply(std::string_view text) {
  smtp::Reply reply;
  while (text.ends_with('\n') || text.ends_with('\r')) text.remove_suffix(1);
  for (std::size_t lines = 0;; ++lines) {
    const auto end = text.find_first_of("\r\n");
    const bool last = end == std::string_view::npos;
    std::string_view line = text.substr(0, end);
    if (lines == most_reply_lines || line.size() < 3 || line.size() > most_reply_line) return {};
    if (!std::ranges::all_of(line, [](char c) { return (c >= 32 && c < 127) || c == '\t'; })) return {};
    if ((line[0] != '4' && line[0] != '5') || line[1] < '0' || line[1] > '5' || line[2] < '0' ||
        line[2] > '9')
      return {};
    const int code = (line[0] - '0') * 100 + (line[1] - '0') * 10 + (line[2] - '0');
    if (line.size() > 3 && line[3] != (last ? ' ' : '-')) return {};
    if (line.size() == 3 && !last) return {};
    line.remove_prefix(std::min<std::size_t>(line.size(), 4));
    const std::string_view first = line.substr(0, line.find(' '));
    const auto enhanced = smtp::EnhancedStatus::parse(first);
    if (enhanced && enhanced->klass != code / 100) return {};
    if (enhanced) line.remove_prefix(std::min(line.size(), first.size() + 1));
    if (lines == 0) {
      reply.code = code;
      if (enhanced) reply.enhanced = *enhanced;
    } else if (code != reply.code || enhanced.value_or(smtp::EnhancedStatus()) != reply.enhanced) {
      return {};
    }
    if (lines != 0) reply.text.push_back('\n');
    reply.text += unescaped(line);
    if (last) return reply;
    text.remove_prefix(end + (text.substr(end).starts_with("\r\n") ? 2 : 1));
  }
}

bool Conversation::ask(Step step, Steps mute) {
  if (options_.has(mute)) return false;
  step_ = step;
  return true;
}

void Conversation::fresh() {
  open_ = message_accepted_ = skipping_ = discards_ = new_body_ = return_before_ = false;
  refusal_.reset();
  edits_.clear();
  edit_octets_ = 0;
  body_.clear();
  quarantine_.reset();
}

bool Conversation::negotiate(std::string& out) {
  append_frame(out, 'O', offer());
  return ask(Step::negotiation, Steps{});
}

bool Conversation::connect(const Client& client, const Macros& macros, std::string& out) {
  refusal_.reset();
  if (options_.has(no_connect)) return false;
  macros.append(out, Stage::connect, 'C', options_);
  std::string data = client.name;
  data.push_back('\0');
  data.push_back(client.family);
  if (client.family != 'U') {
    data.push_back(static_cast<char>(client.port >> 8));
    data.push_back(static_cast<char>(client.port & 0xff));
    data.append(client.address).push_back('\0');
  }
  append_frame(out, 'C', data);
  return ask(Step::connect, mute_connect);
}

bool Conversation::helo(std::string_view name, const Macros& macros, std::string& out) {
  refusal_.reset();
  if (session_accepted_ || options_.has(no_helo)) return false;
  macros.append(out, Stage::helo, 'H', options_);
  std::string data(name);
  data.push_back('\0');
  append_frame(out, 'H', data);
  return ask(Step::helo, mute_helo);
}

bool Conversation::mail(std::string_view path, std::string_view parameters, const Macros& macros,
                        std::string& out) {
  fresh();
  if (session_accepted_) return false;
  open_ = true;
  if (options_.has(no_mail)) return false;
  macros.append(out, Stage::mail, 'M', options_);
  append_frame(out, 'M', arguments(path, parameters));
  return ask(Step::mail, mute_mail);
}

bool Conversation::rcpt(std::string_view path, std::string_view parameters, const Macros& macros,
                        std::string& out) {
  refusal_.reset();
  if (!listens() || options_.has(no_rcpt)) return false;
  macros.append(out, Stage::rcpt, 'R', options_);
  append_frame(out, 'R', arguments(path, parameters));
  return ask(Step::rcpt, mute_rcpt);
}

bool Conversation::data(const Macros& macros, std::string& out) {
  refusal_.reset();
  // Filters of version 2 and 3 do not know the step.
  if (!listens() || options_.has(no_data) || options_.version < 4) return false;
  macros.append(out, Stage::data, 'T', options_);
  append_frame(out, 'T');
  return ask(Step::data, mute_data);
}

bool Conversation::field(const mail::Field& field, std::string& out) {
  refusal_.reset();
  if (!wants_fields()) return false;
  std::string data(field.name);
  data.push_back('\0');
  data.append(value_of(field, options_.has(leading_space)));
  // A value that does not fit into a frame is cut, as in Sendmail: filters have buffers of that size.
  data.resize(std::min(data.size(), body_chunk - 1));
  data.push_back('\0');
  append_frame(out, 'L', data);
  return ask(Step::field, mute_header);
}

bool Conversation::end_of_header(const Macros& macros, std::string& out) {
  refusal_.reset();
  if (!listens() || options_.has(no_end_of_header)) return false;
  macros.append(out, Stage::end_of_header, 'N', options_);
  append_frame(out, 'N');
  return ask(Step::end_of_header, mute_end_of_header);
}

bool Conversation::body(std::string_view chunk, std::string& out) {
  refusal_.reset();
  if (!wants_body() || chunk.empty()) return false;
  append_frame(out, 'B', chunk);
  return ask(Step::body, mute_body);
}

bool Conversation::end(const Macros& macros, std::string& out) {
  refusal_.reset();
  if (!listens()) return false;
  macros.append(out, Stage::end, 'E', options_);
  append_frame(out, 'E');
  return ask(Step::end, Steps{});
}

void Conversation::abort(std::string& out) {
  if ((open_ || must_abort_) && !session_accepted_) append_frame(out, 'A');
  must_abort_ = false;
  fresh();
}

void Conversation::quit(std::string& out) {
  append_frame(out, 'Q');
}

Conversation::Got Conversation::failed(std::string why) {
  fault_ = std::move(why);
  step_ = Step::none;
  fresh();
  return Got::failed;
}

Conversation::Got Conversation::next() {
  Frame frame;
  for (;;) {
    switch (reader_.next(frame)) {
      case FrameReader::State::more:
        return Got::more;
      case FrameReader::State::bad:
        return failed("a frame of a length that is not possible");
      case FrameReader::State::frame:
        break;
    }
    if (step_ == Step::none) return failed("an answer that nobody waited for");
    const Got got = answered(frame);
    if (got != Got::more) return got;
  }
}

Conversation::Got Conversation::refused(smtp::Reply reply) {
  const bool of_recipient = step_ == Step::rcpt;
  must_abort_ = must_abort_ || (step_ >= Step::mail && step_ < Step::end);
  // Of a refused recipient nothing else follows; any other refusal ends the message.
  if (!of_recipient) fresh();
  refusal_ = std::move(reply);
  step_ = Step::none;
  return Got::answered;
}

Conversation::Got Conversation::answered(const Frame& frame) {
  const auto unexpected = [&] {
    const char c = frame.command;
    return failed(
        std::string("an answer that is not allowed here: ") +
        (c > 32 && c < 127 ? "'" + std::string(1, c) + "'" : std::to_string(static_cast<unsigned char>(c))));
  };
  if (step_ == Step::negotiation) {
    if (frame.command != 'O') return unexpected();
    auto options = parse_options(frame.data);
    if (!options) return failed(options.error());
    options_ = *std::move(options);
    step_ = Step::none;
    return Got::answered;
  }
  switch (frame.command) {
    case 'p':
      return Got::progress;
    case 'c':
      break;
    case 'a':
      if (step_ == Step::connect || step_ == Step::helo)
        session_accepted_ = true;
      else
        message_accepted_ = true;
      break;
    case 'd':
      if (step_ < Step::mail) return unexpected();
      must_abort_ = step_ != Step::end;
      fresh();
      discards_ = true;
      break;
    case 's':
      if (step_ != Step::body || !options_.has(may_skip)) return unexpected();
      skipping_ = true;
      break;
    case 'r':
      return refused({550, {5, 7, 1}, "refused by a filter of this server"});
    case 't':
      return refused({451, {4, 7, 1}, "a filter of this server cannot judge this now; try again later"});
    case 'f':
    case '4':
      return failed("it asks to end the connection");
    case 'y': {
      auto reply = parse_reply(frame.data.substr(0, frame.data.find('\0')));
      if (!reply) return failed("a reply that is not one of 4xx or 5xx in printable ASCII");
      return refused(*std::move(reply));
    }
    default:
      if (step_ != Step::end) return unexpected();
      return edited(frame);
  }
  if (step_ == Step::end) {
    open_ = false;  // what it wants to be changed stays for the caller
    if (return_before_) body_ += "\r\n";
  }
  step_ = Step::none;
  return Got::answered;
}

Conversation::Got Conversation::edited(const Frame& frame) {
  constexpr std::pair<char, Actions> needed[] = {
      {'h', may_add_fields},        {'i', may_add_fields},     {'m', may_change_fields},
      {'e', may_change_sender},     {'+', may_add_recipients}, {'2', may_add_recipients_with_parameters},
      {'-', may_remove_recipients}, {'b', may_change_body},    {'q', may_quarantine}};
  const auto* row = std::ranges::find(needed, frame.command, &std::pair<char, Actions>::first);
  if (row == std::end(needed)) return failed("an answer that is not known");
  // A filter that may change fields may insert them, too (smfi_insheader).
  const bool may = options_.has(row->second) || (frame.command == 'i' && options_.has(may_change_fields));
  if (!may) return failed(std::string("a change that was not agreed on: '") + frame.command + "'");
  if (frame.command == 'q') {
    std::string reason(frame.data.substr(0, std::min<std::size_t>(frame.data.find('\0'), 200)));
    for (char& c : reason)
      if (c < 32 || c == 127) c = ' ';
    quarantine_ = std::move(reason);
    return Got::more;
  }
  if (frame.command == 'b') {
    new_body_ = true;
    for (const char c : frame.data) {
      if (std::exchange(return_before_, c == '\r') || c == '\n') {
        body_ += "\r\n";
        if (c == '\n') continue;
      }
      if (c != '\r') body_.push_back(c);
    }
    return Got::more;
  }
  edit_octets_ += frame.data.size();
  if (edits_.size() == most_edits || edit_octets_ > most_edit_octets) return failed("too many changes");
  auto edit = parse_edit(frame, options_.has(leading_space));
  if (!edit) return failed(edit.error());
  edits_.push_back(*std::move(edit));
  return Got::more;
}

std::string Conversation::take_body() {
  return std::exchange(body_, std::string());
}

}  // namespace spoold::milter
