#include "protocol/smtp/reply_reader.hpp"

#include <algorithm>

#include "protocol/mail/utf8.hpp"

namespace spoold::smtp {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// What a peer says ends in logs, reports and terminals.
std::string printable(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if ((static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f) c = '?';
  return out;
}

}  // namespace

ReplyReader::State ReplyReader::refuse(std::string why) {
  broken_ = true;
  what_ = std::move(why);
  if (!line_.empty()) what_ += ": \"" + printable(std::string_view(line_).substr(0, 200)) + "\"";
  return State::garbage;
}

ReplyReader::State ReplyReader::read(std::string_view& bytes, Reply& reply) {
  if (broken_) return State::garbage;
  while (!bytes.empty()) {
    const std::size_t end = bytes.find('\n');
    const std::string_view piece = bytes.substr(0, end);
    if (line_.size() + piece.size() > max_line) {
      line_ += piece.substr(0, 200);
      return refuse("reply line longer than 4096 octets");
    }
    size_ += piece.size();
    if (size_ > max_reply) return refuse("reply longer than 1048576 octets");
    line_ += piece;
    bytes.remove_prefix(end == std::string_view::npos ? bytes.size() : end + 1);
    if (end == std::string_view::npos) return State::more;

    while (!line_.empty() && (line_.back() == '\r' || line_.back() == ' ')) line_.pop_back();
    if (line_.empty() && lines_ == 0) continue;
    const Line line = take_line();
    if (line == Line::garbage) return State::garbage;
    line_.clear();
    if (line == Line::more) continue;
    reply = std::move(reply_);
    reply_ = Reply{};
    size_ = lines_ = 0;
    full_ = false;
    return State::reply;
  }
  return State::more;
}

ReplyReader::Line ReplyReader::take_line() {
  ++lines_;
  const bool coded = line_.size() >= 3 && line_[0] >= '2' && line_[0] <= '5' && is_digit(line_[1]) &&
                     is_digit(line_[2]) &&
                     (line_.size() == 3 || line_[3] == ' ' || line_[3] == '-' || line_[3] == '\t');
  if (!coded) {
    refuse("not an SMTP reply");
    return Line::garbage;
  }
  const bool more = line_.size() > 3 && line_[3] == '-';
  reply_.code = (line_[0] - '0') * 100 + (line_[1] - '0') * 10 + (line_[2] - '0');
  std::string_view text = std::string_view(line_).substr(std::min<std::size_t>(line_.size(), 4));

  // RFC 2034: each line starts with the status; it counts only where its class is that of the code.
  const std::string_view word = text.substr(0, text.find(' '));
  if (word.size() >= 5 && word[0] == line_[0] && word[1] == '.')
    if (const auto status = EnhancedStatus::parse(word)) {
      reply_.enhanced = *status;
      text.remove_prefix(std::min(text.size(), word.size() + 1));
    }
  add_words(text);
  return more ? Line::more : Line::last;
}

void ReplyReader::add_words(std::string_view text) {
  static constexpr std::string_view cut = " ...";
  if (full_ || lines_ > max_lines) return;
  if (lines_ > 1) reply_.text += '\n';
  const std::size_t room = most_text_ - std::min(most_text_, reply_.text.size());
  full_ = text.size() > room;
  reply_.text += printable(full_ ? mail::utf8_front(text, room - std::min(room, cut.size())) : text);
  if (full_) reply_.text += cut;
}

}  // namespace spoold::smtp
