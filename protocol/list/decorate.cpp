#include "protocol/list/decorate.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "protocol/list/personal.hpp"
#include "protocol/list/text.hpp"
#include "protocol/mail/ascii.hpp"
#include "protocol/mail/base64.hpp"
#include "protocol/mime/charset.hpp"
#include "protocol/mime/parts.hpp"
#include "protocol/mime/transfer.hpp"

namespace spoold::list {
namespace {

using mail::Own;
using mail::same;
using Text = std::vector<Own>;

bool eight_bit(const Text& text) {
  return std::ranges::any_of(text, [](const Own& own) {
    return !mail::is_ascii(own.text) || may_be_eight_bit(static_cast<Value>(own.blank));
  });
}
bool has_blanks(const Text& text) {
  return std::ranges::any_of(text, [](const Own& own) { return own.blank != 0; });
}

class Decorating {
 public:
  Decorating(mail::Draft& draft, const List& list, std::string_view tail, std::string_view unique,
             std::string_view wrapped)
      : draft_(draft), tail_(tail), unique_(unique), wrapped_(wrapped) {
    const bool personal = list.settings.personalize == Personalize::full;
    header_ = text_of(list, list.settings.header, personal);
    footer_ = text_of(list, list.settings.footer, personal);
    if (const mail::Field* field = draft.find("Content-Type")) content_type_ = field->value;
    type_ = content_type_.empty() ? "text/plain" : mail::first_token(content_type_);
    encoding_ = "7bit";
    if (const mail::Field* field = draft.find("Content-Transfer-Encoding"))
      encoding_ = mail::first_token(field->value);
  }

  Decorated run() {
    if (!wrapped_.empty()) {
      around();
      return Decorated::around;
    }
    if ((header_.empty() && footer_.empty()) || untouchable()) return Decorated::none;
    if (in_the_text()) return Decorated::in_the_text;
    around();
    return Decorated::around;
  }

 private:
  bool untouchable() const {
    constexpr std::array<std::string_view, 4> closed = {"multipart/signed", "multipart/encrypted",
                                                        "application/pkcs7-mime", "application/x-pkcs7-mime"};
    if (std::ranges::find(closed, type_) != closed.end() || !mime::parameter(content_type_, "hp").empty())
      return true;
    const auto fields = std::ranges::count_if(
        draft_.fields(), [](const mail::Field& f) { return same(f.name, "Content-Type"); });
    return fields > 1 || disposition() == "reaction";  // RFC 9078
  }
  std::string disposition() const {
    const mail::Field* field = draft_.find("Content-Disposition");
    return field == nullptr ? std::string() : mail::first_token(field->value);
  }

  // ---- in the text

  // The texts themselves stay what they are until it is known that they can be there.
  bool in_the_text() {
    if (type_ != "text/plain" || disposition() == "attachment") return false;
    const std::string charset = mail::lower(mime::parameter(content_type_, "charset"));
    const bool utf8 = charset == "utf-8", ascii = charset.empty() || charset == "us-ascii";
    Text header = header_, footer = footer_;
    if (!utf8 && !ascii && !(to_charset(header, charset) && to_charset(footer, charset))) return false;
    const bool own_eight_bit = eight_bit(header) || eight_bit(footer);
    // Octets in no charset that it names: ours have no place beside them.
    if (ascii && own_eight_bit && draft_.content().body.eight_bit) return false;
    const bool raw = encoding_ == "7bit" || encoding_ == "8bit";
    if (encoding_ == "base64") {
      if (!in_base64(header, footer)) return false;
    } else if (raw || encoding_ == "quoted-printable") {
      if (!raw)
        for (Text* text : {&header, &footer}) quote(*text);
      place(std::move(header), std::move(footer));
    } else {
      return false;
    }
    if (ascii && own_eight_bit) name_utf8();
    if (raw && own_eight_bit && encoding_ == "7bit") {
      draft_.replace("Content-Transfer-Encoding", "Content-Transfer-Encoding: 8bit\r\n");
      name_mime();
    }
    return true;
  }

  static bool to_charset(Text& text, const std::string& charset) {
    for (Own& own : text) {
      if (may_be_eight_bit(static_cast<Value>(own.blank))) return false;  // a name is UTF-8
      auto there = mime::in_charset(own.text, charset);
      if (!there) return false;
      own.text = std::move(*there);
    }
    return true;
  }

  // ASCII is UTF-8: the text that is there stays what it is.
  void name_utf8() {
    std::string value = content_type_.empty() ? " text/plain" : std::string(content_type_);
    if (const std::size_t at = parameter_at(value, "charset"); at != value.npos) {
      const std::size_t end = std::min(value.find_first_of("; \t\r\n", at), value.size());
      value.replace(at, end - at, "utf-8");
    } else {
      value += "; charset=utf-8";
    }
    draft_.replace("Content-Type", "Content-Type:" + value + "\r\n");
    name_mime();
  }
  void name_mime() {
    if (draft_.find("MIME-Version") == nullptr && !std::exchange(named_mime_, true))
      draft_.append("MIME-Version: 1.0\r\n");
  }
  /// Where the value of a parameter begins.
  static std::size_t parameter_at(std::string_view value, std::string_view name) {
    for (std::size_t at = value.find(';'); at != value.npos; at = value.find(';', at + 1)) {
      std::size_t begin = at + 1;
      while (begin < value.size() && mail::is_space(value[begin])) ++begin;
      if (!mail::starts_with(value.substr(begin), name)) continue;
      begin += name.size();
      while (begin < value.size() && mail::is_space(value[begin])) ++begin;
      if (begin < value.size() && value[begin] == '=') return begin + 1;
    }
    return value.npos;
  }

  static void quote(Text& text) {
    for (Own& own : text) {
      std::string out;
      mime::append_quoted(out, own.text);
      own.text = std::move(out);
      if (own.blank != 0) own.blank |= quoted_printable;
    }
  }

  bool in_base64(const Text& header, const Text& footer) {
    if (has_blanks(header) || has_blanks(footer)) return false;
    const std::uint64_t begin = draft_.body_begin(), end = draft_.body_end();
    std::string_view tail = tail_.substr(tail_.size() - std::min<std::uint64_t>(tail_.size(), end - begin));
    const std::string_view rest = mail::trim(tail);
    if (rest.empty()) return false;
    const auto line_at = rest.rfind('\n');
    if (line_at == rest.npos && tail.size() < end - begin) return false;
    const std::string_view line = line_at == rest.npos ? rest : rest.substr(line_at + 1);
    if (rest.substr(0, rest.size() - line.size()).find('=') != rest.npos)
      return false;  // several texts in a row
    auto text = mail::base64_decode(line);
    if (!text) return false;
    if (!header.empty()) {
      std::string own = header.front().text;
      while (own.size() % 3 != 0)
        own.insert(own.size() - 2, 1, ' ');  // whole groups: what follows stays as it is
      std::string lines;
      mime::append_base64(lines, own);
      draft_.insert(begin, Text{{lines, 0}});
    }
    if (footer.empty()) return true;
    if (!text->ends_with('\n')) *text += "\r\n";
    *text += footer.front().text;
    std::string lines;
    mime::append_base64(lines, *text);
    const auto line_begin = end - tail.size() + static_cast<std::uint64_t>(line.data() - tail.data());
    draft_.cut(line_begin, end, Text{{lines, 0}});
    return true;
  }

  /// In front of the body and behind it.
  void place(Text header, Text footer) {
    const std::uint64_t begin = draft_.body_begin(), end = draft_.body_end();
    if (!header.empty()) draft_.insert(begin, std::move(header));
    if (footer.empty()) return;
    const bool line_ended = begin == end || tail_.ends_with("\r\n");
    const bool soft = encoding_ == "quoted-printable" && tail_.ends_with("=\r\n");
    if (!line_ended || soft) footer.front().text.insert(0, "\r\n");
    draft_.insert(end, std::move(footer));
  }

  // ---- around the post

  void around() {
    const std::string boundary = "=_spoold_" + std::string(unique_);
    const std::string inner = wrapped_.empty() ? content_fields() : message_fields();
    draft_.remove([](const mail::Field& field) { return mail::starts_with(field.name, "Content-"); });
    name_mime();
    draft_.append("Content-Type: multipart/mixed; boundary=\"" + boundary + "\"\r\n");
    if (!wrapped_.empty()) encoding_ = is_eight_bit() ? "8bit" : "7bit";
    if (encoding_ == "8bit" || encoding_ == "binary")
      draft_.append("Content-Transfer-Encoding: " + encoding_ + "\r\n");
    const std::string open = "--" + boundary + "\r\n", next = "\r\n--" + boundary;
    Text before = header_.empty() ? Text{} : part(open, header_, "\r\n");
    before.push_back({open + inner + "\r\n", 0});
    Text behind =
        footer_.empty() ? Text{{next + "--\r\n", 0}} : part(next + "\r\n", footer_, next + "--\r\n");
    draft_.insert(draft_.body_begin(), std::move(before));
    draft_.insert(draft_.body_end(), std::move(behind));
  }

  /// What says what the body is goes with it.
  std::string content_fields() const {
    std::string fields;
    for (const mail::Field& field : draft_.fields())
      if (mail::starts_with(field.name, "Content-")) fields += field.raw;
    if (!fields.empty() && !fields.ends_with('\n')) fields += "\r\n";
    return fields;
  }
  /// RFC 2046 5.2.1: 7bit or 8bit only.
  std::string message_fields() const {
    return std::string("Content-Type: message/rfc822\r\nContent-Disposition: inline\r\n") +
           (is_eight_bit() ? "Content-Transfer-Encoding: 8bit\r\n" : "") + "\r\n" + std::string(wrapped_);
  }
  bool is_eight_bit() const { return draft_.content().body.eight_bit || !mail::is_ascii(wrapped_); }

  static Text part(const std::string& before, Text text, const std::string& behind) {
    const bool encoded = eight_bit(text);
    if (encoded) quote(text);
    text.front().text.insert(0, before + "Content-Type: text/plain; charset=utf-8\r\n" +
                                    (encoded ? "Content-Transfer-Encoding: quoted-printable\r\n" : "") +
                                    "Content-Disposition: inline\r\n\r\n");
    text.back().text += behind;
    return text;
  }

  mail::Draft& draft_;
  const std::string_view tail_, unique_, wrapped_;
  Text header_, footer_;
  std::string_view content_type_;  // its value as it came
  std::string type_, encoding_;
  bool named_mime_ = false;
};

}  // namespace

Decorated decorate(mail::Draft& draft, const List& list, std::string_view tail, std::string_view unique,
                   std::string_view wrapped) {
  return Decorating(draft, list, tail, unique, wrapped).run();
}

}  // namespace spoold::list
