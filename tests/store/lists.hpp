// A list with members, and a post to it.
#pragma once
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "store/blocking.hpp"
#include "store/directory/operations.hpp"
#include "tests/store/opened.hpp"

namespace spoold::store {

inline list::List make_list(Opened& s, std::string local, std::size_t members) {
  list::List made;
  const auto done = s.change([&](Write& write) -> Result<void> {
    list::Settings settings;
    settings.owners = {"owner@x.example"};
    auto r = directory::create_list(write, local, "lists.example", settings, s.now());
    if (!r) return tl::unexpected(r.error());
    made = *r;
    return {};
  });
  if (!done) throw std::runtime_error(done.error().text);
  std::vector<list::Member> all(members);
  for (std::size_t i = 0; i < members; ++i)
    all[i].address = "Member" + std::to_string(i) + "@domain" + std::to_string(i % 100) + ".example";
  if (members > 0 && !directory::import_members(*s.store, made.id, all, "test"))
    throw std::runtime_error("import");
  return made;
}

inline Acceptance post_to(const list::List& list, std::size_t octets) {
  Acceptance a;
  a.content.bytes =
      std::make_shared<const std::string>("Subject: x\r\n\r\n" + std::string(octets, 'y') + "\r\n");
  NewMessage& m = a.messages.emplace_back();
  m.message.list = list.id;
  m.message.list_address = list.address();
  m.head = "List-Id: <x>\r\n\r\n";
  m.body = {{14, octets + 2, ""}};
  return a;
}

}  // namespace spoold::store
