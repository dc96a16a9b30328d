// DKIM2: recipes straight from what a draft changed (draft-ietf-dkim-dkim2-spec-06 5).
#include "protocol/auth/dkim2_make.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <unordered_map>
#include <utility>

#include "protocol/list/personal.hpp"
#include "protocol/mail/ascii.hpp"
#include "protocol/mail/utf8.hpp"

namespace spoold::auth {
namespace {

// A header as it goes out; more than what may come in.
constexpr mail::HeaderLimits limits{512 << 10, 8192};
// Whom else the post went to, and what opens a moderated list: not for members.
constexpr std::array<std::string_view, 4> secret = {"approved", "approve", "bcc", "resent-bcc"};

std::string name_of(const mail::Field& field) {
  return mail::lower(mail::trim(field.name));
}

/// A JSON string; nothing: the text cannot stand in one.
bool put_string(std::string& json, std::string_view text) {
  if (!mail::is_utf8(text) || text.find_first_of("\r\n") != text.npos) return false;
  constexpr const char* digits = "0123456789abcdef";
  json += '"';
  for (const char c : text) {
    const auto octet = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      json.append(1, '\\').append(1, c);
    } else if (octet < 0x20) {
      json.append("\\u00").append(1, digits[octet >> 4]).append(1, digits[octet & 15]);
    } else {
      json += c;
    }
  }
  json += '"';
  return true;
}

/// The steps of one recipe, with neighbours made one.
class Steps {
 public:
  void copy(std::uint64_t first, std::uint64_t last) {
    if (last < first) return;
    if (!steps_.empty() && steps_.back().data.empty() && steps_.back().last + 1 == first)
      steps_.back().last = last;
    else
      steps_.push_back({first, last, {}});
  }
  void data(std::string text) {
    size_ += text.size() + 3;
    if (steps_.empty() || steps_.back().data.empty()) steps_.push_back({});
    steps_.back().data.push_back(std::move(text));
  }
  std::size_t size() const { return size_; }
  /// It copies the first `number`, and nothing else.
  bool copies_all(std::uint64_t number) const {
    return number == 0 ? steps_.empty()
                       : steps_.size() == 1 && steps_[0].data.empty() && steps_[0].first == 1 &&
                             steps_[0].last == number;
  }
  std::optional<std::string> json() const {
    std::string out = "[";
    for (const RecipeStep& step : steps_) {
      if (out.size() > 1) out += ',';
      if (step.data.empty()) {
        out += "{\"c\":[" + std::to_string(step.first) + "," + std::to_string(step.last) + "]}";
        continue;
      }
      out += "{\"d\":[";
      for (const std::string& text : step.data) {
        if (&text != step.data.data()) out += ',';
        if (!put_string(out, text)) return std::nullopt;
      }
      out += "]}";
    }
    return out + "]";
  }

 private:
  Recipe steps_;
  std::size_t size_ = 0;
};

/// A field's value on one line.
std::string unwrapped(std::string_view value) {
  std::string out;
  for (std::size_t at = 0; at < value.size(); ++at) {
    if (value.substr(at).starts_with("\r\n")) {
      ++at;
      continue;
    }
    out += value[at];
  }
  return out;
}

using ByName = std::map<std::string, std::vector<const mail::Field*>>;  // the lowest first

ByName hashed_by_name(const std::vector<mail::Field>& fields) {
  ByName named;
  for (auto field = fields.rbegin(); field != fields.rend(); ++field)
    if (!field->name.empty() && !dkim2_ignores(field->name)) named[name_of(*field)].push_back(&*field);
  return named;
}

/// From the fields of one name that go out to those that came.
Steps steps_back(const std::vector<const mail::Field*>& came, const std::vector<const mail::Field*>& go) {
  std::unordered_map<std::string_view, std::vector<std::size_t>> places;  // the lowest last
  for (std::size_t i = go.size(); i-- > 0;) places[go[i]->value].push_back(i);
  Steps steps;
  std::size_t next = 0;
  for (const mail::Field* field : came) {
    std::vector<std::size_t>& at = places[field->value];
    while (!at.empty() && at.back() < next) at.pop_back();
    if (at.empty()) {
      steps.data(unwrapped(field->value));
      continue;
    }
    next = at.back() + 1;
    steps.copy(next, next);
  }
  return steps;
}

std::string header_json(const mail::Draft& draft, MadeRecipes& made) {
  const std::string going = draft.header();
  const auto out = mail::Header::scan(going, limits);
  if (!out) {
    made.complete = false;
    return {};
  }
  ByName came = hashed_by_name(draft.received().fields()), go = hashed_by_name(out->fields());
  for (const auto& [name, fields] : go) came.try_emplace(name);
  std::string json;
  for (const auto& [name, fields] : came) {
    const std::vector<const mail::Field*>& now = go[name];
    const Steps steps = steps_back(fields, now);
    if (steps.copies_all(now.size())) continue;
    const bool hidden = std::ranges::find(secret, name) != secret.end();
    std::optional<std::string> recipe = hidden ? std::nullopt : steps.json();
    if (!recipe || steps.size() > most_recipes) {
      made.complete = false;
      continue;
    }
    if (!json.empty()) json += ',';
    (void)put_string(json, name);
    json += ':' + *recipe;
  }
  if (json.size() <= most_recipes) return json;
  made.complete = false;
  return {};
}

constexpr std::string_view line_end = "\r\n";

std::uint64_t line_ends(std::string_view text) {
  std::uint64_t ends = 0;
  for (std::size_t at = text.find(line_end); at != text.npos; at = text.find(line_end, at + 2)) ++ends;
  return ends;
}

/// What of the received body is known by the lines of the one that goes out, and what by its text.
class Back {
 public:
  explicit Back(std::string_view content) : content_(content) {}

  /// The octets [from, to) of the content go out.
  void kept(std::uint64_t from, std::uint64_t to) {
    given(at_, from);
    at_ = to;
    std::string_view text = content_.substr(from, to - from);
    if (text.empty()) return;
    if (!counted_ || !begins_ || !is_begin(from)) {
      const std::size_t end = counted_ ? text.find(line_end) : text.npos;
      const std::size_t size = end == text.npos ? text.size() : end + line_end.size();
      given(from, from + size);
      count(text.substr(0, size));
      text.remove_prefix(size);
    }
    const std::size_t last = text.rfind(line_end);
    if (last != text.npos) {
      end_of_text();
      const std::string_view lines = text.substr(0, last + line_end.size());
      const std::uint64_t number = line_ends(lines);
      steps_.copy(line_, line_ + number - 1);
      line_ += number;
      begins_ = true;
      text.remove_prefix(lines.size());
    }
    if (text.empty()) return;
    given(to - text.size(), to);
    begins_ = false;
  }
  void own(std::string_view text, mail::Blank blank) {
    count(text);
    if (blank == 0) return;
    begins_ = false;
    // Its lines are not the same in every copy.
    if ((blank & list::quoted_printable) != 0) counted_ = false;
  }
  Steps end() {
    given(at_, content_.size());
    end_of_text();
    return std::move(steps_);
  }
  /// Of what goes out.
  std::uint64_t lines() const { return line_ - (begins_ ? 1 : 0); }

 private:
  bool is_begin(std::uint64_t at) const {
    return text_.empty() ? at == 0 || content_.substr(0, at).ends_with(line_end) : text_.ends_with(line_end);
  }
  void count(std::string_view text) {
    if (text.empty()) return;
    line_ += line_ends(text);
    begins_ = text.ends_with(line_end);
  }
  // What would be too much anyhow is not kept.
  void given(std::uint64_t from, std::uint64_t to) {
    if (from < to && steps_.size() + text_.size() <= most_recipes)
      text_ += content_.substr(from, std::min<std::uint64_t>(to - from, most_recipes + 2));
  }
  void end_of_text() {
    std::string_view rest = text_;
    while (!rest.empty()) {
      const std::size_t end = std::min(rest.find(line_end), rest.size());
      steps_.data(std::string(rest.substr(0, end)));
      rest.remove_prefix(std::min(rest.size(), end + line_end.size()));
    }
    text_.clear();
  }

  const std::string_view content_;
  Steps steps_;
  std::string text_;        // of the received body, behind the last step
  std::uint64_t at_ = 0;    // in the content
  std::uint64_t line_ = 1;  // of what goes out
  bool begins_ = true;      // at its begin
  bool counted_ = true;     // lines are known by their numbers
};

std::string body_json(const mail::Draft& draft, std::string_view content, bool body_secret,
                      MadeRecipes& made) {
  if (!draft.body_edited()) return {};
  const std::uint64_t begin = draft.received().end();
  Back back(content.substr(begin));
  for (const mail::Splice& piece : draft.body()) {
    if (piece.length != 0 || (piece.own.empty() && piece.blank == 0))
      back.kept(piece.offset - begin, piece.offset + piece.length - begin);
    back.own(piece.own, piece.blank);
  }
  const std::uint64_t lines = back.lines();
  const Steps steps = back.end();
  if (steps.copies_all(lines)) return {};
  const bool hidden = body_secret || steps.size() > most_recipes;
  if (auto json = hidden ? std::nullopt : steps.json()) return *std::move(json);
  made.body_lost = true;
  return "null";
}

}  // namespace

MadeRecipes recipes_of(const mail::Draft& draft, std::string_view content, bool body_secret) {
  MadeRecipes made;
  const std::string header = header_json(draft, made), body = body_json(draft, content, body_secret, made);
  if (!header.empty()) made.json += "{\"h\":{" + header + "}";
  if (!body.empty()) made.json += (header.empty() ? "{\"b\":" : ",\"b\":") + body;
  if (!made.json.empty()) made.json += "}";
  return made;
}

bool only_adds(const mail::Draft& draft) {
  if (draft.body_edited()) return false;
  std::set<const char*> there;
  for (const mail::Field& field : draft.fields()) there.insert(field.raw.data());
  return std::ranges::all_of(draft.received().fields(), [&](const mail::Field& field) {
    return field.name.empty() || dkim2_ignores(field.name) || there.contains(field.raw.data());
  });
}

}  // namespace spoold::auth
