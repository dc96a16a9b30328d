#include "server/admin/commands.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iostream>
#include <sstream>

#include "protocol/list/import_file.hpp"
#include "server/admin/destinations.hpp"
#include "server/admin/editor.hpp"
#include "server/admin/interrupt.hpp"
#include "server/admin/new_file.hpp"
#include "server/admin/print.hpp"
#include "server/admin/views.hpp"
#include "server/verp_key.hpp"
#include "store/broken.hpp"

namespace spoold::server::admin {

namespace {

constexpr std::size_t rows_of_a_table = 1000;

/// Rows as a JSON array, written as they come; or as tables of 1,000 rows each, so that none has to be kept.
class Rows {
 public:
  using Table = std::function<std::string(const std::vector<Json>&)>;
  Rows(bool json, Table table) : json_(json), table_(std::move(table)) {}
  void operator()(Json row) {
    ++count;
    if (json_) return put((count == 1 ? "[\n" : ",\n") + dump(row));
    page_.push_back(std::move(row));
    if (page_.size() == rows_of_a_table) print();
  }
  void finish() {
    if (json_)
      put(count ? "\n]\n" : "[]\n");
    else
      print();
  }
  std::size_t count = 0;

 private:
  void print() {
    put(table_(page_));
    page_.clear();
  }
  bool json_;
  Table table_;
  std::vector<Json> page_;
};

/// Mail for a terminal: whole lines, without what the terminal would obey.
class TerminalText {
 public:
  void operator()(const std::string& part) {
    rest_ += part;
    const auto end = rest_.rfind('\n');
    if (end == std::string::npos) return;
    put(printable_lines(std::string_view(rest_).substr(0, end + 1)));
    rest_.erase(0, end + 1);
  }
  void finish() const { put(printable_lines(rest_)); }

 private:
  std::string rest_;
};

/// "Name <address>", as import reads it.
std::string export_line(const list::Member& member) {
  // a line that begins with '#' is a comment to import
  if (member.name.empty())
    return member.address.starts_with('#') ? "<" + member.address + ">" : member.address;
  std::string name = "\"";
  for (const char c : member.name) {
    if (c == '"' || c == '\\') name += '\\';
    name += c;
  }
  return name + "\" <" + member.address + ">";
}

std::string csv_cell(const std::string& text) {
  if (text.find_first_of(",\"\r\n;\t") == std::string::npos) return text;
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"') out += '"';
    out += c;
  }
  return out + "\"";
}

}  // namespace

tl::expected<std::string, std::string> read_file(const std::string& path) {
  std::ostringstream text;
  if (path == "-") {
    text << std::cin.rdbuf();
    unless_interrupted();  // what a signal cut short is not the whole input
    return text.str();
  }
  std::error_code error;
  std::ifstream file(path, std::ios::binary);
  if (std::filesystem::is_directory(path, error)) return tl::unexpected(path + " is a folder");
  if (!file) return tl::unexpected(path + " cannot be read: " + std::strerror(errno));
  text << file.rdbuf();
  return text.str();
}

int Commands::fail(const Json& failure) {
  if (json_) put(dump(failure) + "\n");
  std::fprintf(stderr, "spoolctl: %s\n", printable(failure.value("error", "failed")).c_str());
  return failure.value("exit", 1);
}

template <class Body>
int Commands::reading(Body body) {
  try {
    const auto store = access_.store();
    if (!store) return fail(Exit::failed, store.error().text);
    const auto secret = verp_secret(access_.settings().verp, (*store)->secret());
    if (!secret) return fail(Exit::failed, secret.error());
    return body(Reads(**store, access_.settings(), hmac_sha256(*secret)), (*store)->now());
  } catch (const store::Broken& broken) {
    return fail(failure(broken.error));
  }
}

int Commands::queue(const Filter& filter, const std::string& by) {
  return reading([&](const Reads& reads, TimePoint now) {
    if (!by.empty()) {
      const Json rows = reads.queue_by(filter, by);
      put(json_ ? dump(rows, 1) + "\n" : totals_text(rows, by, now));
      return static_cast<int>(rows.empty() && !filter.empty() ? Exit::nothing_matched : Exit::done);
    }
    Rows rows(json_, [now](const std::vector<Json>& page) { return queue_text(page, now); });
    reads.queue(filter, [&](Json row) { rows(std::move(row)); });
    rows.finish();
    if (!json_ && rows.count == 0 && filter.empty()) put("The queue is empty.\n");
    if (rows.count == 0 && !filter.empty()) {
      std::fputs("spoolctl: nothing matched\n", stderr);
      return static_cast<int>(Exit::nothing_matched);
    }
    return static_cast<int>(Exit::done);
  });
}

int Commands::show(const std::vector<std::string>& ids, bool content, bool senders) {
  return reading([&](const Reads& reads, TimePoint now) {
    bool first = true;
    for (const auto& text : ids) {
      const auto id = store::parse_id(text);
      if (!id) return fail(Exit::usage, "'" + text + "' is not a queue id");
      const auto message = reads.message(*id);
      if (!message) return fail(Exit::nothing_matched, "there is no message " + text);
      if (content && !json_) {
        if (message->counts.open() == 0)
          return fail(Exit::failed, text + " is finished: its content is gone");
        if (::isatty(STDOUT_FILENO)) {
          TerminalText terminal;
          reads.content(*message, std::ref(terminal));
          terminal.finish();
        } else {
          reads.content(*message, put);
        }
        continue;
      }
      if (!json_) {
        put((first ? "" : "\n") + message_text(*message, now) + "\n");
        Rows rows(false, [&](const std::vector<Json>& page) { return recipients_text(page, now, senders); });
        reads.recipients(*message, [&](Json row) { rows(std::move(row)); });
        rows.finish();
        first = false;
        continue;
      }
      if (ids.size() > 1) put(first ? "[\n" : ",\n");
      std::string head = dump(message_json(*message));
      head.pop_back();
      put(head + ",\"recipients\":[");
      bool first_row = true;
      reads.recipients(*message, [&](Json row) {
        put((first_row ? "\n" : ",\n") + dump(row));
        first_row = false;
      });
      put("\n]");
      if (content) {
        std::string octets;
        reads.content(*message, [&](const std::string& part) { octets += part; });
        put(",\"content\":" + dump(Json(octets)));
      }
      put("}\n");
      first = false;
    }
    if (json_ && ids.size() > 1) put("]\n");
    return static_cast<int>(Exit::done);
  });
}

int Commands::trace(const std::string& what) {
  return reading([&](const Reads& reads, TimePoint) {
    Rows rows(json_, trace_text);
    reads.trace(what, [&](Json row) { rows(std::move(row)); });
    rows.finish();
    if (rows.count == 0) {
      std::fprintf(stderr, "spoolctl: nothing is known of %s\n", printable(what).c_str());
      return static_cast<int>(Exit::nothing_matched);
    }
    return static_cast<int>(Exit::done);
  });
}

namespace {

/// What Reads::check() found to repair is not nothing.
bool any_of(const Json& repairable) {
  return std::any_of(repairable.begin(), repairable.end(), [](const Json& ids) { return !ids.empty(); });
}

}  // namespace

int Commands::check(bool repair, bool dry_run) {
  Json repaired = Json::array(), would = Json::array();
  if (repair) {
    Json repairable;
    const int read = reading([&](const Reads& reads, TimePoint) {
      repairable = reads.check().repairable;
      return static_cast<int>(Exit::done);
    });
    if (read != 0) return read;
    if (any_of(repairable)) {
      try {
        Json request{{"verb", "repair"}, {"dry_run", dry_run}};
        request.update(repairable);
        const Json answer = access_.change(request);
        if (!answer.value("ok", false)) return fail(answer);
        (dry_run ? would : repaired) = answer.at("repaired");
      } catch (const store::Broken& broken) {
        return fail(failure(broken.error));
      }
    }
  }
  return reading([&](const Reads& reads, TimePoint) {
    const auto checked = reads.check();
    Json report = checked.report;
    if (repair && dry_run) report["dry_run"] = true, report["would_repair"] = would;
    if (repair && !dry_run) report["repaired"] = repaired;
    const bool ok = report.at("ok").get<bool>();
    if (json_) {
      put(dump(report) + "\n");
      return static_cast<int>(ok ? Exit::done : Exit::failed);
    }
    for (const Json& one : would) put("would repair: " + printable(one.get<std::string>()) + "\n");
    for (const Json& one : repaired) put("repaired: " + printable(one.get<std::string>()) + "\n");
    for (const Json& one : report.at("problems")) put("problem: " + printable(one.get<std::string>()) + "\n");
    for (const char* done : {"dry_run", "would_repair", "repaired", "problems"}) report.erase(done);
    put(fields_text(report));
    put(ok ? "The store is sound.\n"
           : "The store is NOT sound: keep a copy (spoolctl backup FILE) before anything else.\n");
    Json counts = checked.repairable;
    counts.erase("rows");
    if (any_of(counts)) put("Numbers that do not add up are counted anew by: spoolctl check --repair\n");
    if (!checked.repairable.at("rows").empty())
      put("Rows that cannot be read are mended while spoold does not run: stop it, then spoolctl check "
          "--repair\n");
    return static_cast<int>(ok ? Exit::done : Exit::failed);
  });
}

int Commands::backup(const std::string& path) {
  // Made before the store is opened: as root spoolctl becomes the store's owner there, who may not write here.
  const auto target = NewFile::make(path);
  if (!target) return fail(Exit::failed, target.error());
  return reading([&](const Reads&, TimePoint) {
    const auto begun = std::chrono::steady_clock::now();
    const auto store = access_.store();
    const auto done = (*store)->backup((*target)->descriptor(), unless_interrupted);
    if (!done) return fail(failure(done.error()));
    if (const auto kept = (*target)->keep(); !kept) return fail(Exit::failed, kept.error());
    const auto took =
        std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - begun)
            .count();
    const Json answer{{"ok", true},
                      {"file", path},
                      {"octets", done->octets},
                      {"copied", done->copied},
                      {"states", done->states},
                      {"longest_read_ms", done->longest_read},
                      {"seconds", static_cast<double>(took) / 1000}};
    put(json_ ? dump(answer) + "\n" : fields_text(answer));
    return static_cast<int>(Exit::done);
  });
}

int Commands::compact(bool dry_run) {
  const auto done = access_.compact(dry_run);
  if (!done) return fail(failure(done.error()));
  Json answer{{"ok", true}, {"before", done->before}, {"after", done->after}};
  if (dry_run) answer["dry_run"] = true;
  put(json_ ? dump(answer) + "\n"
            : (dry_run ? "dry run, nothing was changed; it would be:\n" : "") + fields_text(answer));
  return static_cast<int>(Exit::done);
}

int Commands::stats() {
  const Json answer = access_.ask_daemon(Json{{"verb", "stats"}});
  if (!answer.value("ok", false)) return fail(answer);
  put(json_ ? dump(answer) + "\n" : fields_text(answer));
  return static_cast<int>(Exit::done);
}

int Commands::destinations(const std::string& pattern, const Filter& filter) {
  // The lanes' own words where a daemon runs, else what the store remembers.
  const Json answer = access_.ask_daemon(Json{{"verb", "destinations"}});
  const Json live = answer.value("ok", false) ? answer.at("destinations") : Json::array();
  return reading([&](const Reads& reads, TimePoint now) {
    const auto store = access_.store();
    const Json totals = reads.queue_by(filter, "destination");
    Json rows = destination_rows(**store, access_.settings(), totals, live, pattern);
    if (!filter.empty())
      rows.erase(
          std::remove_if(rows.begin(), rows.end(), [](const Json& row) { return row.at("messages") == 0; }),
          rows.end());
    put(json_ ? dump(rows, 1) + "\n" : rows.empty() ? "" : destinations_text(rows, now));
    if (!rows.empty()) return static_cast<int>(Exit::done);
    if (pattern.empty() && filter.empty()) {
      if (!json_) put("No next hop has mail, and nothing is remembered of any.\n");
      return static_cast<int>(Exit::done);
    }
    std::fputs("spoolctl: nothing matched\n", stderr);
    return static_cast<int>(Exit::nothing_matched);
  });
}

int Commands::lists() {
  return reading([&](const Reads& reads, TimePoint) {
    Rows rows(json_, lists_text);
    reads.lists([&](Json row) { rows(std::move(row)); });
    rows.finish();
    if (!json_ && rows.count == 0) put("There are no lists.\n");
    return static_cast<int>(Exit::done);
  });
}

int Commands::list_show(const std::string& list) {
  return reading([&](const Reads& reads, TimePoint) {
    const auto found = reads.list(list);
    if (!found) return fail(Exit::nothing_matched, "there is no list " + list);
    put(json_ ? dump(list_json(*found)) + "\n" : fields_text(list_json(*found)));
    return static_cast<int>(Exit::done);
  });
}

int Commands::members(const std::string& list) {
  return reading([&](const Reads& reads, TimePoint) {
    const auto found = reads.list(list);
    if (!found) return fail(Exit::nothing_matched, "there is no list " + list);
    Rows rows(json_, members_text);
    reads.members(*found, [&](const list::Member& member) { rows(member_json(member)); });
    rows.finish();
    return static_cast<int>(Exit::done);
  });
}

int Commands::member_show(const std::string& list, const std::string& address) {
  return reading([&](const Reads& reads, TimePoint) {
    const auto found = reads.list(list);
    if (!found) return fail(Exit::nothing_matched, "there is no list " + list);
    const auto member = reads.member(*found, address);
    if (!member) return fail(Exit::nothing_matched, address + " is not a member of " + found->address());
    put(json_ ? dump(member_json(*member)) + "\n" : fields_text(member_json(*member)));
    return static_cast<int>(Exit::done);
  });
}

int Commands::export_members(const std::string& list, bool csv) {
  return reading([&](const Reads& reads, TimePoint) {
    const auto found = reads.list(list);
    if (!found) return fail(Exit::nothing_matched, "there is no list " + list);
    if (json_) return members(list);
    if (csv) put("email,name,delivery\r\n");
    std::string page;
    reads.members(*found, [&](const list::Member& member) {
      page += csv ? csv_cell(member.address) + "," + csv_cell(member.name) + "," +
                        list::text(member.delivery) + "\r\n"
                  : export_line(member) + "\n";
      if (page.size() < 1 << 16) return;
      put(page);
      page.clear();
    });
    put(page);
    return static_cast<int>(Exit::done);
  });
}

int Commands::change(const Json& request) {
  try {
    const Json answer = access_.change(request);
    put(json_ ? dump(answer) + "\n" : answer_text(request.value("verb", ""), answer));
    if (!answer.value("ok", false))
      std::fprintf(stderr, "spoolctl: %s\n", printable(answer.value("error", "failed")).c_str());
    return answer.value("exit", 1);
  } catch (const store::Broken& broken) {
    return fail(failure(broken.error));
  }
}

int Commands::edit_recipients_by_editor(const std::string& text, bool all_or_nothing, bool dry_run,
                                        bool yes) {
  std::vector<std::string> before;
  const int read = reading([&](const Reads& reads, TimePoint) {
    const auto id = store::parse_id(text);
    if (!id) return fail(Exit::usage, "'" + text + "' is not a queue id");
    const auto message = reads.message(*id);
    if (!message) return fail(Exit::nothing_matched, "there is no message " + text);
    reads.recipients(*message, [&](const Json& row) {
      const auto state = row.at("state").get<std::string>();
      if (state == "queued" || state == "active" || state == "deferred" || state == "held")
        before.push_back(row.at("address").get<std::string>());
    });
    return static_cast<int>(Exit::done);
  });
  if (read != 0) return read;
  if (before.empty()) return fail(Exit::failed, text + " is finished: no recipient is open");
  std::string lines = "# Open recipients of " + text +
                      ", one a line. Take lines out to remove recipients, add lines to add some.\n";
  for (const auto& address : before) lines += address + "\n";
  const auto after = [&] {
    const OwnIds own;  // the editor and its file are the caller's, not those of the store's owner
    return edit_text(lines);
  }();
  if (!after) return fail(Exit::failed, after.error());
  const auto difference = compare_recipients(before, *after);
  if (difference.empty()) {
    std::fputs("Nothing was changed.\n", stderr);
    return static_cast<int>(Exit::done);
  }
  for (const auto& address : difference.removed) std::fprintf(stderr, "- %s\n", printable(address).c_str());
  for (const auto& address : difference.added) std::fprintf(stderr, "+ %s\n", printable(address).c_str());
  if (!yes && !dry_run && ::isatty(STDIN_FILENO)) {
    std::fputs("Apply? [y/N] ", stderr);
    std::string answer;
    std::getline(std::cin, answer);
    unless_interrupted();
    if (answer != "y" && answer != "Y" && answer != "yes") {
      std::fputs("Nothing was changed.\n", stderr);
      return static_cast<int>(Exit::done);
    }
  }
  return change(Json{{"verb", "edit-recipients"},
                     {"id", text},
                     {"remove", difference.removed},
                     {"add", difference.added},
                     {"all_or_nothing", all_or_nothing},
                     {"dry_run", dry_run}});
}

}  // namespace spoold::server::admin
