// stats, backup, compact, check.
#include <algorithm>
#include <chrono>

#include "server/spoolctl/new_file.hpp"
#include "server/spoolctl/print.hpp"
#include "server/spoolctl/verbs.hpp"

namespace spoold::server::admin {

namespace {

Exit stats(const Console& console) {
  const Json answer = console.access.ask_daemon(Json{{"verb", "stats"}});
  return answer.value("ok", false) ? console.print(answer) : console.fail(answer);
}

Exit backup(const Console& console, const std::string& path) {
  // Made before the store is opened: as root spoolctl becomes the store's owner there, who may not write here.
  const auto target = NewFile::make(path);
  if (!target) return console.fail(Exit::failed, target.error());
  return console.reading([&](const Reads&, TimePoint) {
    const auto begun = std::chrono::steady_clock::now();
    const auto store = console.access.store();
    const auto done = (*store)->backup((*target)->descriptor(), unless_interrupted);
    if (!done) return console.fail(failure(done.error()));
    if (const auto kept = (*target)->keep(); !kept) return console.fail(Exit::failed, kept.error());
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begun;
    return console.print({{"ok", true},
                          {"file", path},
                          {"octets", done->octets},
                          {"copied", done->copied},
                          {"states", done->states},
                          {"longest_read_ms", done->longest_read},
                          {"seconds", static_cast<double>(static_cast<int>(took.count() * 1000)) / 1000}});
  });
}

Exit compact(const Console& console, bool dry_run) {
  const auto done = console.access.compact(dry_run);
  if (!done) return console.fail(failure(done.error()));
  Json answer{{"ok", true}, {"before", done->before}, {"after", done->after}};
  if (dry_run) answer["dry_run"] = true;
  if (dry_run && !console.json) put("dry run, nothing was changed; it would be:\n");
  return console.print(answer);
}

/// What Reads::check() found to repair is not nothing.
bool any_of(const Json& repairable) {
  return std::any_of(repairable.begin(), repairable.end(), [](const Json& ids) { return !ids.empty(); });
}

/// `repaired`: what was counted anew, or would be.
Exit repair(const Console& console, bool dry_run, Json& repaired) {
  Json request{{"verb", "repair"}, {"dry_run", dry_run}};
  bool any = false;
  const Exit read = console.reading([&](const Reads& reads, TimePoint) {
    const Json repairable = reads.check().repairable;
    any = any_of(repairable);
    request.update(repairable);
    return Exit::done;
  });
  if (read != Exit::done || !any) return read;
  const Json answer = console.ask(request);
  if (!answer.value("ok", false)) return console.fail(answer);
  repaired = answer.at("repaired");
  return Exit::done;
}

void print_lines(const char* what, const Json& lines) {
  for (const Json& one : lines) put(what + printable(one.get<std::string>()) + "\n");
}

Exit check(const Console& console, bool with_repair, bool dry_run) {
  Json repaired = Json::array();
  if (with_repair)
    if (const Exit failed = repair(console, dry_run, repaired); failed != Exit::done) return failed;
  return console.reading([&](const Reads& reads, TimePoint) {
    const auto checked = reads.check();
    Json report = checked.report;
    const Exit exit = report.at("ok").get<bool>() ? Exit::done : Exit::failed;
    if (console.json) {
      if (with_repair && dry_run) report["dry_run"] = true;
      if (with_repair) report[dry_run ? "would_repair" : "repaired"] = repaired;
      put(dump(report) + "\n");
      return exit;
    }
    print_lines(dry_run ? "would repair: " : "repaired: ", repaired);
    print_lines("problem: ", report.at("problems"));
    report.erase("problems");
    put(fields_text(report));
    put(exit == Exit::done
            ? "The store is sound.\n"
            : "The store is NOT sound: keep a copy (spoolctl backup FILE) before anything else.\n");
    Json counts = checked.repairable;
    counts.erase("rows");
    if (any_of(counts)) put("spoolctl check --repair counts anew the numbers that do not add up.\n");
    if (!checked.repairable.at("rows").empty())
      put("spoolctl check --repair mends the rows that cannot be read, while spoold does not run.\n");
    return exit;
  });
}

}  // namespace

void declare_store_verbs(const Verbs& verbs) {
  verbs.add("stats", "show counters of the running daemon").runs(stats);

  Verb copy = verbs.add("backup", "make a consistent copy of the store; the daemon may run");
  const auto file = copy.word("FILE", "the copy: it appears when it is complete, and replaces an older one");
  copy.runs([=](const Console& console) { return backup(console, *file); });

  Verb smaller = verbs.add("compact", "rewrite the store without its free pages; the daemon must not run");
  const auto only_sizes = smaller.dry_run();
  smaller.runs([=](const Console& console) { return compact(console, *only_sizes); });

  Verb sound = verbs.add("check", "check that the store is sound; the daemon may run");
  const auto with_repair = sound.flag("--repair", "repair what is found"), dry = sound.dry_run();
  sound.runs([=](const Console& console) {
    if (*dry && !*with_repair) throw Usage{"--dry-run is for --repair"};
    return check(console, *with_repair, *dry);
  });
}

}  // namespace spoold::server::admin
