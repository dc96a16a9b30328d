#include "protocol/mail/draft.hpp"

#include <algorithm>

namespace spoold::mail {

Octets& Octets::operator|=(const Octets& other) {
  eight_bit |= other.eight_bit;
  leading_dots |= other.leading_dots;
  return *this;
}

Octets octets_of(std::string_view text) {
  return {std::any_of(text.begin(), text.end(), [](char c) { return (c & 0x80) != 0; }),
          text.starts_with('.') || text.find("\n.") != std::string_view::npos};
}

Octets Scanned::of(std::uint64_t from, std::uint64_t to) const {
  Octets found;
  if (from >= to) return found;
  if (from < header_size) found |= header;
  if (to > header_size) found |= body;
  return found;
}

Scanned scan(std::string_view content) {
  const std::size_t blank = content.starts_with("\r\n") ? 0 : content.find("\r\n\r\n");
  Scanned found;
  found.size = content.size();
  found.header_size = blank == 0 ? 2 : blank == std::string_view::npos ? content.size() : blank + 4;
  found.header = octets_of(content.substr(0, found.header_size));
  found.body = octets_of(content.substr(found.header_size));
  return found;
}

Draft::Draft(const Header& received, const Scanned& content)
    : received_(received), content_(content), fields_(received.fields()) {
  if (!fields_.empty() && fields_.front().name.empty()) {
    begin_ = fields_.front().raw.size();
    fields_.erase(fields_.begin());
  }
}

void Draft::append(std::string_view fields) {
  behind_ += fields;
  edited_ = true;
}

Outgoing Draft::outgoing() const {
  Outgoing out;
  Splice rest{.offset = begin_, .length = content_.size - begin_, .own = {}};
  if (edited_) {
    rest.offset = received_.end();
    rest.length = content_.size - rest.offset;
    out.head.reserve(before_.size() + received_.end() + behind_.size() + 4);
    out.head = before_;
    for (const Field& field : fields_) {
      out.head += field.raw;
      if (field.raw.back() != '\n') out.head += "\r\n";  // a message that ends within its header
    }
    out.head.append(behind_).append("\r\n");
  } else {
    out.head = before_;
    // No header, and no blank line where it would be: what is in front must not become part of the body.
    if (fields_.empty() && received_.end() == begin_ && !before_.empty()) out.head += "\r\n";
  }
  out.octets = octets_of(out.head);
  out.octets |= content_.of(rest.offset, rest.offset + rest.length);
  out.size = out.head.size() + rest.length;
  if (rest.length != 0) out.body.push_back(std::move(rest));
  return out;
}

}  // namespace spoold::mail
