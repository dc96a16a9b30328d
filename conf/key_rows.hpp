// The kinds of values in the key table: one function a kind makes a row, from a function that answers with
// the member of Settings and from its limits. Included by keys.cpp only.
#pragma once
#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "conf/addresses.hpp"
#include "conf/keys_reading.hpp"
#include "conf/near_miss.hpp"

namespace spoold::conf {

using Read = std::function<void(Reading&, const toml::node&)>;

/// A row of the table with what reads it.
struct Row {
  Key key;
  Read read;
};

inline std::string quote(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

inline std::string join(const std::vector<std::string>& items) {
  std::string out = "[";
  for (const auto& item : items) out += (out.size() > 1 ? ", " : "") + item;
  return out + "]";
}

// `get` is a function from Settings& to the member. Each kind of value has one function that makes a row.

template <class Get>
Row integer(std::string_view section, std::string_view name, std::string_view meaning,
            std::string_view example, Get get, std::int64_t least, std::int64_t most) {
  return {{section, name, "integer", meaning, example, name, false,
           [get](Settings s) { return std::to_string(get(s)); }},
          [get, least, most](Reading& reading, const toml::node& node) {
            if (const auto value = reading.integer(node, least, most))
              get(reading.settings) = static_cast<int>(*value);
          }};
}

template <class Get>
Row rate(std::string_view section, std::string_view name, std::string_view meaning, std::string_view example,
         Get get) {
  return {{section, name, "rate", meaning, example, name, false,
           [get](Settings s) { return get(s) ? quote(rate_text(*get(s))) : std::string(); }},
          [get](Reading& reading, const toml::node& node) {
            const auto written = reading.text(node, "a rate such as \"600/min\" (/s, /min or /h)");
            if (!written) return;
            const auto value = parse_rate(*written);
            if (!value) return reading.complain(node, value.error());
            get(reading.settings) = *value;
          }};
}

/// `written`: of the settings as they are; `get`: of those that are read.
template <class Get, class Write>
Row boolean(std::string_view section, std::string_view name, std::string_view meaning, Get get,
            Write written) {
  return {{section, name, "boolean", meaning, "true", name, false,
           [written](Settings s) { return std::string(written(s) ? "true" : "false"); }},
          [get](Reading& reading, const toml::node& node) {
            if (const auto value = reading.boolean(node)) get(reading.settings) = *value;
          }};
}

template <class Get>
Row duration(std::string_view section, std::string_view name, std::string_view meaning,
             std::string_view example, Get get, Duration least) {
  return {{section, name, "duration", meaning, example, name, false,
           [get](Settings s) { return quote(duration_text(get(s))); }},
          [get, least](Reading& reading, const toml::node& node) {
            if (const auto value = reading.duration(node, least)) get(reading.settings) = *value;
          }};
}

template <class Get>
Row durations(std::string_view section, std::string_view name, std::string_view meaning,
              std::string_view example, Get get, Duration least) {
  return {{section, name, "array of durations", meaning, example, name, false,
           [get](Settings s) {
             std::vector<std::string> items;
             for (const Duration item : get(s)) items.push_back(quote(duration_text(item)));
             return join(items);
           }},
          [get, least](Reading& reading, const toml::node& node) {
            const auto* array = reading.array(node, "an array of durations such as [\"5m\", \"1h\"]");
            if (!array) return;
            if (array->empty()) return reading.complain(node, "expected at least one duration");
            std::vector<Duration> values;
            for (const auto& item : *array)
              if (const auto value = reading.duration(item, least)) values.push_back(*value);
            if (values.size() == array->size()) get(reading.settings) = values;
          }};
}

template <class Get>
Row size(std::string_view section, std::string_view name, std::string_view meaning, std::string_view example,
         Get get, std::uint64_t least) {
  return {{section, name, "size", meaning, example, name, false,
           [get](Settings s) { return quote(size_text(get(s))); }},
          [get, least](Reading& reading, const toml::node& node) {
            const auto text = reading.text(node, "a size such as \"25MiB\" (units B, KiB, MiB, GiB, TiB)");
            if (!text) return;
            const auto value = parse_size(*text);
            if (!value)
              reading.complain(node, value.error());
            else if (*value < least)
              reading.complain(node, "'" + *text + "' is too small: at least " + size_text(least));
            else
              get(reading.settings) = *value;
          }};
}

/// `fault` names what is wrong with a text, or answers with an empty string.
template <class Get>
Row text(std::string_view section, std::string_view name, std::string_view type, std::string_view meaning,
         std::string_view example, Get get, const std::function<std::string(const std::string&)>& fault) {
  const std::string expected(type == "string" ? "a string" : type);
  return {{section, name, type, meaning, example, name, false,
           [get](Settings s) { return get(s).empty() ? std::string() : quote(get(s)); }},
          [get, expected, fault](Reading& reading, const toml::node& node) {
            const auto value = reading.text(node, expected);
            if (!value) return;
            if (const auto wrong = fault(*value); !wrong.empty())
              reading.complain(node, wrong);
            else
              get(reading.settings) = *value;
          }};
}

/// One of some words; `later` are words of the contract that this version does not have yet.
template <class Set, class Write>
Row word(std::string_view section, std::string_view name, std::string_view meaning, std::string_view example,
         const std::vector<std::string>& now, const std::vector<std::string>& later, Set set, Write write) {
  return {{section, name, "string", meaning, example, name, false, write},
          [now, later, set](Reading& reading, const toml::node& node) {
            std::string expected;
            for (const auto& one : now) expected += (expected.empty() ? "\"" : ", \"") + one + "\"";
            if (now.size() > 1) expected = "one of " + expected;
            const auto value = reading.text(node, expected);
            if (!value) return;
            if (const auto found = std::find(now.begin(), now.end(), *value); found != now.end())
              return set(reading.settings, static_cast<std::size_t>(found - now.begin()));
            if (std::find(later.begin(), later.end(), *value) != later.end())
              return reading.complain(
                  node, "'" + *value + "' is known, but not built yet in this version: expected " + expected);
            const auto meant = near_miss(*value, now);
            reading.complain(node, "'" + *value + "' is not known: expected " + expected +
                                       (meant.empty() ? "" : "; did you mean \"" + meant + "\"?"));
          }};
}

/// One of some words, which stand for the values of an enumeration in their order.
template <class Get>
Row choice(std::string_view section, std::string_view name, std::string_view meaning,
           std::string_view example, const std::vector<std::string>& words, Get get) {
  return word(
      section, name, meaning, example, words, {},
      [get](Settings& s, std::size_t n) {
        auto& value = get(s);
        value = static_cast<std::remove_reference_t<decltype(value)>>(n);
      },
      [get, words](Settings s) { return quote(words[static_cast<std::size_t>(get(s))]); });
}

/// Texts of one kind: an array, or one text where `one_will_do`.
template <class Get, class Parse, class Text>
Row several(std::string_view section, std::string_view name, std::string_view type, std::string_view meaning,
            std::string_view example, const std::string& expected, bool one_will_do, Get get, Parse parse,
            Text text_of) {
  return {{section, name, type, meaning, example, name, false,
           [get, text_of, one_will_do](Settings s) {
             std::vector<std::string> items;
             for (const auto& item : get(s)) items.push_back(quote(text_of(item)));
             if (one_will_do && items.size() < 2) return items.empty() ? std::string() : items.front();
             return join(items);
           }},
          [get, parse, expected, one_will_do](Reading& reading, const toml::node& node) {
            auto& values = get(reading.settings);
            values.clear();
            const auto take = [&](const toml::node& item) {
              const auto written = reading.text(item, expected);
              if (!written) return;
              if (auto value = parse(*written))
                values.push_back(*value);
              else
                reading.complain(item, value.error());
            };
            if (one_will_do && !node.is_array()) return take(node);
            const auto* array = reading.array(node, one_will_do ? expected : "an array: " + expected);
            if (!array) return;
            if (array->empty() && one_will_do)
              return reading.complain(node, "expected at least one: " + expected);
            for (const auto& item : *array) take(item);
          }};
}

/// One next hop or several in order of preference.
template <class Get>
Row next_hops(std::string_view section, std::string_view name, std::string_view meaning,
              std::string_view example, Get get) {
  return several(
      section, name, "next hops", meaning, example, "a next hop such as \"smtp://mail.example.org:587\"",
      true, get, [](const std::string& written) { return parse_next_hop(written); },
      [](const NextHop& hop) { return hop.text; });
}

inline std::string any(const std::string&) {
  return {};
}
inline std::string host_fault(const std::string& text) {
  return is_domain(text) ? "" : "'" + text + "' is not a host name: labels of letters, digits and hyphens";
}
inline std::string path_fault(const std::string& text) {
  if (text.empty()) return "the path is empty";
  return text.find('\0') == std::string::npos ? "" : "a path holds no NUL";
}
inline std::string socket_fault(const std::string& text) {
  return text.size() > 107 ? "the path of a unix socket has at most 107 octets" : path_fault(text);
}

}  // namespace spoold::conf
