#include "server/admin/operator.hpp"

#include <map>
#include <stdexcept>

#include "server/admin/requests.hpp"
#include "server/log.hpp"
#include "store/broken.hpp"

namespace spoold::server {

namespace admin {

Json success(const Request& request) {
  Json answer{{"ok", true}, {"exit", 0}};
  if (request.dry_run) answer["dry_run"] = true;
  return answer;
}

void audit(const Request& request, const std::string& detail) {
  if (request.dry_run) return;
  log::event(log::Level::info, "edited",
             {{"verb", request.text("verb")}, {"who", request.who}, {"what", detail}});
}

store::Error stopped_at(const std::string& place) {
  return {store::Error::Kind::stopped, "spoold is stopping: " + place + "; the rest is unchanged"};
}

}  // namespace admin

admin::Json Operator::execute(const admin::Json& request, const std::string& who) {
  using namespace admin;
  static const std::map<std::string, Json (*)(const Request&)> verbs = {
      {"edit-recipients", edit_recipients},
      {"edit-sender", edit_sender},
      {"hold", change_matching},
      {"release", change_matching},
      {"retry", change_matching},
      {"remove", change_matching},
      {"bounce", change_matching},
      {"repair", repair},
      {"stats", stats},
      {"destinations", destinations},
      {"wake", wake},
      {"list-create", list_create},
      {"list-set", list_set},
      {"list-remove", list_remove},
      {"member-add", member_add},
      {"member-remove", member_remove},
      {"member-set", member_set},
      {"member-move", member_move},
      {"member-accept", member_decide},
      {"member-refuse", member_decide},
      {"import", import_members},
      {"address-add", address_add},
      {"address-remove", address_remove},
      {"address-set", address_set},
      {"bounces-undo", bounces_undo},
      {"accept", held_accept},
      {"reject", held_reject},
      {"discard", held_discard},
      {"forward", held_forward},
      {"post", post},
      {"resend", resend},
      {"digest", digest},
      {"user-add", user_add},
      {"user-set", user_set},
      {"user-password", user_set},
      {"user-remove", user_remove},
  };
  try {
    const auto verb = request.at("verb").get<std::string>();
    const auto found = verbs.find(verb);
    if (found == verbs.end()) return failure(Exit::usage, "unknown request '" + verb + "'");
    // Root may be somebody by sudo: its spoolctl names the person. The user of the connection stays in the record.
    const std::string person = request.value("person", std::string());
    const std::string by = person.empty() || person == who ? who : person.substr(0, 64) + " (" + who + ")";
    const auto settings = settings_.get();
    return found->second(Request{store_, *settings, lanes_, stats_, request, by,
                                 request.value("dry_run", false), stopping_, between_pages});
  } catch (const Json::exception& wrong) {
    return failure(Exit::usage, std::string("malformed request: ") + wrong.what());
  } catch (const std::invalid_argument& wrong) {
    return failure(Exit::usage, wrong.what());
  } catch (const store::Broken& broken) {
    if (broken.ends_the_store() && on_broken_store) on_broken_store(broken.error.text);
    return failure(broken.error);
  }
}

}  // namespace spoold::server
