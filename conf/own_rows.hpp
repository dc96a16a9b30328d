// Rows of the key table whose values have a form of their own. Included by keys.cpp only.
#pragma once
#include <algorithm>
#include <string>
#include <vector>

#include "conf/key_rows.hpp"

namespace spoold::conf {

inline Row listen_address() {
  return {{"listen", "address", "address", "where to listen: host:port, [v6]:port or unix:/path",
           "\"[::1]:2525\"", "host", true,
           [](Settings s) { return s.listen.empty() ? std::string() : quote(s.listen.back().text); }},
          [](Reading& reading, const toml::node& node) {
            const auto written = reading.text(node, "an address such as \"0.0.0.0:25\"");
            if (!written) return;
            auto listen = parse_listen(*written);
            if (!listen) return reading.complain(node, listen.error());
            Listen& one = reading.settings.listen.back();
            listen->protocol = one.protocol;
            listen->tls = one.tls;
            listen->proxy_protocol = one.proxy_protocol;
            listen->xclient = one.xclient;
            one = *listen;
          }};
}

inline Row milter_address() {
  return {{"milter", "address", "address", "where the filter listens: host:port, [v6]:port or unix:/path",
           "\"127.0.0.1:11332\"", "host", true,
           [](Settings s) { return s.milters.empty() ? std::string() : quote(s.milters.back().text); }},
          [](Reading& reading, const toml::node& node) {
            const auto written = reading.text(node, "an address such as \"127.0.0.1:11332\"");
            if (!written) return;
            const auto address = parse_milter(*written);
            if (!address) return reading.complain(node, address.error());
            Milter& one = reading.settings.milters.back();
            one.host = address->host;
            one.port = address->port;
            one.path = address->path;
            one.text = address->text;
          }};
}

inline Row milter_when_away() {
  static const std::vector<std::string> words{"tempfail", "accept", "reject"};
  return word(
      "milter", "when_away",
      "what is answered while it is away or in trouble: tempfail (451), accept (as if it were not there), or "
      "reject (550)",
      "\"accept\"", words, {},
      [](Settings& s, std::size_t n) { s.milters.back().when_away = static_cast<Milter::WhenAway>(n); },
      [](Settings s) {
        return quote(words[s.milters.empty() ? 0 : static_cast<std::size_t>(s.milters.back().when_away)]);
      });
}

inline Row milter_timeout() {
  Row made = duration(
      "milter", "timeout",
      "how long an answer may take; all of them about one message: four times that, and a second for each "
      "MiB",
      "\"10s\"", [](Settings & s) -> auto& { return s.milters.back().timeout; }, std::chrono::seconds(1));
  made.key.write = [](Settings s) {
    return quote(duration_text(s.milters.empty() ? Milter().timeout : s.milters.back().timeout));
  };
  return made;
}

inline Row certificate_file(std::string_view name, std::string_view meaning,
                            std::string Certificate::*member) {
  Row made = text(
      "tls", name, "path", meaning,
      "\"/dev/null\"", [member](Settings & s) -> auto& { return s.certificates.back().*member; }, path_fault);
  made.key.write = [member](Settings s) {
    return s.certificates.empty() ? std::string() : quote(s.certificates.back().*member);
  };
  return made;
}

/// RFC 6376 3.1: labels, which may be all digits.
inline std::string selector_fault(const std::string& text) {
  if (is_domain(text + ".x")) return {};
  return "'" + text + "' cannot be a selector: expected letters, digits and hyphens such as \"s2026\"";
}

inline Row dkim_row(std::string_view name, std::string_view type, std::string_view meaning,
                    std::string_view example, std::string Dkim::*member,
                    const std::function<std::string(const std::string&)>& fault) {
  Row made = text(
      "dkim", name, type, meaning,
      example, [member](Settings & s) -> auto& { return s.dkim_keys.back().*member; }, fault);
  made.key.write = [member](Settings s) {
    return s.dkim_keys.empty() ? std::string() : quote(s.dkim_keys.back().*member);
  };
  return made;
}

inline Row networks(std::string_view name, std::string_view meaning, std::vector<Network> Smtp::*member) {
  return {{"smtp", name, "array of networks", meaning, "[\"192.0.2.0/24\", \"unix\"]", name, false,
           [member](const Settings& s) {
             std::vector<std::string> items;
             for (const auto& network : s.smtp.*member) items.push_back(quote(network.text));
             return join(items);
           }},
          [member](Reading& reading, const toml::node& node) {
            const std::string expected = "an array of networks such as [\"192.0.2.0/24\"]";
            const auto* array = reading.array(node, expected);
            if (!array) return;
            std::vector<Network>& all = reading.settings.smtp.*member;
            all.clear();
            for (const auto& item : *array) {
              const auto written = reading.text(item, "a network such as \"192.0.2.0/24\"");
              if (!written) continue;
              if (const auto network = parse_network(*written))
                all.push_back(*network);
              else
                reading.complain(item, network.error());
            }
          }};
}

inline Row delimiter() {
  return {{"verp", "delimiter", "character",
           "between a list's name and what follows in its -bounces+ addresses: + _ ~ or #", "\"_\"",
           "delimiter", false, [](const Settings& s) { return quote(std::string(1, s.verp.delimiter)); }},
          [](Reading& reading, const toml::node& node) {
            const auto value = reading.text(node, "one character of + _ ~ #");
            if (!value) return;
            if (value->size() != 1 || std::string_view("+_~#").find(value->front()) == std::string_view::npos)
              return reading.complain(
                  node, "'" + *value + "' cannot be the delimiter: expected one character of + _ ~ #");
            reading.settings.verp.delimiter = value->front();
          }};
}

inline const std::vector<std::string> tls_words{"none", "opportunistic", "required", "verified", "dane"};

/// `get` answers with the optional member; none where there is no table to hold it.
template <class Get>
inline Row tls_policy(std::string_view section, std::string_view meaning, Get get) {
  return word(
      section, "tls", meaning, "\"required\"", tls_words, {},
      [get](Settings& s, std::size_t n) { *get(s) = static_cast<Tls>(n); },
      [get](Settings s) {
        const std::optional<Tls>* value = get(s);
        return value && *value ? quote(tls_words[static_cast<std::size_t>(**value)]) : std::string();
      });
}

inline Row control_mode() {
  return {
      {"control", "mode", "octal mode", "who may connect to the control socket", "\"0600\"", "mode", false,
       [](const Settings& s) {
         std::string out = "0000";
         for (int digit = 0; digit < 4; ++digit)
           out[static_cast<std::size_t>(3 - digit)] =
               static_cast<char>('0' + ((s.control.mode >> (3 * digit)) & 7));
         return quote(out);
       }},
      [](Reading& reading, const toml::node& node) {
        const auto value = reading.text(node, "a file mode such as \"0660\"");
        if (!value) return;
        const bool octal =
            std::all_of(value->begin(), value->end(), [](char c) { return c >= '0' && c <= '7'; });
        if (!octal || value->size() < 3 || value->size() > 4 || (value->size() == 4 && value->front() != '0'))
          return reading.complain(
              node, "'" + *value + "' is not a file mode: expected three octal digits such as \"0660\"");
        reading.settings.control.mode = std::stoi(*value, nullptr, 8);
      }};
}

}  // namespace spoold::conf
