// The recipes of a Message-Instance, read (draft-ietf-dkim-dkim2-spec-06 5).
#include <algorithm>
#include <charconv>
#include <utility>

#include "protocol/auth/dkim2_fields.hpp"
#include "protocol/mail/ascii.hpp"

namespace spoold::auth {
namespace {

/// JSON as far as a recipe has it: objects, arrays, strings, whole numbers, null.
class Json {
 public:
  explicit Json(std::string_view text) : rest_(text) {}

  bool take(char c) {
    skip();
    if (!rest_.starts_with(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }
  bool take_null() {
    skip();
    if (!rest_.starts_with("null")) return false;
    rest_.remove_prefix(4);
    return true;
  }
  bool at_end() {
    skip();
    return rest_.empty();
  }
  std::optional<std::uint64_t> whole() {
    skip();
    const auto size =
        static_cast<std::size_t>(std::ranges::find_if_not(rest_, mail::is_digit) - rest_.begin());
    const auto value = whole_number(rest_.substr(0, size));
    if (!value || (size > 1 && rest_.front() == '0')) return std::nullopt;
    rest_.remove_prefix(size);
    return value;
  }
  std::optional<std::string> string() {
    if (!take('"')) return std::nullopt;
    std::string out;
    for (;;) {
      if (rest_.empty() || static_cast<unsigned char>(rest_.front()) < 0x20) return std::nullopt;
      const char c = rest_.front();
      rest_.remove_prefix(1);
      if (c == '"') return out;
      if (c != '\\') {
        out += c;
      } else if (!escaped(out)) {
        return std::nullopt;
      }
    }
  }

 private:
  void skip() {
    while (!rest_.empty() && mail::is_space(rest_.front())) rest_.remove_prefix(1);
  }
  std::optional<std::uint32_t> unit() {
    std::uint32_t value = 0;
    if (rest_.size() < 4) return std::nullopt;
    const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + 4, value, 16);
    if (error != std::errc() || end != rest_.data() + 4) return std::nullopt;
    rest_.remove_prefix(4);
    return value;
  }
  bool escaped(std::string& out) {
    if (rest_.empty()) return false;
    const char c = rest_.front();
    rest_.remove_prefix(1);
    constexpr std::string_view letters = "\"\\/bfnrt", meaning = "\"\\/\b\f\n\r\t";
    if (const auto at = letters.find(c); at != letters.npos) {
      out += meaning[at];
      return true;
    }
    if (c != 'u') return false;
    auto point = unit();
    if (!point) return false;
    if (*point >= 0xd800 && *point < 0xdc00) {
      if (!rest_.starts_with("\\u")) return false;
      rest_.remove_prefix(2);
      const auto low = unit();
      if (!low || *low < 0xdc00 || *low > 0xdfff) return false;
      point = 0x10000 + ((*point - 0xd800) << 10) + (*low - 0xdc00);
    } else if (*point >= 0xdc00 && *point < 0xe000) {
      return false;
    }
    put(out, *point);
    return true;
  }
  static void put(std::string& out, std::uint32_t point) {
    const auto tail = [&](unsigned shift) { out += static_cast<char>(0x80 | ((point >> shift) & 0x3f)); };
    if (point < 0x80) {
      out += static_cast<char>(point);
    } else if (point < 0x800) {
      out += static_cast<char>(0xc0 | (point >> 6));
      tail(0);
    } else if (point < 0x10000) {
      out += static_cast<char>(0xe0 | (point >> 12));
      tail(6);
      tail(0);
    } else {
      out += static_cast<char>(0xf0 | (point >> 18));
      tail(12);
      tail(6);
      tail(0);
    }
  }

  std::string_view rest_;
};

/// {"c": [first, last]} or {"d": ["text", ...]}
std::optional<RecipeStep> step_of(Json& json) {
  RecipeStep step;
  if (!json.take('{')) return std::nullopt;
  const auto key = json.string();
  if (!key || !json.take(':') || !json.take('[')) return std::nullopt;
  if (*key == "c") {
    const auto first = json.whole();
    if (!first || !json.take(',')) return std::nullopt;
    const auto last = json.whole();
    if (!last || *first == 0 || *last < *first) return std::nullopt;
    step.first = *first;
    step.last = *last;
  } else if (*key == "d") {
    do {
      auto text = json.string();
      if (!text || text->find_first_of("\r\n") != text->npos) return std::nullopt;
      step.data.push_back(std::move(*text));
    } while (json.take(','));
  } else {
    return std::nullopt;
  }
  if (!json.take(']') || !json.take('}')) return std::nullopt;
  return step;
}

std::optional<Recipe> recipe_of(Json& json) {
  Recipe recipe;
  if (!json.take('[')) return std::nullopt;
  if (json.take(']')) return recipe;
  std::uint64_t behind = 0;
  do {
    auto step = step_of(json);
    if (!step || (step->data.empty() && step->first <= behind)) return std::nullopt;
    if (step->data.empty()) behind = step->last;
    recipe.push_back(std::move(*step));
  } while (json.take(','));
  if (!json.take(']')) return std::nullopt;
  return recipe;
}

bool header_recipes(Json& json, Recipes& recipes) {
  if (!json.take('{')) return false;
  do {
    auto name = json.string();
    if (!name || name->empty() || mail::lower(*name) != *name || !json.take(':')) return false;
    if (!std::ranges::all_of(*name, [](char c) { return c > ' ' && c <= '~' && c != ':'; })) return false;
    auto recipe = recipe_of(json);
    if (!recipe || !recipes.header.emplace(std::move(*name), std::move(*recipe)).second) return false;
  } while (json.take(','));
  return json.take('}');
}

bool all_recipes(Json& json, Recipes& recipes) {
  bool header = false, body = false;
  if (!json.take('{')) return false;
  do {
    const auto key = json.string();
    if (!key || !json.take(':')) return false;
    if (*key == "h" && !std::exchange(header, true)) {
      if (!header_recipes(json, recipes)) return false;
    } else if (*key == "b" && !std::exchange(body, true)) {
      if (json.take_null()) {
        recipes.body_lost = true;
      } else {
        recipes.body = recipe_of(json);
        if (!recipes.body) return false;
      }
    } else {
      return false;
    }
  } while (json.take(','));
  return json.take('}') && json.at_end();
}

}  // namespace

tl::expected<Recipes, std::string> Recipes::parse(std::string_view text) {
  Recipes recipes;
  Json json(text);
  if (!all_recipes(json, recipes)) return tl::unexpected(std::string("contains invalid JSON"));
  return recipes;
}

}  // namespace spoold::auth
