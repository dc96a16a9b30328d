// Verbs that read a mail or a reply and say what it means. They need no daemon, no store and no configuration.
#include <iostream>
#include <string>

#include "conf/replies.hpp"
#include "protocol/bounce/complaint.hpp"
#include "protocol/bounce/event.hpp"
#include "protocol/bounce/scan.hpp"
#include "protocol/smtp/reply_class.hpp"
#include "server/spoolctl/mail_input.hpp"
#include "server/spoolctl/print.hpp"
#include "server/spoolctl/verbs.hpp"

namespace spoold::server::admin {
namespace {

/// Every verb that judges takes these two. What these verbs say depends neither on the DNS nor on the time.
void common_options(Verb& verb) {
  (void)verb.optional_word("--dns", "answers of the DNS; this verb asks none", "FILE");
  (void)verb.optional_word("--now", "the time; this verb needs none", "TIME");
}

/// The table that is built in, behind the rows of `file`, if one is named.
tl::expected<smtp::ReplyTable, std::string> reply_table(const std::string& file) {
  std::vector<conf::ReplyRule> rules;
  if (!file.empty()) {
    auto own = conf::load_replies(file);
    if (!own) {
      std::string problems;
      for (const conf::Problem& problem : own.error())
        problems += (problems.empty() ? "" : "\n") + problem.text();
      return tl::unexpected(problems);
    }
    rules = std::move(*own);
  }
  const auto& built_in = conf::built_in_replies();
  rules.insert(rules.end(), built_in.begin(), built_in.end());
  return smtp::ReplyTable(std::move(rules));
}

Json meaning(const smtp::ReplyClass& one) {
  Json row{{"action", conf::text(one.action)}, {"scores", one.scores()}, {"rule", one.rule}};
  row["wait"] = one.wait.count() == 0 ? Json() : Json(one.wait.count() / 1000);
  return row;
}

void bounce_scan(const Verbs& verbs) {
  Verb verb =
      verbs.add("bounce-scan", "show which addresses a bounce message on standard input reports as failed");
  common_options(verb);
  verb.runs_without_configuration([](const Console& console) {
    const std::string mail = mail_from_input();
    const bounce::Scan scan = bounce::scan(mail);
    const smtp::ReplyTable table(conf::built_in_replies());
    Json rows = Json::array();
    for (const bounce::Failure& failure : scan.failures) {
      const char* kind = failure.permanent ? "permanent" : "temporary";
      if (!console.json) put(std::string(kind) + " " + printable(failure.address) + "\n");
      rows.push_back({{"address", failure.address},
                      {"kind", kind},
                      {"format", scan.format},
                      {"status", failure.status.text()},
                      {"diagnostic", failure.diagnostic},
                      {"remote", failure.remote}});
      rows.back().update(meaning(table.classify(bounce::reply_of(failure), failure.remote)));
    }
    if (console.json) put(dump(rows) + "\n");
    return Exit::done;
  });
}

void reply_scan(const Verbs& verbs) {
  Verb verb = verbs.add("reply-scan",
                        "show what SMTP replies on standard input mean, one a line: a JSON object for each");
  auto mx = verb.optional_word("--mx", "the host that replied", "HOST");
  auto file = verb.optional_word("--replies",
                                 "a table of replies that is asked before the one that is built in", "FILE");
  common_options(verb);
  verb.runs_without_configuration([mx, file](const Console& console) {
    const auto table = reply_table(*file);
    if (!table) return console.fail(Exit::failed, table.error());
    for (std::string line; std::getline(std::cin, line);) {
      unless_interrupted();
      const smtp::Reply reply = smtp::reply_in_line(line);
      put(dump(meaning(table->classify(reply, *mx))) + "\n");
    }
    return Exit::done;
  });
}

void complaint_scan(const Verbs& verbs) {
  Verb verb = verbs.add("complaint-scan", "show whose complaint a feedback report on standard input is");
  common_options(verb);
  verb.runs_without_configuration([](const Console& console) {
    const std::string mail = mail_from_input();
    const auto complaint = bounce::scan_complaint(mail);
    Json row = Json::object();
    if (complaint)
      row = {{"feedback_type", complaint->feedback_type},
             {"original_recipient", text_or_null(complaint->original_recipient)},
             {"member", text_or_null(complaint->member)},
             {"list", text_or_null(complaint->list)},
             {"source_ip", text_or_null(complaint->source_ip)},
             {"arrived", complaint->arrived ? Json(rfc3339(*complaint->arrived)) : Json()}};
    if (console.json || complaint) return console.print(row);
    return Exit::done;
  });
}

}  // namespace

void declare_scan_verbs(const Verbs& verbs) {
  bounce_scan(verbs);
  reply_scan(verbs);
  complaint_scan(verbs);
}

}  // namespace spoold::server::admin
