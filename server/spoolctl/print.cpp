#include "server/spoolctl/print.hpp"

#include <cstdio>
#include <ctime>
#include <optional>

#include "server/admin/views.hpp"

namespace spoold::server::admin {

namespace {

std::string text_of(const Json& json, const char* name) {
  const auto found = json.find(name);
  if (found == json.end() || found->is_null()) return {};
  return found->is_string() ? found->get<std::string>() : dump(*found);
}

/// "3 delivered, 1 deferred": only what is not zero.
std::string counts_text(const Json& counts) {
  std::string out;
  for (const char* state :
       {"queued", "active", "deferred", "held", "delivered", "failed", "expired", "removed"}) {
    auto n = counts.value(state, std::uint64_t{0});
    if (n == 0) continue;
    out += (out.empty() ? "" : ", ") + std::to_string(n) + " " + state;
  }
  return out.empty() ? "none" : out;
}

std::string reply_text(const Json& row) {
  const auto found = row.find("last_reply");
  if (found == row.end() || !found->is_object()) return {};
  const auto code = found->value("code", 0);
  std::string out = code ? std::to_string(code) + " " : "";
  if (const auto enhanced = text_of(*found, "enhanced"); !enhanced.empty()) out += enhanced + " ";
  std::string text = text_of(*found, "text");
  for (char& c : text)
    if (c == '\n') c = ' ';
  return out + text;
}

std::string suspect_text(const Json& row) {
  const auto found = row.find("suspect");
  if (found == row.end()) return {};
  return "suspect, " + text_of(*found, "strikes") + " of 3: " + text_of(*found, "how") + ", last " +
         text_of(*found, "last_drop");
}

std::optional<TimePoint> parse_time(const std::string& text) {
  std::tm tm{};
  int ms = 0;
  if (std::sscanf(text.c_str(), "%d-%d-%dT%d:%d:%d.%dZ", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour,
                  &tm.tm_min, &tm.tm_sec, &ms) < 6)
    return std::nullopt;
  tm.tm_year -= 1900, tm.tm_mon -= 1;
  return TimePoint(std::chrono::duration_cast<Duration>(std::chrono::seconds(timegm(&tm))) + Duration(ms));
}

void names(std::string& out, const Json& answer, const char* list, const char* verb) {
  const auto found = answer.find(list);
  if (found == answer.end() || !found->is_array()) return;
  for (const Json& one : *found) {
    const std::string address = one.is_object() ? text_of(one, "address") : one.get<std::string>();
    out += std::string(verb) + " " + printable(address);
    if (one.is_object() && one.contains("new")) out += " by " + printable(text_of(one, "new"));
    if (one.is_object() && one.contains("reason")) out += ": " + printable(text_of(one, "reason"));
    if (one.is_object() && one.contains("in_delivery")) out += " (being delivered: its lane will decide)";
    out += "\n";
  }
}

}  // namespace

std::string short_duration(std::int64_t seconds) {
  if (seconds < 0) seconds = 0;
  if (seconds < 120) return std::to_string(seconds) + "s";
  if (seconds < 120 * 60) return std::to_string(seconds / 60) + "m";
  if (seconds < 48 * 3600) return std::to_string(seconds / 3600) + "h";
  return std::to_string(seconds / 86400) + "d";
}

std::string short_size(std::uint64_t octets) {
  if (octets < 10'000) return std::to_string(octets) + "B";
  if (octets < 10'000ull << 10) return std::to_string(octets >> 10) + "K";
  if (octets < 10'000ull << 20) return std::to_string(octets >> 20) + "M";
  return std::to_string(octets >> 30) + "G";
}

std::string relative(const Json& time, TimePoint now) {
  if (!time.is_string()) return {};
  const auto at = parse_time(time.get<std::string>());
  if (!at) return time.get<std::string>();
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(*at - now).count();
  if (seconds > 0) return "in " + short_duration(seconds);
  return seconds > -2 ? "now" : short_duration(-seconds) + " ago";
}

std::string queue_text(const std::vector<Json>& rows, TimePoint now) {
  Table table({"ID", ">AGE", ">SIZE", "LIST OR SENDER", "RECIPIENTS", "NEXT", "LAST ERROR"});
  for (const Json& row : rows) {
    const std::string list = text_of(row, "list"), sender = "<" + text_of(row, "sender") + ">";
    table.row({text_of(row, "id"), short_duration(row.value("age", std::int64_t{0})),
               short_size(row.value("size", std::uint64_t{0})), printable(list.empty() ? sender : list, 40),
               counts_text(row.at("recipients")), relative(row.at("next_attempt"), now),
               printable(text_of(row, "last_error"), 60)});
  }
  return table.text();
}

std::string totals_text(const Json& rows, const std::string& what, TimePoint now) {
  Table table({what == "list" ? "LIST" : "DESTINATION", what == "list" ? "" : "NEXT HOP", ">MESSAGES",
               ">RECIPIENTS", ">QUEUED", ">ACTIVE", ">DEFERRED", ">HELD", "OLDEST"});
  for (const Json& row : rows) {
    const std::string name = text_of(row, what.c_str());
    table.row({name.empty() ? "(no list)" : name, text_of(row, "next_hop"), text_of(row, "messages"),
               text_of(row, "recipients"), text_of(row, "queued"), text_of(row, "active"),
               text_of(row, "deferred"), text_of(row, "held"), relative(row.at("oldest"), now)});
  }
  return table.text();
}

std::string destinations_text(const Json& rows, TimePoint now) {
  Table table({"DESTINATION", ">MESSAGES", ">RECIPIENTS", "NEXT", ">OPEN", "HEALTH", "LEARNED", ">SUSPECTS",
               "LAST ERROR"});
  for (const Json& row : rows) {
    std::string name = text_of(row, "destination");
    if (const auto hop = text_of(row, "next_hop"); !hop.empty() && hop != name) name += " (" + hop + ")";
    std::string health = text_of(row, "health");
    if (row.at("until").is_string()) health += " " + relative(row.at("until"), now);
    if (row.value("in_line", false)) health += ", in line";
    if (const auto group = text_of(row, "group"); !group.empty() && row.at("until").is_string())
      health += " (group " + printable(group, 60) + ")";
    std::string learned;
    for (const auto& [limit, value] : row.at("learned").items())
      learned += (learned.empty() ? "" : ", ") + text_of(value, "value") + " " + limit;
    for (char& c : learned)
      if (c == '_') c = ' ';
    table.row({name, text_of(row, "messages"), text_of(row, "recipients"),
               relative(row.at("next_attempt"), now), text_of(row, "connections"), health, learned,
               text_of(row, "suspects"), printable(text_of(row, "last_error"), 100)});
  }
  return table.text();
}

std::string message_text(const store::Message& message, TimePoint now) {
  const Json m = message_json(message);
  std::string out = text_of(m, "id") + "  " + text_of(m, "state");
  if (message.list)
    out += "  list " + printable(message.list_address) +
           (message.post ? ", post " + std::to_string(message.post) : ", its own mail");
  out += "\narrived     " + text_of(m, "arrived") + " (" + relative(m.at("arrived"), now) + "), " +
         short_size(message.size) + "\n";
  if (!message.list) out += "sender      <" + printable(message.reverse_path) + ">\n";
  if (message.dsn.given()) {
    std::string asked;
    smtp::append_parameters(asked, message.dsn);
    out += "reports    " + printable(asked, 150) + "\n";
  }
  out += "from        " + printable(message.from, 100) + "\nsubject     " + printable(message.subject, 100) +
         "\nmessage-id  " + printable(message.message_id, 100) + "\nrecipients  " +
         counts_text(m.at("counts")) + "\n";
  return out;
}

std::string recipients_text(const std::vector<Json>& rows, TimePoint now, bool with_senders) {
  std::vector<std::string> columns{"ADDRESS", "STATE", ">ATTEMPTS", "NEXT", "LAST REPLY"};
  if (with_senders) columns.insert(columns.begin() + 1, "ENVELOPE SENDER");
  Table table(columns);
  for (const Json& row : rows) {
    std::string last = reply_text(row);
    if (const auto suspect = suspect_text(row); !suspect.empty())
      last += (last.empty() ? "" : "; ") + suspect;
    if (row.contains("waits_for")) {
      const Json& host = row.at("waits_for");
      last += std::string(last.empty() ? "" : "; ") + "waits for " + text_of(host, "route");
      if (const auto error = text_of(host, "error"); !error.empty()) last += ": " + error;
      last += ", next " + relative(host.at("until"), now);
    }
    if (row.contains("possible_duplicate"))
      last += std::string(last.empty() ? "" : "; ") + "possible duplicate";
    for (const char* asked : {"notify", "orcpt"})
      if (row.contains(asked))
        last += (last.empty() ? "" : "; ") + std::string(asked) + " " + text_of(row, asked);
    if (row.contains("isolate")) last += std::string(last.empty() ? "" : "; ") + "isolated by an operator";
    std::vector<std::string> cells{text_of(row, "address"), text_of(row, "state"), text_of(row, "attempts"),
                                   relative(row.at("next_attempt"), now), printable(last)};
    if (with_senders) cells.insert(cells.begin() + 1, "<" + text_of(row, "envelope_sender") + ">");
    table.row(std::move(cells));
  }
  return table.text();
}

std::string trace_text(const std::vector<Json>& rows) {
  Table table({"AT", "ID", "EVENT", "WHO OR WHERE", "WHAT"});
  for (const Json& row : rows) {
    std::string where = text_of(row, "who");
    if (row.contains("last_reply") && row.at("last_reply").is_object())
      where = text_of(row.at("last_reply"), "remote");
    if (where.empty()) where = text_of(row, "route");
    std::string what = text_of(row, "detail");
    if (const auto reply = reply_text(row); !reply.empty()) what += (what.empty() ? "" : "; ") + reply;
    std::string address = text_of(row, "address");
    if (row.contains("addresses") && !row.at("addresses").empty()) {
      address = row.at("addresses")[0].get<std::string>();
      const auto more = row.value("recipients", std::uint64_t{1});
      if (more > 1) address += " and " + std::to_string(more - 1) + " more";
    }
    if (!address.empty()) what = address + (what.empty() ? "" : ": " + what);
    table.row({text_of(row, "at"), text_of(row, "id"), text_of(row, "event"), where, printable(what)});
  }
  return table.text();
}

std::string lists_text(const std::vector<Json>& rows) {
  Table table({"LIST", ">MEMBERS", ">POSTS", "VERP", "NONMEMBERS", "DESCRIPTION"});
  for (const Json& row : rows)
    table.row({text_of(row, "address"), text_of(row, "members"), text_of(row, "last_post"),
               text_of(row, "verp"), text_of(row, "nonmembers"), printable(text_of(row, "description"), 60)});
  return table.text();
}

/// "own_posts=false vacation=..2027-01-06T00:00:00.000Z": those that are set.
std::string preferences_text(const Json& row) {
  std::string text;
  for (const auto& [name, value] : row.at("preferences").items()) {
    if (value.is_null()) continue;
    text.append(text.empty() ? "" : " ").append(name).append("=");
    if (value.is_boolean())
      text += value.get<bool>() ? "true" : "false";
    else if (value.is_object())
      text += (value.at("from").is_null() ? "" : value.at("from").get<std::string>()) + ".." +
              value.at("until").get<std::string>();
    else
      text += value.get<std::string>();
  }
  return text;
}

std::string members_text(const std::vector<Json>& rows) {
  Table table({"ADDRESS", "NAME", "DELIVERY", "MODERATION", "JOINED", "PREFERENCES"});
  for (const Json& row : rows)
    table.row({text_of(row, "address"), printable(text_of(row, "name"), 40), text_of(row, "delivery"),
               text_of(row, "moderation"), text_of(row, "joined"), preferences_text(row)});
  return table.text();
}

std::string persons_text(const std::vector<Json>& rows) {
  Table table({"PERSON", "ADDRESS", "VERIFIED", "NAME", "PREFERENCES"});
  for (const Json& row : rows) {
    bool first = true;
    for (const Json& one : row.at("addresses")) {
      const std::string verified = text_of(one, "verified");
      table.row({first ? text_of(row, "person") : std::string(), printable(text_of(one, "address")),
                 verified.empty() ? "no" : verified,
                 first ? printable(text_of(row, "name"), 40) : std::string(),
                 first ? preferences_text(row) : std::string()});
      first = false;
    }
  }
  return table.text();
}

std::string users_text(const std::vector<Json>& rows) {
  Table table({"NAME", "ADDRESSES", "CREATED", "PASSWORD SET"});
  for (const Json& row : rows) {
    std::string addresses;
    for (const Json& one : row.at("addresses"))
      addresses += (addresses.empty() ? "" : " ") + one.get<std::string>();
    table.row(
        {text_of(row, "name"), printable(addresses), text_of(row, "created"), text_of(row, "password_set")});
  }
  return table.text();
}

std::string scores_text(const std::vector<Json>& rows, TimePoint now) {
  Table table({"ADDRESS", ">SCORE", "STATE", "LAST FAILURE", "CAUSE", "NEXT"});
  for (const Json& row : rows) {
    std::string state = text_of(row, "state");
    if (state == "disabled") state += ", warned " + text_of(row, "warnings") + "x";
    table.row({printable(text_of(row, "address")), text_of(row, "score") + " of " + text_of(row, "threshold"),
               state, relative(row.at("last"), now), printable(text_of(row, "cause")),
               relative(row.at("next"), now)});
  }
  return table.text();
}

std::string requests_text(const std::vector<Json>& rows, TimePoint now) {
  Table table({"LIST", "ADDRESS", "REQUEST", "WAITS FOR", "ASKED", "ENDS"});
  for (const Json& row : rows)
    table.row({printable(text_of(row, "list")), printable(text_of(row, "address")), text_of(row, "request"),
               text_of(row, "waits_for"), relative(row.at("since"), now), relative(row.at("until"), now)});
  return table.text();
}

std::string held_text(const std::vector<Json>& rows) {
  Table table({"ID", "LIST", "SENDER", "SUBJECT", "RULE", ">SIZE", "ARRIVED", "UNTIL"});
  for (const Json& row : rows)
    table.row({text_of(row, "id"), text_of(row, "list"), printable(text_of(row, "sender")),
               printable(text_of(row, "subject"), 40), text_of(row, "rule"),
               short_size(row.at("size").get<std::uint64_t>()), text_of(row, "arrived"),
               text_of(row, "until")});
  return table.text();
}

std::string fields_text(const Json& object, const std::string& indent) {
  std::size_t longest = 0;
  for (const auto& [key, value] : object.items()) longest = std::max(longest, key.size());
  std::string out;
  for (const auto& [key, value] : object.items()) {
    if (key == "ok" || key == "exit" || key == "dry_run") continue;
    if (value.is_object()) {
      out += indent + key + "\n" + fields_text(value, indent + "  ");
      continue;
    }
    std::string shown;
    if (value.is_array()) {
      for (const Json& one : value)
        shown += (shown.empty() ? "" : ", ") + (one.is_string() ? one.get<std::string>() : dump(one));
    } else {
      shown = value.is_string() ? value.get<std::string>() : value.is_null() ? "" : dump(value);
    }
    std::string line = indent + key + std::string(longest - key.size() + 2, ' ') + printable(shown);
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  }
  return out;
}

std::string answer_text(const std::string& verb, const Json& answer) {
  std::string out;
  const bool planned = answer.value("dry_run", false);
  if (verb == "bounces-undo") {
    names(out, answer, "members", "taken back:");
  } else if (verb == "member-accept" || verb == "member-refuse") {
    names(out, answer, "accepted", "accepted");
    names(out, answer, "refused", "refused");
    names(out, answer, "unknown", "does not wait:");
  } else if (verb == "edit-recipients" || verb == "member-add" || verb == "member-remove") {
    names(out, answer, "removed", "removed");
    names(out, answer, "added", "added");
    names(out, answer, "replaced", "replaced");
    names(out, answer, "isolated", "isolated");
    names(out, answer, "already", "already a member:");
    names(out, answer, "unknown", "not a member:");
    names(out, answer, "refused", "refused");
  } else if (verb == "wake" && answer.contains("destinations")) {
    for (const Json& one : answer.at("destinations"))
      out += "woken " + printable(one.get<std::string>()) + "\n";
    out += "due now: " + text_of(answer, "recipients") + " recipients of " + text_of(answer, "messages") +
           " messages\n";
  } else if (answer.contains("messages")) {
    out = verb + ": " + text_of(answer, "recipients") + " recipients of " + text_of(answer, "messages") +
          " messages\n";
    names(out, answer, "refused", "refused");
  } else if (verb == "import") {
    if (answer.contains("bad_lines"))
      for (const Json& line : answer.at("bad_lines"))
        out += "line " + text_of(line, "line") + ": " + printable(text_of(line, "text")) + ": " +
               printable(text_of(line, "reason")) + "\n";
    else if (answer.contains("added"))
      out = "added " + text_of(answer, "added") + ", already members " + text_of(answer, "already") +
            ", repeated in the file " + text_of(answer, "repeated") + "\n";
  } else if (verb.starts_with("address-") && answer.contains("addresses")) {
    out = persons_text({answer});
  } else if (answer.value("ok", false)) {
    out = fields_text(answer);
  }
  if (planned && !out.empty()) out = "dry run, nothing was changed; it would be:\n" + out;
  return out;
}

}  // namespace spoold::server::admin
