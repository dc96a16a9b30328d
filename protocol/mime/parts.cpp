#include "protocol/mime/parts.hpp"

#include <optional>
#include <utility>

#include "protocol/mail/ascii.hpp"

namespace spoold::mime {
namespace {

using mail::is_space;

constexpr std::size_t boundary_at_most = 200;  // RFC 2046 5.1.1 says 70

/// A delimiter line of `boundary` that begins at or behind `from`, and where the line behind it begins.
struct Delimiter {
  std::size_t at, next;
  bool last;
};

std::optional<Delimiter> find_delimiter(std::string_view bytes, std::size_t from, std::string_view boundary) {
  for (std::size_t at = from; at < bytes.size();) {
    const std::size_t found = bytes.find(boundary, at);
    if (found == std::string_view::npos) return std::nullopt;
    at = found + 1;
    if (found < from + 2 || bytes.substr(found - 2, 2) != "--") continue;
    const std::size_t begin = found - 2;
    if (begin > from && bytes[begin - 1] != '\n') continue;
    std::string_view rest = bytes.substr(found + boundary.size());
    const std::size_t feed = rest.find('\n');
    const std::size_t next =
        feed == std::string_view::npos ? bytes.size() : found + boundary.size() + feed + 1;
    rest = rest.substr(0, feed);
    const bool last = rest.starts_with("--");
    if (mail::trim(last ? rest.substr(2) : rest).empty()) return Delimiter{begin, next, last};
  }
  return std::nullopt;
}

class Scan {
 public:
  Scan(std::string_view bytes, Limits limits) : bytes_(bytes), limits_(limits) {}

  /// Recursive, at most Limits::depth deep.
  std::optional<Fault> part(std::size_t begin, std::size_t end, Part one, const char* usual_type) {
    if (parts_.size() == limits_.parts) return Fault::too_many_parts;
    if (one.depth > limits_.depth) return Fault::too_deep;
    auto header = mail::Header::scan(bytes_.substr(begin, end - begin));
    if (!header) return Fault::header;
    one.begin = begin;
    one.body = begin + header->end();
    one.end = end;
    one.header = std::move(*header);
    describe(one, usual_type);
    const std::size_t index = parts_.size();
    parts_.push_back(std::move(one));
    if (parts_[index].multipart()) return inside_multipart(index);
    if (parts_[index].encloses()) return part(parts_[index].body, end, child_of(index, true), "text/plain");
    return std::nullopt;
  }
  std::vector<Part> take() { return std::move(parts_); }

 private:
  static void describe(Part& one, const char* usual_type) {
    if (const mail::Field* type = one.header.find("Content-Type")) {
      one.type = mail::lower(mail::trim(type->value.substr(0, type->value.find_first_of(";("))));
      if (one.type.starts_with("multipart/")) one.boundary = parameter(type->value, "boundary");
      if (one.boundary.size() > boundary_at_most) one.boundary.clear();
    } else {
      one.type = usual_type;
    }
    const mail::Field* encoding = one.header.find("Content-Transfer-Encoding");
    one.encoding = encoding ? mail::first_token(encoding->value) : "7bit";
  }

  Part child_of(std::size_t index, bool message) const {
    Part child;
    child.parent = index;
    child.depth = parts_[index].depth + 1;
    child.message = message;
    return child;
  }

  std::optional<Fault> inside_multipart(std::size_t index) {
    const std::string boundary = parts_[index].boundary;
    const char* usual_type = parts_[index].type == "multipart/digest" ? "message/rfc822" : "text/plain";
    const std::string_view inside = bytes_.substr(0, parts_[index].end);
    auto opening = find_delimiter(inside, parts_[index].body, boundary);
    while (opening && !opening->last) {
      const auto closing = find_delimiter(inside, opening->next, boundary);
      std::size_t end = closing ? closing->at : inside.size();
      // The line end before a delimiter is the delimiter's.
      if (closing && end > opening->next && inside[end - 1] == '\n') --end;
      if (closing && end > opening->next && inside[end - 1] == '\r') --end;
      if (auto fault = part(opening->next, end, child_of(index, false), usual_type)) return fault;
      opening = closing;
    }
    return std::nullopt;
  }

  std::string_view bytes_;
  Limits limits_;
  std::vector<Part> parts_;
};

}  // namespace

const char* text(Fault fault) {
  switch (fault) {
    case Fault::too_many_parts:
      return "it has too many parts";
    case Fault::too_deep:
      return "its parts are nested too deep";
    case Fault::header:
      return "the header of a part is too large";
  }
  return "";
}

bool Part::encloses() const {
  const bool plain = encoding == "7bit" || encoding == "8bit" || encoding == "binary";
  return plain && (type == "message/rfc822" || type == "message/global");
}

namespace {

/// Calls found(name, value) of each until it answers true.
template <class F>
void each_parameter(std::string_view value, F found) {
  for (std::size_t at = value.find(';'); at != std::string_view::npos && at < value.size();) {
    ++at;
    while (at < value.size() && is_space(value[at])) ++at;
    const std::size_t sign = value.find_first_of("=;", at);
    if (sign == std::string_view::npos) break;
    const std::string_view name = mail::trim(value.substr(at, sign - at));
    at = sign;
    if (value[sign] == ';') continue;
    ++at;
    while (at < value.size() && is_space(value[at])) ++at;
    std::string got;
    if (at < value.size() && value[at] == '"') {
      for (++at; at < value.size() && value[at] != '"'; ++at) {
        if (value[at] == '\\' && at + 1 < value.size()) ++at;
        if (value[at] != '\r' && value[at] != '\n') got += value[at];
      }
    } else {
      for (; at < value.size() && value[at] != ';' && value[at] != '(' && !is_space(value[at]); ++at)
        got += value[at];
    }
    if (found(name, std::move(got))) return;
    at = value.find(';', at);
  }
}

}  // namespace

std::vector<std::pair<std::string, std::string>> parameters(std::string_view value) {
  std::vector<std::pair<std::string, std::string>> all;
  each_parameter(value, [&](std::string_view name, std::string got) {
    all.emplace_back(mail::lower(name), std::move(got));
    return false;
  });
  return all;
}

std::string parameter(std::string_view value, std::string_view name) {
  std::string wanted;
  each_parameter(value, [&](std::string_view one, std::string got) {
    if (!mail::same(one, name)) return false;
    wanted = std::move(got);
    return true;
  });
  return wanted;
}

tl::expected<std::vector<Part>, Fault> parts_of(std::string_view bytes, Limits limits) {
  Scan scan(bytes, limits);
  Part whole;
  whole.message = true;
  if (auto fault = scan.part(0, bytes.size(), std::move(whole), "text/plain")) return tl::unexpected(*fault);
  return scan.take();
}

}  // namespace spoold::mime
