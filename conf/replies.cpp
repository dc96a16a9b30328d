#include "conf/replies.hpp"

#include <charconv>
#include <optional>

#include "conf/near_miss.hpp"
#include "conf/table_file.hpp"

namespace spoold::conf {

extern const char replies_toml[];  // conf/replies.toml; CMakeLists.txt makes the file that defines it

namespace {

const std::vector<std::string> keys_of_a_reply = {"rule",   "code", "status", "text",
                                                  "unless", "mx",   "action", "wait"};

std::optional<int> number(std::string_view text, int most) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value < 0 || value > most)
    return std::nullopt;
  return value;
}

std::optional<CodeRange> code_range(std::string_view text) {
  if (text.size() != 3) return std::nullopt;
  if (text.substr(1) == "xx")
    if (const auto hundreds = number(text.substr(0, 1), 9))
      return CodeRange{*hundreds * 100, *hundreds * 100 + 99};
  if (const auto code = number(text, 999)) return CodeRange{*code, *code};
  return std::nullopt;
}

/// "5.7.26", with 'x' for any class and '*' for any subject or detail.
std::optional<StatusRange> status(std::string_view text) {
  const std::size_t first = text.find('.'), second = text.find('.', first == text.npos ? first : first + 1);
  if (second == text.npos) return std::nullopt;
  StatusRange range;
  const std::string_view klass = text.substr(0, first), subject = text.substr(first + 1, second - first - 1),
                         detail = text.substr(second + 1);
  if (klass != "x") {
    const auto value = number(klass, 5);
    if (!value || *value < 2) return std::nullopt;
    range.klass = *value;
  }
  if (subject != "*") {
    const auto value = number(subject, 999);
    if (!value) return std::nullopt;
    range.subject = *value;
  }
  if (detail != "*") {
    const auto value = number(detail, 999);
    if (!value) return std::nullopt;
    range.first = range.last = *value;
  }
  return range;
}

std::optional<StatusRange> status_range(std::string_view text) {
  const std::size_t dash = text.find('-');
  auto range = status(text.substr(0, dash));
  if (!range || dash == text.npos) return range;
  const auto last = status(text.substr(dash + 1));
  if (!last || last->klass != range->klass || last->subject != range->subject || last->last < range->first)
    return std::nullopt;
  range->last = last->last;
  return range;
}

class RuleReader {
 public:
  RuleReader(Reading& reading, const toml::table& table) : reading_(reading), table_(table) {}

  ReplyRule read() {
    for (const auto& [key, node] : table_) take(std::string(key.str()), key, node);
    if (rule_.rule.empty()) reading_.complain(table_, "a reply needs a rule: its name");
    if (!action_) reading_.complain(table_, "a reply needs an action");
    return std::move(rule_);
  }

 private:
  void take(const std::string& name, const toml::key& key, const toml::node& node) {
    if (name == "rule") {
      rule_.rule = reading_.text(node, "the name of the rule").value_or("");
    } else if (name == "action") {
      action_ = true;
      const auto word = reading_.text(node, "an action");
      if (word && !set_action(*word))
        reading_.complain(node, "'" + *word + "' is no action; expected " + all_actions());
    } else if (name == "wait") {
      rule_.wait = reading_.duration(node, std::chrono::seconds(1)).value_or(Duration{});
    } else if (name == "code") {
      each(node, "a reply code such as \"550\" or \"5xx\"", rule_.codes, code_range);
    } else if (name == "status") {
      each(node, "an enhanced status code such as \"5.1.1\", \"x.7.*\" or \"x.7.23-x.7.32\"", rule_.statuses,
           status_range);
    } else if (name == "text" || name == "unless" || name == "mx") {
      auto& list = name == "text" ? rule_.texts : name == "mx" ? rule_.mx : rule_.unless;
      each(node, "words", list, [](std::string_view words) -> std::optional<std::string> {
        if (words.empty()) return std::nullopt;
        return std::string(words);
      });
    } else {
      const std::string meant = near_miss(name, keys_of_a_reply);
      reading_.complain(key.source().begin, "unknown key '" + name + "' of a reply" +
                                                (meant.empty() ? "" : "; did you mean '" + meant + "'?"));
    }
  }

  template <class T, class Parse>
  void each(const toml::node& node, const std::string& expected, std::vector<T>& into, Parse parse) {
    const auto* list = reading_.array(node, "an array of: " + expected);
    if (!list) return;
    if (list->empty()) reading_.complain(node, "an empty array fits nothing: leave the key out");
    for (const auto& item : *list) {
      const auto text = reading_.text(item, expected);
      if (!text) continue;
      if (auto value = parse(*text))
        into.push_back(std::move(*value));
      else
        reading_.complain(item, "'" + *text + "': expected " + expected);
    }
  }

  bool set_action(std::string_view word) {
    for (const auto& [name, action] : reply_actions)
      if (name == word) {
        rule_.action = action;
        return true;
      }
    return false;
  }

  static std::string all_actions() {
    std::string all;
    for (const auto& [name, action] : reply_actions) all += (all.empty() ? "" : ", ") + std::string(name);
    return all;
  }

  Reading& reading_;
  const toml::table& table_;
  ReplyRule rule_;
  bool action_ = false;
};

}  // namespace

tl::expected<std::vector<ReplyRule>, std::vector<Problem>> parse_replies(std::string_view toml,
                                                                         const std::string& name) {
  return rows_of<ReplyRule>(toml, name, "reply", [](Reading& reading, const toml::table& table) {
    return RuleReader(reading, table).read();
  });
}

tl::expected<std::vector<ReplyRule>, std::vector<Problem>> load_replies(const std::string& path) {
  return text_of_table(path, "the table of replies").and_then([&](const std::string& text) {
    return parse_replies(text, path);
  });
}

const std::vector<ReplyRule>& built_in_replies() {
  static const std::vector<ReplyRule> rules =
      parse_replies(replies_toml, "conf/replies.toml").value_or(std::vector<ReplyRule>{});
  return rules;
}

}  // namespace spoold::conf
