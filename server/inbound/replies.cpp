#include "server/inbound/replies.hpp"

#include <algorithm>

namespace spoold::server {

smtp::Reply reply_of(const store::Error& error) {
  if (error.kind == store::Error::Kind::full)
    return {452, {4, 3, 1}, "no room for mail now; try again later"};
  if (error.kind == store::Error::Kind::archive) return {451, {4, 3, 0}, error.text + "; try again later"};
  return {451, {4, 3, 0}, "the message could not be stored; try again later"};
}

smtp::Reply no_memory() {
  return {452, {4, 3, 1}, "too much mail arrives here at a time; try again later"};
}

std::vector<smtp::Reply> replies_of(const Disposition& disposition, const store::Accepted& accepted,
                                    bool lmtp) {
  // A recipient without a message is a bounce report, or what a list discards: recorded, nothing is queued.
  const auto reply = [&](const Fate& fate) {
    if (fate.refusal) return *fate.refusal;
    if (fate.held)
      return smtp::Reply{
          250, {2, 0, 0}, "held for moderation as " + store::id_text(accepted.held[*fate.held])};
    if (!fate.message) return smtp::Reply{250, {2, 0, 0}, "noted"};
    return smtp::Reply{250, {2, 0, 0}, "queued as " + store::id_text(accepted.ids[*fate.message])};
  };
  const std::vector<Fate>& fates = disposition.fates;
  std::vector<smtp::Reply> replies;
  if (lmtp) {
    for (const Fate& fate : fates) replies.push_back(reply(fate));
    return replies;
  }
  // One reply for all. Who was refused beside others who were not is reported by mail (acceptance.cpp), so the
  // reply is that of the first message that is stored, else that of the first recipient that was not refused.
  const auto stored = std::find_if(fates.begin(), fates.end(), [](const Fate& fate) {
    return fate.message.has_value() || fate.held.has_value();
  });
  const auto taken = std::find_if(fates.begin(), fates.end(), [](const Fate& fate) { return !fate.refusal; });
  replies.push_back(reply(stored != fates.end() ? *stored : taken != fates.end() ? *taken : fates.front()));
  return replies;
}

}  // namespace spoold::server
