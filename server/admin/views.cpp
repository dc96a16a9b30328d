#include "server/admin/views.hpp"

#include <array>

#include "protocol/list/import_file.hpp"
#include "protocol/list/settings_table.hpp"
#include "server/admin/filter.hpp"

namespace spoold::server::admin {

namespace {

/// Of the one parameter that was given.
template <class Dsn>
std::string value_of(const Dsn& dsn) {
  std::string parameter;
  smtp::append_parameters(parameter, dsn);
  return parameter.substr(parameter.find('=') + 1);
}

}  // namespace

Json time_json(TimePoint at) {
  return at == TimePoint{} ? Json(nullptr) : Json(rfc3339(at));
}

Json counts_json(const store::Counts& c) {
  return {{"queued", c.queued},       {"deferred", c.deferred}, {"held", c.held},
          {"delivered", c.delivered}, {"failed", c.failed},     {"expired", c.expired},
          {"removed", c.removed},     {"open", c.open()},       {"total", c.total()}};
}

Json last_reply_json(const std::optional<LastReply>& last) {
  if (!last) return nullptr;
  return {{"code", last->reply.code},
          {"enhanced", last->reply.enhanced.text()},
          {"text", last->reply.text},
          {"remote", last->remote},
          {"at", time_json(last->at)},
          {"stage", label(last->stage)},
          {"tls", last->tls.empty() ? Json(nullptr) : Json(last->tls)}};
}

Json message_json(const store::Message& m) {
  Json json{{"id", store::id_text(m.id)},
            {"list", m.list_address.empty() ? Json(nullptr) : Json(m.list_address)},
            {"sender", m.reverse_path},
            {"size", m.size},
            {"arrived", time_json(m.arrived)},
            {"state", text(m.state)},
            {"from", m.from},
            {"subject", m.subject},
            {"message_id", m.message_id}};
  if (m.list != 0) {
    constexpr std::array envelopes{"bulk", "each_plain", "each_verp"};
    json["post"] = m.post != 0 ? Json(m.post) : Json(nullptr);
    json["envelope"] = envelopes[static_cast<std::size_t>(m.copies)];
  }
  if (m.dsn.ret != smtp::Ret::absent) json["ret"] = value_of(smtp::DsnOfMessage{m.dsn.ret, {}});
  if (!m.dsn.envid.empty()) json["envid"] = m.dsn.envid;
  if (m.finished != TimePoint{}) json["finished"] = time_json(m.finished);
  json["counts"] = counts_json(m.counts);
  return json;
}

Json recipient_json(const store::Recipient& r, const std::string& envelope_sender,
                    const std::optional<store::Suspect>& suspect) {
  const bool waits = store::is_waiting(r.state);
  Json json{{"address", r.address},
            {"state", state_text(r)},
            {"attempts", r.attempts},
            {"next_attempt", waits && !r.active ? time_json(r.next_attempt) : Json(nullptr)},
            {"last_reply", last_reply_json(r.last)},
            {"number", r.number},
            {"envelope_sender", envelope_sender}};
  if (r.member) json["member"] = r.member;
  if (r.dsn.notify != 0) json["notify"] = value_of(smtp::DsnOfRecipient{r.dsn.notify, {}});
  if (!r.dsn.orcpt.empty()) json["orcpt"] = r.dsn.orcpt;
  if (r.possible_duplicate) json["possible_duplicate"] = true;
  if (r.isolate) json["isolate"] = true;
  if (suspect)
    json["suspect"] = {{"strikes", suspect->strikes},
                       {"last_drop", time_json(suspect->last_drop)},
                       {"stage", label(suspect->stage)},
                       {"parked", suspect->parked},
                       {"how", suspect->how}};
  return json;
}

Json history_json(const store::HistoryEvent& e) {
  Json json{{"at", time_json(e.at)},
            {"event", e.event},
            {"id", e.message ? Json(store::id_text(e.message)) : Json(nullptr)},
            {"address", e.address.empty() ? Json(nullptr) : Json(e.address)},
            {"route", e.route.empty() ? Json(nullptr) : Json(e.route)},
            {"who", e.who.empty() ? Json(nullptr) : Json(e.who)},
            {"detail", e.detail.empty() ? Json(nullptr) : Json(e.detail)}};
  const bool heard = e.last.reply.code != 0 || !e.last.reply.text.empty() || e.last.stage != Stage::none;
  json["last_reply"] = heard ? last_reply_json(e.last) : Json(nullptr);
  return json;
}

Json list_json(const list::List& l) {
  Json json{{"address", l.address()},
            {"members", l.members},
            {"created", time_json(l.created)},
            {"last_post", l.last_post}};
  for (const list::SettingKey& key : list::setting_keys()) {
    const std::string name(key.name), value = key.print(l.settings);
    if (name == "owner")
      json[name] = l.settings.owners;
    else if (value == "true" || value == "false")
      json[name] = value == "true";
    else
      json[name] = value;
  }
  return json;
}

Json member_json(const list::Member& m) {
  return {{"address", m.address},
          {"name", m.name},
          {"delivery", list::text(m.delivery)},
          {"moderation", m.moderation ? list::text(*m.moderation) : "default"},
          {"one_copy", m.one_copy},
          {"joined", time_json(m.joined)},
          {"id", m.id},
          {"preferences", preferences_json(m.preferences)}};
}

Json preferences_json(const list::Preferences& p) {
  const auto choice = [](const std::optional<bool>& wish) { return wish ? Json(*wish) : Json(); };
  Json vacation;
  if (p.has_vacation()) vacation = {{"from", time_json(p.away_from)}, {"until", time_json(p.away_until)}};
  return {{"own_posts", choice(p.own_posts)},
          {"avoid_duplicates", choice(p.avoid_duplicates)},
          {"language", p.language.empty() ? Json() : Json(p.language)},
          {"vacation", std::move(vacation)}};
}

Json person_json(const store::directory::Person& person) {
  Json addresses = Json::array();
  for (const store::directory::PersonAddress& one : person.addresses)
    addresses.push_back({{"address", one.address}, {"verified", time_json(one.verified)}});
  return {{"person", person.uuid},
          {"name", person.name},
          {"addresses", std::move(addresses)},
          {"preferences", preferences_json(person.preferences)},
          {"created", time_json(person.created)}};
}

Json user_json(const store::directory::User& user) {
  return {{"name", user.name},
          {"addresses", user.addresses},
          {"created", time_json(user.created)},
          {"password_set", time_json(user.password_set)}};
}

}  // namespace spoold::server::admin
