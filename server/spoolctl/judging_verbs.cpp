// spf, dmarc, dkim verify, auth, dnsbl: what is found out about a client, a sender and a message, explained. No store, no daemon and
// no configuration is needed.
#include <algorithm>

#include "protocol/auth/dnsbl.hpp"
#include "protocol/auth/results.hpp"
#include "server/auth/crypto.hpp"
#include "server/idna.hpp"
#include "server/spoolctl/circumstances.hpp"
#include "server/spoolctl/dkim_verbs.hpp"
#include "server/spoolctl/mail_input.hpp"
#include "server/spoolctl/print.hpp"
#include "server/spoolctl/verbs.hpp"
#include "server/spoolctl/verified_mail.hpp"

namespace spoold::server::admin {

namespace {

dns::Address client_of(const std::string& text) {
  const auto address = dns::parse_ip(text);
  if (!address) throw Usage{"'" + text + "' is not an IP address"};
  return *address;
}

Json spf_json(const auth::SpfVerdict& verdict) {
  return {{"result", text(verdict.result)},
          {"domain", verdict.domain},
          {"mechanism", text_or_null(verdict.mechanism)},
          {"explanation", text_or_null(verdict.explanation)},
          {"problem", text_or_null(verdict.problem)},
          {"lookups", verdict.lookups},
          {"void_lookups", verdict.void_lookups}};
}

Json dkim_json(const std::vector<auth::DkimVerdict>& verdicts) {
  Json all = Json::array();
  for (const auth::DkimVerdict& one : verdicts)
    all.push_back({{"domain", text_or_null(one.domain)},
                   {"selector", text_or_null(one.selector)},
                   {"algorithm", text_or_null(one.algorithm)},
                   {"result", text(one.result)},
                   {"reason", text_or_null(one.reason)},
                   {"testing", one.testing}});
  return all;
}

Json dmarc_json(const auth::DmarcVerdict& verdict) {
  const auto& record = verdict.record;
  Json alignments = Json::array();
  for (const auto& one : verdict.alignments)
    alignments.push_back({{"by", one.identifier.by == auth::Identifier::By::spf ? "spf" : "dkim"},
                          {"domain", one.identifier.domain},
                          {"aligned", one.aligned},
                          {"organizational_domain", text_or_null(one.organizational_domain)}});
  return {{"domain", verdict.domain},
          {"organizational_domain", text_or_null(verdict.organizational_domain)},
          {"record", record ? Json(record->text) : Json(nullptr)},
          {"record_domain", text_or_null(verdict.record_domain)},
          {"policy", verdict.policy ? Json(text(*verdict.policy)) : Json(nullptr)},
          {"adkim", !record ? Json(nullptr) : Json(record->strict_dkim ? "s" : "r")},
          {"aspf", !record ? Json(nullptr) : Json(record->strict_spf ? "s" : "r")},
          {"walk", verdict.walk},
          {"identifiers", alignments},
          {"result", text(verdict.result)},
          {"disposition", text(verdict.disposition)},
          {"problem", text_or_null(verdict.problem)}};
}

/// "DOMAIN=RESULT" of --spf and --dkim: only what passed counts.
void add_identifiers(std::vector<auth::Identifier>& all, const Words& words, auth::Identifier::By by) {
  for (const std::string& word : words) {
    const auto equals = word.rfind('=');
    if (equals == std::string::npos || equals == 0) throw Usage{"'" + word + "' is not DOMAIN=RESULT"};
    if (word.substr(equals + 1) == "pass") all.push_back({by, dns_domain(word.substr(0, equals))});
  }
}

auth::DnsblVerdict asked(const conf::Dnsbl& list, const dns::Address& client, Asker& asker) {
  auth::DnsblCheck check(list, client);
  return asker.answer(check).verdict();
}

/// Does the list work (RFC 5782 5)? Empty, or what is wrong.
std::string self_test(const conf::Dnsbl& list, bool v6, Asker& asker) {
  const auto [listed, not_listed] = auth::dnsbl_test_entries(v6);
  return auth::dnsbl_fault(asked(list, listed, asker), asked(list, not_listed, asker));
}

Json dnsbl_json(const conf::Dnsbl& list, const auth::DnsblVerdict& verdict) {
  return {{"zone", verdict.zone},
          {"listed", verdict.listed},
          {"answers", verdict.answers},
          {"text", text_or_null(verdict.text)},
          {"error", text_or_null(verdict.error)},
          {"action", list.action == conf::Dnsbl::Action::reject ? "reject" : "mark"}};
}

/// What is the same for each object of an answer, for the eye.
Exit print_all(const Console& console, const Json& objects, const char* none) {
  if (console.json) {
    put(dump(objects) + "\n");
    return Exit::done;
  }
  for (const Json& object : objects) put(fields_text(object) + (objects.size() > 1 ? "\n" : ""));
  if (objects.empty()) put(std::string(none) + "\n");
  return Exit::done;
}

}  // namespace

void declare_judging_verbs(const Verbs& verbs) {
  Verb spf = verbs.add("spf", "may this client send mail from that address? (SPF, RFC 7208)");
  const auto ip = spf.word("IP", "the client's address"), helo = spf.word("HELO", "its name in HELO or EHLO"),
             from = spf.word("MAILFROM", "the reverse path; '' or '<>': postmaster at HELO is judged");
  const Circumstances of_spf(spf);
  spf.runs_without_configuration([=](const Console& console) {
    auth::SpfQuery query{client_of(*ip), *helo, ascii_domains(without_brackets(*from)),
                         console.access.settings().hostname, of_spf.now()};
    auth::SpfCheck check(std::move(query));
    return console.print(spf_json(of_spf.asker(console)->answer(check).verdict()));
  });

  Verb dmarc = verbs.add("dmarc", "does a domain's DMARC policy allow a mail from it? (RFC 9989)");
  const auto domain = dmarc.word("DOMAIN", "the domain of the address in From");
  const auto by_spf = std::make_shared<Words>(), by_dkim = std::make_shared<Words>();
  dmarc.options()
      ->add_option("--spf", *by_spf, "what SPF found out")
      ->type_name("DOMAIN=RESULT")
      ->allow_extra_args(false);
  dmarc.options()
      ->add_option("--dkim", *by_dkim, "what a DKIM signature proved; for each one")
      ->type_name("DOMAIN=RESULT")
      ->allow_extra_args(false);
  const Circumstances of_dmarc(dmarc);
  dmarc.runs_without_configuration([=](const Console& console) {
    auth::DmarcQuery query{dns_domain(*domain), {}};
    add_identifiers(query.identifiers, *by_spf, auth::Identifier::By::spf);
    add_identifiers(query.identifiers, *by_dkim, auth::Identifier::By::dkim);
    auth::DmarcCheck check(std::move(query));
    return console.print(dmarc_json(of_dmarc.asker(console)->answer(check).verdict()));
  });

  const Verbs dkim = verbs.group("dkim", "DKIM signatures, and the keys of our own");
  declare_dkim_verbs(dkim);
  declare_dkim2_verbs(verbs);
  Verb verify = dkim.add("verify", "verify the signatures of the mail on standard input (RFC 6376)");
  const Circumstances of_verify(verify);
  verify.runs_without_configuration([=](const Console& console) {
    const std::string mail = mail_from_input();
    const mail::Header header = header_of(mail);
    return print_all(console,
                     dkim_json(verified_signatures(mail, header, of_verify.now(), *of_verify.asker(console))),
                     "The mail has no signature.");
  });

  Verb all = verbs.add(
      "auth", "SPF, DKIM and DMARC of the mail on standard input, and its Authentication-Results (RFC 8601)");
  const auto client = all.optional_word("--client", "the client's address", "IP"),
             name = all.optional_word("--helo", "its name in HELO or EHLO", "NAME"),
             sender = all.optional_word("--mail-from", "the reverse path", "ADDR");
  (void)all.optional_word("--rcpt", "a recipient; no result depends on it", "ADDR");
  const Circumstances of_all(all);
  all.runs_without_configuration([=](const Console& console) {
    if (client->empty() || name->empty()) throw Usage{"auth needs --client and --helo"};
    const std::string mail = mail_from_input();
    const mail::Header header = header_of(mail);
    const auto asker = of_all.asker(console);
    const std::string host = console.access.settings().hostname, reverse_path = without_brackets(*sender);
    auth::SpfCheck spf_check({client_of(*client), *name, ascii_domains(reverse_path), host, of_all.now()});
    auth::Verified found;
    found.helo = reverse_path.empty();
    found.spf = asker->answer(spf_check).verdict();
    found.dkim = verified_signatures(mail, header, of_all.now(), *asker);
    judge_author(found, header, *asker);
    return console.print({{"spf", spf_json(*found.spf)},
                          {"dkim", dkim_json(found.dkim)},
                          {"dmarc", dmarc_json(*found.dmarc)},
                          {"header", mail::unfolded(auth::authentication_results(host, found))}});
  });

  Verb lists =
      verbs.add("dnsbl", "show which DNS lists of the configuration have an address ([[dnsbl]], RFC 5782)");
  const auto address = lists.word("IP", "the address of a client");
  const auto test = lists.flag("--self-test", "also test whether each list works, by its test entries");
  const Circumstances of_lists(lists);
  lists.runs_without_configuration([=](const Console& console) {
    const dns::Address subject = dns::unmapped(client_of(*address));
    const auto asker = of_lists.asker(console);
    Json rows = Json::array();
    for (const conf::Dnsbl& list : console.access.settings().dnsbls) {
      auth::DnsblVerdict verdict = asked(list, subject, *asker);
      if (std::string fault = *test ? self_test(list, subject.v6, *asker) : ""; !fault.empty()) {
        verdict.listed = false;
        verdict.error = std::move(fault);
      }
      rows.push_back(dnsbl_json(list, verdict));
    }
    return print_all(console, rows, "The configuration names no list: [[dnsbl]] is not there.");
  });
}

}  // namespace spoold::server::admin
