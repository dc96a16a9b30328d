// address add, remove, set, list: persons with several addresses.
#include "server/admin/views.hpp"
#include "server/spoolctl/print.hpp"
#include "server/spoolctl/verbs.hpp"

namespace spoold::server::admin {

void declare_address_verbs(const Verbs& verbs) {
  const Verbs of_address = verbs.group("address", "persons who have several addresses");

  Verb add = of_address.add("add", "say that further addresses belong to the person who has one");
  const auto of = add.word("ADDR", "an address of the person");
  const auto fresh = add.words("NEW", "the further addresses");
  const auto unverified =
      add.flag("--unverified", "nobody has shown yet that they are his: they count for nothing");
  add.request("address-add", [=](Json& request) {
    request["address"] = *of;
    request["addresses"] = *fresh;
    request["unverified"] = *unverified;
  });

  Verb remove = of_address.add("remove", "say that an address belongs to nobody; its memberships stay");
  const auto gone = remove.word("ADDR", "the address");
  remove.request("address-remove", [=](Json& request) { request["address"] = *gone; });

  Verb set = of_address.add("set", "change a person, or one of his addresses");
  const auto whose = set.word("ADDR", "an address of the person");
  const auto settings = set.words("KEY=VALUE", "settings, such as verified=true or own_posts=false");
  set.options()->footer(
      "verified=true|false, preferred=true: of this address. name=... and these: of the person.\n" +
      preferences_in_words() + "What a membership says itself wins (member set).");
  set.request("address-set", [=](Json& request) {
    request["address"] = *whose;
    request["settings"] = settings_of(*settings);
  });

  Verb list = of_address.add("list", "show persons with their addresses, the preferred one first");
  const auto one = std::make_shared<std::string>();
  list.options()->add_option("ADDR", *one, "the person who has it; all persons without it");
  list.runs([=](const Console& console) {
    return console.reading([&](const Reads& reads, TimePoint) {
      Rows rows(console.json, persons_text);
      if (one->empty()) {
        reads.persons([&](Json row) { rows(std::move(row)); });
      } else {
        auto found = reads.person(*one);
        if (!found)
          return console.fail(Exit::nothing_matched,
                              *one + " is no address of a person with several addresses");
        rows(std::move(*found));
      }
      rows.finish();
      return Exit::done;
    });
  });
}

}  // namespace spoold::server::admin
