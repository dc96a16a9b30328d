#include "protocol/mail/draft.hpp"

#include <algorithm>
#include <cassert>
#include <utility>

#include "protocol/mail/ascii.hpp"

namespace spoold::mail {

Octets& Octets::operator|=(const Octets& other) {
  eight_bit |= other.eight_bit;
  leading_dots |= other.leading_dots;
  return *this;
}

Octets octets_of(std::string_view text) {
  return {!is_ascii(text), text.starts_with('.') || text.find("\n.") != std::string_view::npos};
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
    : received_(received),
      content_(content),
      fields_(received.fields()),
      begins_(received.end()),
      ends_(content.size) {
  if (!fields_.empty() && fields_.front().name.empty()) {
    begin_ = fields_.front().raw.size();
    fields_.erase(fields_.begin());
  }
}

void Draft::append(std::string_view fields) {
  behind_.push_back({std::string(fields)});
  edited_ = true;
}

void Draft::append(std::vector<Own> fields) {
  behind_.insert(behind_.end(), std::make_move_iterator(fields.begin()),
                 std::make_move_iterator(fields.end()));
  edited_ = true;
}

const Field* Draft::find(std::string_view name) const {
  const auto found =
      std::ranges::find_if(fields_, [&](const Field& field) { return same(field.name, name); });
  return found == fields_.end() ? nullptr : &*found;
}

void Draft::replace(std::string_view name, std::string_view fields) {
  edited_ = true;
  const Field* const first = find(name);
  const auto at = first == nullptr ? std::ssize(fields_) : first - fields_.data();
  const auto made = Header::scan(made_.emplace_back(fields));
  fields_.erase(std::remove_if(fields_.begin() + at, fields_.end(),
                               [&](const Field& field) { return same(field.name, name); }),
                fields_.end());
  if (made) fields_.insert(fields_.begin() + at, made->fields().begin(), made->fields().end());
}

Draft Draft::as_received() const {
  Draft draft(received_, content_);
  draft.before_ = before_;
  return draft;
}

std::string Draft::header() const {
  std::string out;
  for (const Own& own : head()) out += own.text;
  out.resize(out.size() - 2);
  return out;
}

void Draft::cut(std::uint64_t from, std::uint64_t to, std::vector<Own> own) {
  // What is put where a cut begins goes out in front of it; the rest as it was asked for.
  const auto at =
      std::upper_bound(edits_.begin(), edits_.end(), from, [&](std::uint64_t place, const Edit& edit) {
        return place < edit.from || (from == to && place == edit.from && edit.from < edit.to);
      });
  assert(received_.end() <= from && from <= to && to <= content_.size &&
         (at == edits_.begin() || std::prev(at)->to <= from) && (at == edits_.end() || to <= at->from));
  edited_ = true;
  edits_.insert(at, {from, to, std::move(own)});
}

void Draft::narrow(std::uint64_t begin, std::uint64_t end) {
  if (begins_ < begin) cut(begins_, begin, {});
  if (end < ends_) cut(end, ends_, {});
  begins_ = begin;
  ends_ = end;
}

std::vector<Own> Draft::head() const {
  std::vector<Own> pieces(1);
  std::size_t size = before_.size() + received_.end() + 4;
  for (const Own& own : behind_) size += own.text.size();
  pieces.front().text.reserve(size);
  pieces.front().text = before_;
  for (const Field& field : fields_) {
    pieces.front().text += field.raw;
    if (field.raw.back() != '\n') pieces.front().text += "\r\n";  // a message that ends within its header
  }
  for (const Own& own : behind_) {
    pieces.back().text += own.text;
    if (own.blank == 0) continue;
    pieces.back().blank = own.blank;
    pieces.emplace_back();
  }
  pieces.back().text += "\r\n";
  return pieces;
}

Outgoing Draft::outgoing() const {
  Outgoing out;
  std::uint64_t at = begin_;  // in the content
  std::vector<Own> own_head;
  if (edited_) {
    at = received_.end();
    own_head = head();
    out.head = std::move(own_head.front().text);
    own_head.front().text.clear();
  } else {
    out.head = before_;
    // No header, and no blank line where it would be: what is in front must not become part of the body.
    if (fields_.empty() && received_.end() == begin_ && !before_.empty()) out.head += "\r\n";
  }
  out.octets = octets_of(out.head);
  out.header_eight_bit = out.octets.eight_bit || (!edited_ && content_.header.eight_bit);
  for (const Own& own : own_head) out.header_eight_bit |= !is_ascii(own.text);
  out.size = out.head.size();
  const auto put = [&](std::uint64_t to, std::string own, Blank blank) {
    if (at == to && own.empty() && blank == 0) return;
    out.octets |= content_.of(at, to);
    out.octets |= octets_of(own);
    out.size += to - at + own.size();
    out.body.push_back({.offset = at, .length = to - at, .own = std::move(own), .blank = blank});
    at = to;
  };
  for (Own& own : own_head) put(at, std::move(own.text), own.blank);
  for (const Edit& edit : edits_) {
    for (const Own& own : edit.own) put(&own == edit.own.data() ? edit.from : at, own.text, own.blank);
    if (edit.own.empty()) put(edit.from, {}, 0);
    at = edit.to;
  }
  put(content_.size, {}, 0);
  return out;
}

std::vector<Splice> Draft::body() const {
  std::vector<Splice> pieces;
  std::uint64_t at = received_.end();
  for (const Edit& edit : edits_) {
    pieces.push_back({.offset = at, .length = edit.from - at, .own = {}, .blank = 0});
    for (const Own& own : edit.own)
      pieces.push_back({.offset = edit.from, .length = 0, .own = own.text, .blank = own.blank});
    at = edit.to;
  }
  pieces.push_back({.offset = at, .length = content_.size - at, .own = {}, .blank = 0});
  return pieces;
}

std::vector<Restored> Draft::way_back(std::string_view content) const {
  std::vector<Restored> way;
  const auto kept = [&](std::uint64_t offset, std::uint64_t length) { way.push_back({offset, length, {}}); };
  const auto removed = [&](std::string_view octets) {
    if (way.empty()) way.emplace_back();
    way.back().removed += octets;
  };
  const std::string_view header = content.substr(0, received_.end());
  if (!edited_) {
    removed(content.substr(0, begin_));
    kept(outgoing().head.size(), content.size() - begin_);
    return way;
  }
  std::uint64_t offset = before_.size();
  std::size_t at = 0;  // in the header as received
  for (const Field& field : fields_) {
    if (field.raw.data() >= header.data() && field.raw.data() < header.data() + header.size()) {
      const auto begin = static_cast<std::size_t>(field.raw.data() - header.data());
      removed(header.substr(at, begin - at));
      kept(offset, field.raw.size());
      at = begin + field.raw.size();
    }
    offset += field.raw.size() + (field.raw.back() == '\n' ? 0 : 2);
  }
  removed(header.substr(at));
  offset = 0;
  for (const Own& own : head()) offset += own.text.size();
  std::uint64_t from = received_.end();
  for (const Edit& edit : edits_) {
    kept(offset, edit.from - from);
    removed(content.substr(edit.from, edit.to - edit.from));
    offset += edit.from - from;
    for (const Own& own : edit.own) offset += own.text.size();
    from = edit.to;
  }
  kept(offset, content.size() - from);
  return way;
}

}  // namespace spoold::mail
