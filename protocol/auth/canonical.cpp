#include "protocol/auth/canonical.hpp"

#include <algorithm>
#include <utility>

#include "protocol/mail/ascii.hpp"

namespace spoold::auth {
namespace {

constexpr std::size_t piece = 8192;

bool is_blank(char c) {
  return c == ' ' || c == '\t';
}

/// Where the next blank or CR is. (find_first_of() calls memchr() for each octet.)
std::size_t up_to_blank(std::string_view octets) {
  std::size_t end = 0;
  while (end < octets.size() && octets[end] != '\r' && !is_blank(octets[end])) ++end;
  return end;
}

/// Folding undone, runs of blanks as one, none at the ends (3.4.2).
void append_relaxed(std::string& out, std::string_view value) {
  const auto is_word = [](char c) { return c != '\r' && c != '\n' && !is_blank(c); };
  const std::size_t begin = out.size();
  bool blank = false;
  for (std::size_t at = 0; at < value.size();) {
    if (!is_word(value[at])) {
      blank = blank || is_blank(value[at]);
      ++at;
      continue;
    }
    std::size_t end = at + 1;
    while (end < value.size() && is_word(value[end])) ++end;
    if (std::exchange(blank, false) && out.size() > begin) out += ' ';
    out.append(value, at, end - at);
    at = end;
  }
}

void append_name(std::string& out, std::string_view name) {
  for (const char c : mail::trim(name)) out += mail::lower(c);
  out += ':';
}

/// Where the value of b= stands in the value of a signature field: from behind '=' to ';' or the end.
std::pair<std::size_t, std::size_t> place_of_b(std::string_view value) {
  for (std::size_t begin = 0; begin < value.size();) {
    const auto end = std::min(value.find(';', begin), value.size());
    const auto equals = value.find('=', begin);
    if (equals < end && mail::trim(value.substr(begin, equals - begin)) == "b") return {equals + 1, end};
    begin = end + 1;
  }
  return {value.size(), value.size()};
}

}  // namespace

void append_canonical(std::string& out, const mail::Field& field, bool relaxed) {
  if (!relaxed) {
    out += field.raw;
    return;
  }
  append_name(out, field.name);
  append_relaxed(out, field.value);
  out += "\r\n";
}

std::string canonical_field(const mail::Field& field, bool relaxed) {
  std::string out;
  out.reserve(field.raw.size() + 2);
  append_canonical(out, field, relaxed);
  return out;
}

std::string canonical_signature(const mail::Field& field, bool relaxed) {
  std::string raw(field.raw);
  while (raw.ends_with('\n') || raw.ends_with('\r')) raw.pop_back();
  const auto value = raw.find(':') + 1;
  const auto [begin, end] = place_of_b(std::string_view(raw).substr(value));
  raw.erase(value + begin, end - begin);
  if (!relaxed) return raw;
  std::string out;
  append_name(out, field.name);
  append_relaxed(out, std::string_view(raw).substr(value));
  return out;
}

SignedFields::SignedFields(const std::vector<mail::Field>& fields) {
  for (auto field = fields.rbegin(); field != fields.rend(); ++field)
    by_name_[mail::lower(mail::trim(field->name))].push_back(&*field);
}

std::string SignedFields::of(const std::vector<std::string>& names, bool relaxed,
                             const mail::Field* own) const {
  std::string octets;
  std::unordered_map<std::string_view, std::size_t> used;
  for (const std::string& name : names) {
    const auto named = by_name_.find(name);
    if (named == by_name_.end()) continue;
    std::size_t& next = used[name];
    if (next < named->second.size() && named->second[next] == own) ++next;
    if (next < named->second.size()) octets += canonical_field(*named->second[next++], relaxed);
  }
  return octets + canonical_signature(*own, relaxed);
}

BodyHash::BodyHash(bool relaxed, std::optional<std::uint64_t> limit, const NewDigest& digest)
    : relaxed_(relaxed), limit_(limit), digest_(digest()) {}

BodyHash::BodyHash(const BodyHash& other)
    : relaxed_(other.relaxed_),
      limit_(other.limit_),
      digest_(other.digest_->copy()),
      buffer_(other.buffer_),
      size_(other.size_),
      pending_lines_(other.pending_lines_),
      pending_blank_(other.pending_blank_),
      pending_cr_(other.pending_cr_) {}

void BodyHash::put(std::string_view octets) {
  const std::uint64_t left = limit_ ? *limit_ - std::min(*limit_, size_) : octets.size();
  size_ += octets.size();
  octets = octets.substr(0, static_cast<std::size_t>(std::min<std::uint64_t>(left, octets.size())));
  if (octets.size() >= piece) {
    hash_now();
    digest_->update(octets);
    return;
  }
  buffer_ += octets;
  if (buffer_.size() >= piece) hash_now();
}

void BodyHash::hash_now() {
  digest_->update(buffer_);
  buffer_.clear();
}

void BodyHash::put_pending() {
  for (; pending_lines_ > 0; --pending_lines_) put("\r\n");
  if (pending_blank_) put(" ");
  pending_blank_ = false;
}

void BodyHash::update(std::string_view octets) {
  while (!octets.empty()) {
    const char c = octets.front();
    if (pending_cr_) {
      pending_cr_ = false;
      if (c ==
          '\n') {  // blanks at the end of a line do not count; ends of empty lines only when text follows
        ++pending_lines_;
        pending_blank_ = false;
        octets.remove_prefix(1);
        continue;
      }
      put_pending();
      put("\r");
      continue;
    }
    if (c == '\r') {
      pending_cr_ = true;
      octets.remove_prefix(1);
    } else if (relaxed_ && is_blank(c)) {
      pending_blank_ = true;
      octets.remove_prefix(1);
    } else {
      put_pending();
      const std::size_t end = relaxed_ ? up_to_blank(octets) : std::min(octets.find('\r'), octets.size());
      put(octets.substr(0, end));
      octets.remove_prefix(end);
    }
  }
}

std::optional<std::string> BodyHash::finish() {
  if (pending_cr_) {
    put_pending();
    put("\r");
  }
  // The last line has an end; an empty body is one empty line in the simple form, and nothing in the relaxed one.
  if (size_ > 0 || !relaxed_) put("\r\n");
  hash_now();
  std::string hash = digest_->finish();
  return limit_ && size_ < *limit_ ? std::nullopt : std::optional(std::move(hash));
}

}  // namespace spoold::auth
