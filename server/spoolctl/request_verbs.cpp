// requests, command: what people asked of lists by mail, and what a mail would do.
#include <stdexcept>

#include "protocol/mail/header.hpp"
#include "server/spoolctl/mail_input.hpp"
#include "server/spoolctl/print.hpp"
#include "server/spoolctl/verbs.hpp"

namespace spoold::server::admin {

void declare_request_verbs(const Verbs& verbs) {
  Verb requests = verbs.add("requests", "show who asked to join, leave or change, and what that waits for");
  const auto of = std::make_shared<std::string>();
  requests.options()
      ->add_option("LIST", *of, "the list's address; all lists without it")
      ->each([of](const auto&) {});
  requests.runs([=](const Console& console) {
    return console.reading([&](const Reads& reads, TimePoint now) {
      list::ListId list = 0;
      if (!of->empty()) {
        const auto found = reads.list(*of);
        if (!found) return console.fail(Exit::nothing_matched, "there is no list " + *of);
        list = found->id;
      }
      Rows rows(console.json, [now](const std::vector<Json>& page) { return requests_text(page, now); });
      reads.requests(list, [&](Json row) { rows(std::move(row)); });
      rows.finish();
      if (rows.count == 0 && !console.json) put("Nothing waits.\n");
      return Exit::done;
    });
  });

  Verb command =
      verbs.add("command", "show what the mail on standard input would do at an address of a list");
  const auto address = command.word("ADDR", "where it goes: LIST-join, -leave, -request, -confirm+TOKEN");
  const auto sender = command.optional_word("--mail-from", "the reverse path; as From without it", "ADDR");
  command.runs([=](const Console& console) {
    const std::string mail = mail_from_input();
    const auto header = mail::Header::scan(mail);
    if (!header) throw std::runtime_error(std::string("bad header: ") + mail::text(header.error()));
    const std::string from = sender->empty() ? "sender@invalid" : without_brackets(*sender);
    return console.reading([&](const Reads& reads, TimePoint) {
      const auto found = reads.commands(*address, *header, mail, from);
      if (!found)
        return console.fail(Exit::nothing_matched, *address + " is no address where a list takes commands");
      if (found->empty()) return console.fail(Exit::nothing_matched, "the mail asks for nothing");
      Json first = found->front();
      if (found->size() > 1) first["more"] = std::vector<Json>(found->begin() + 1, found->end());
      return console.print(first);
    });
  });
}

}  // namespace spoold::server::admin
