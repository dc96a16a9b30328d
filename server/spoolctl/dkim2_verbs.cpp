// dkim2 verify and undo: the chain of signatures of a mail, and the mail as it was before a hop changed it.
#include "protocol/auth/dkim2.hpp"

#include <charconv>
#include <stdexcept>

#include "server/auth/crypto.hpp"
#include "server/idna.hpp"
#include "server/spoolctl/circumstances.hpp"
#include "server/spoolctl/dkim_verbs.hpp"
#include "server/spoolctl/mail_input.hpp"
#include "server/spoolctl/print.hpp"
#include "server/spoolctl/verbs.hpp"

namespace spoold::server::admin {

namespace {

Json verdict_json(const auth::Dkim2Verdict& verdict) {
  Json signatures = Json::array();
  for (const auth::Dkim2Verdict::Signature& one : verdict.signatures)
    signatures.push_back({{"i", one.number},
                          {"m", one.instance},
                          {"domain", one.domain},
                          {"selector", one.selector},
                          {"algorithm", one.algorithm},
                          {"result", text(one.result)},
                          {"reason", text_or_null(one.reason)}});
  return {
      {"result", text(verdict.result)}, {"reason", text_or_null(verdict.reason)}, {"signatures", signatures}};
}

mail::Header header_of(const std::string& mail) {
  auto header = mail::Header::scan(mail);
  if (!header)
    throw std::runtime_error(std::string("the mail cannot be judged: ") + mail::text(header.error()));
  return std::move(*header);
}

}  // namespace

void declare_dkim2_verbs(const Verbs& verbs) {
  const Verbs dkim2 = verbs.group("dkim2", "DKIM2 signatures (draft-ietf-dkim-dkim2-spec-06)");
  Verb verify = dkim2.add("verify", "verify the chain of signatures of the mail on standard input");
  const auto from = verify.optional_word("--mail-from", "the reverse path; '<>' is the null path", "ADDR");
  verify.options()->get_option("--mail-from")->required();
  const auto to = verify.optional_words("--rcpt-to", "the recipient; several may be named", "ADDR");
  const Circumstances of_verify(verify);
  verify.runs_without_configuration([=](const Console& console) {
    const std::string mail = mail_from_input();
    const mail::Header header = header_of(mail);
    auth::Dkim2Check::Session session{of_verify.now(), ascii_domains(without_brackets(*from)), {}};
    for (const std::string& rcpt : *to) session.rcpt_to.push_back(ascii_domains(without_brackets(rcpt)));
    auth::Dkim2Check check(header, session, new_sha256, new_sha512);
    check.body(std::string_view(mail).substr(header.end()));
    check.body_end();
    of_verify.asker(console)->answer(check);
    while (const auto proof = check.next_proof()) check.proved(server::verify(*proof));
    return console.print(verdict_json(check.verdict()));
  });

  Verb undo =
      dkim2.add("undo", "print instance M of the mail on standard input, by the recipes that it carries");
  const auto which = undo.word("M", "the number of the instance (m=); 0: before the first signature");
  undo.runs_without_configuration([=](const Console& console) {
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(which->data(), which->data() + which->size(), number);
    if (error != std::errc() || end != which->data() + which->size())
      throw Usage{"'" + *which + "' is not the number of an instance"};
    const std::string mail = mail_from_input();
    const mail::Header header = header_of(mail);
    const auto instance = auth::instance_of(header, std::string_view(mail).substr(header.end()), number);
    if (!instance) return console.fail(Exit::failed, instance.error());
    put(instance->text());
    return Exit::done;
  });
}

}  // namespace spoold::server::admin
