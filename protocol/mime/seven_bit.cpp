#include "protocol/mime/seven_bit.hpp"

#include <algorithm>
#include <vector>

#include "protocol/mail/ascii.hpp"
#include "protocol/mail/base64.hpp"
#include "protocol/mail/utf8.hpp"
#include "protocol/mime/ascii_field.hpp"
#include "protocol/mime/parts.hpp"
#include "protocol/mime/transfer.hpp"

namespace spoold::mime {
namespace {

using mail::is_ascii;
using Converted = tl::expected<void, std::string>;

bool high(char c) {
  return static_cast<unsigned char>(c) >= 0x80;
}

bool shorter_as_base64(std::string_view body) {
  const auto encoded = static_cast<std::size_t>(
      std::count_if(body.begin(), body.end(), [](char c) { return high(c) || c == '='; }));
  return encoded * 2 > body.size() / 3;
}

bool is_signed(const std::vector<Part>& parts) {
  const mail::Header& header = parts.front().header;
  if (header.find("DKIM-Signature") != nullptr) return true;
  return std::any_of(parts.begin(), parts.end(), [](const Part& part) {
    return part.type == "multipart/signed" || part.type == "application/pkcs7-mime" ||
           part.type == "application/x-pkcs7-mime" || part.type == "application/pkcs7-signature" ||
           part.type == "application/x-pkcs7-signature";
  });
}

class Conversion {
 public:
  Conversion(std::string_view bytes, const std::vector<Part>& parts) : bytes_(bytes), parts_(parts) {
    out_.reserve(bytes.size() + bytes.size() / 4);
  }

  tl::expected<std::string, std::string> run() {
    if (auto done = part(); !done) return tl::unexpected(done.error());
    return std::move(out_);
  }

 private:
  /// The next one, with those inside it.
  Converted part() {
    const std::size_t index = next_++;
    const Part& one = parts_[index];
    const std::string_view body = bytes_.substr(one.body, one.end - one.body);
    const bool holds_others = one.multipart() || one.encloses();
    std::string encoding;  // a new one
    if (!is_ascii(body)) {
      const bool own_form = one.type.starts_with("multipart/") ||
                            (one.type.starts_with("message/") && !one.type.starts_with("message/global"));
      if (holds_others)
        encoding = "7bit";
      else if (own_form)  // RFC 2046 5.1, 5.2: no encoding is allowed
        return tl::unexpected("a part of type " + one.type + " has octets above 127");
      else if (one.encoding == "quoted-printable")
        encoding = one.encoding;
      else if (one.encoding == "7bit" || one.encoding == "8bit" || one.encoding == "binary")
        encoding = shorter_as_base64(body) ? "base64" : "quoted-printable";
      else
        return tl::unexpected("a part is encoded as " + one.encoding + " and has octets above 127");
    }
    if (!is_ascii(one.boundary)) return tl::unexpected<std::string>("a boundary is not ASCII");
    if (auto done = header(one, encoding, body); !done) return done;
    if (holds_others) return inside(index);
    if (encoding.empty())
      out_ += body;
    else if (encoding == "base64")
      append_base64(out_, body);
    else
      append_quoted(out_, body, one.encoding == "quoted-printable");
    return {};
  }

  Converted inside(std::size_t index) {
    std::size_t at = parts_[index].body;
    while (next_ < parts_.size() && parts_[next_].begin < parts_[index].end &&
           parts_[next_].parent == index) {
      gap(at, parts_[next_].begin);
      at = parts_[next_].end;
      if (auto done = part(); !done) return done;
    }
    gap(at, parts_[index].end);
    return {};
  }

  /// Preamble, delimiters, epilogue: nobody is shown them.
  void gap(std::size_t from, std::size_t to) {
    const std::string_view text = bytes_.substr(from, to - from);
    std::transform(text.begin(), text.end(), std::back_inserter(out_),
                   [](char c) { return high(c) ? '?' : c; });
  }

  Converted header(const Part& one, const std::string& encoding, std::string_view body) {
    std::size_t end = one.begin;
    for (const mail::Field& field : one.header.fields()) {
      end = static_cast<std::size_t>(field.raw.data() - bytes_.data()) + field.raw.size();
      if (!encoding.empty() && mail::same(field.name, "Content-Transfer-Encoding")) continue;
      const auto ascii = ascii_field(field);
      if (!ascii)
        return tl::unexpected("its field " + std::string(field.name) + " cannot be written in ASCII");
      out_ += *ascii;
    }
    if (!encoding.empty()) {
      if (one.message && one.header.find("MIME-Version") == nullptr) out_ += "MIME-Version: 1.0\r\n";
      if (one.type == "text/plain" && one.header.find("Content-Type") == nullptr)
        out_ += std::string("Content-Type: text/plain; charset=") +
                (mail::is_utf8(body) ? "utf-8" : "unknown-8bit") + "\r\n";
      out_ += "Content-Transfer-Encoding: " + encoding + "\r\n";
    }
    const std::string_view blank = bytes_.substr(end, one.body - end);
    out_ += blank.empty() && !encoding.empty() ? "\r\n" : blank;
    return {};
  }

  std::string_view bytes_;
  const std::vector<Part>& parts_;
  std::size_t next_ = 0;
  std::string out_;
};

}  // namespace

tl::expected<std::string, std::string> to_seven_bit(std::string_view message) {
  if (message.size() > most_converted)
    return tl::unexpected("it is larger than the " + std::to_string(most_converted) +
                          " octets that are converted");
  const auto parts = parts_of(message);
  if (!parts) return tl::unexpected<std::string>(text(parts.error()));
  if (is_signed(*parts))
    return tl::unexpected<std::string>("it is signed, and a conversion would break the signature");
  return Conversion(message, *parts).run();
}

}  // namespace spoold::mime
