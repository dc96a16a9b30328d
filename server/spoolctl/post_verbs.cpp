// judge: what a list would do with a mail. By the very code that decides on arrival; nothing is stored.
#include <stdexcept>

#include "protocol/list/policy.hpp"
#include "protocol/mail/header.hpp"
#include "protocol/mail/mailbox.hpp"
#include "server/idna.hpp"
#include "server/spoolctl/mail_input.hpp"
#include "server/spoolctl/verbs.hpp"

namespace spoold::server::admin {

namespace {

/// '' and '<>' are the null path; throws Usage when it is no path.
std::string reverse_path_of(const std::string& written) {
  const std::string text = without_brackets(written);
  if (text.empty()) return text;
  const auto mailbox = Mailbox::parse(ascii_domains(text), Mailbox::Allow::utf8);
  if (!mailbox) throw Usage{"--mail-from: '" + text + "' is not an address: " + mailbox.error()};
  return mailbox->text();
}

Json judgement_json(const list::Judgement& judgement) {
  const auto& refusal = judgement.refusal;
  return {{"outcome", refusal ? "reject" : "accept"},
          {"rule", judgement.rule},
          {"reason", text_or_null(refusal ? refusal->text : std::string())},
          {"reply", text_or_null(refusal ? refusal->oneline() : std::string())},
          {"poster", text_or_null(judgement.poster)},
          {"member", judgement.member}};
}

}  // namespace

void declare_post_verbs(const Verbs& verbs) {
  Verb judge = verbs.add("judge", "show whether a list takes the mail on standard input, and by which rule");
  const auto whose = judge.list();
  const auto sender = judge.optional_word("--mail-from", "the reverse path; '<>' is the null path", "ADDR");
  judge.options()->get_option("--mail-from")->required();
  (void)judge.optional_word("--client", "the client's address; no rule asks for it yet", "IP");
  judge.runs([=](const Console& console) {
    const std::string mail = mail_from_input();
    const auto header = mail::Header::scan(mail);
    if (!header) throw std::runtime_error(std::string("bad header: ") + mail::text(header.error()));
    return console.reading_list(*whose, [&](const Reads& reads, const list::List& list) {
      return console.print(judgement_json(reads.judge(list, *header, reverse_path_of(*sender), mail.size())));
    });
  });
}

}  // namespace spoold::server::admin
