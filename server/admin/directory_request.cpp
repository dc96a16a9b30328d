#include "server/admin/directory_request.hpp"

#include <stdexcept>

#include "server/idna.hpp"
#include "store/blocking.hpp"
#include "store/directory/directory.hpp"
#include "store/txn.hpp"

namespace spoold::server::admin {

namespace directory = store::directory;

Done submit(const Request& request, directory::Change change, std::string_view part) {
  directory::Operation operation;
  operation.id = request.json.value("operation", std::string());
  if (!operation.id.empty() && !part.empty()) operation.id.append(1, ':').append(part.substr(0, 24));
  if (operation.id.empty()) operation.id = directory::new_operation_id();
  operation.who = request.who;
  operation.change = std::move(change);
  auto applied = directory::change(request.store, operation);
  Done done;
  if (!applied) {
    done.failure = failure(applied.error());
    if (applied.error().kind == store::Error::Kind::unavailable) done.failure["operation"] = operation.id;
    return done;
  }
  if (!applied->repeated)
    for (const std::string& event : applied->events) audit(request, event);
  done.applied = std::move(*applied);
  return done;
}

store::Result<list::List> find_list(const Request& request) {
  const Mailbox address = mailbox_of(request.text("list"));
  const std::string key = address.key();
  const store::Read read(request.store);
  if (auto found = directory::find_list(read, mail::Address(key).local, address.domain())) {
    directory::load_rules(read, *found);
    return std::move(*found);
  }
  return store::fail(store::Error::Kind::not_found, "there is no list " + address.text());
}

Mailbox mailbox_of(const std::string& text, Mailbox::Allow allow) {
  const auto mailbox = Mailbox::parse(ascii_domains(text), allow);
  if (!mailbox) throw std::invalid_argument("'" + text + "': " + mailbox.error());
  return *mailbox;
}

}  // namespace spoold::server::admin
