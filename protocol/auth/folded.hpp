// A header field of our own whose lines are folded before a word that would pass the limit (RFC 5322 2.1.1).
#pragma once
#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

namespace spoold::auth {

class Folded {
 public:
  static constexpr std::size_t longest_line = 78;

  Folded() = default;
  /// Goes on behind a text.
  explicit Folded(std::string text) {
    const auto line = text.rfind('\n');
    column_ = text.size() - (line == text.npos ? 0 : line + 1);
    text_ = std::move(text);
  }

  /// `blank`: before the word, where the line goes on.
  void word(std::string_view text, bool blank) {
    if (column_ + blank + text.size() > longest_line && column_ > 1) {
      text_ += "\r\n ";
      column_ = 1;
    } else if (blank) {
      text_ += ' ';
      ++column_;
    }
    text_ += text;
    column_ += text.size();
  }
  /// Letters that may be folded anywhere. `end` stays with the last of them.
  void letters(std::string_view text, std::string_view end) {
    while (column_ + text.size() + end.size() > longest_line) {
      const std::size_t room = std::min(text.size(), longest_line - std::min(longest_line, column_));
      text_.append(text.substr(0, room)).append("\r\n ");
      text.remove_prefix(room);
      column_ = 1;
    }
    text_.append(text).append(end);
    column_ += text.size() + end.size();
  }
  std::string take() { return std::move(text_); }

 private:
  std::string text_;
  std::size_t column_ = 0;
};

}  // namespace spoold::auth
