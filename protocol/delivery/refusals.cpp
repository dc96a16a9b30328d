// Temporary refusals that are not about a recipient: of how many, of a message, of everybody (isolation.md
// section 6).
#include <algorithm>
#include <utility>

#include "protocol/delivery/planner_state.hpp"

namespace spoold::delivery {
namespace {

constexpr std::uint32_t grey_row = 16;          // identical 4xx in a row, in two transactions at least
constexpr std::uint32_t refused_in_a_row = 16;  // transactions of a message, then the rest of it waits

/// The temporary refusal that the whole of a transaction met, and where; none: it met something else.
std::optional<std::pair<const smtp::Reply*, Stage>> refusal_of_all(const Observation& seen, bool lmtp) {
  const auto deferred = [](const std::optional<smtp::Reply>& r) {
    return r && r->temporary() && r->code != 421;
  };
  if (deferred(seen.mail)) return {{&*seen.mail, Stage::mail}};
  if (deferred(seen.data)) return {{&*seen.data, Stage::data}};
  if (!lmtp && !seen.dot.empty() && deferred(seen.dot.front()) &&
      std::ranges::any_of(seen.rcpt, [](const auto& r) { return r && r->completed(); }))
    return {{&*seen.dot.front(), Stage::dot}};
  return std::nullopt;
}

}  // namespace

// A content that was refused because of how many or because of one of them: again to fewer, uncharged, until
// the reply can only mean the one recipient it is for.
bool Planner::State::smaller(Flight& f, Open& open, const smtp::Reply& reply, TimePoint now) {
  const auto accepted = static_cast<std::uint32_t>(open.accepted.size());
  if (accepted < 2 || reply.code < 400 || reply.code == 421) return false;
  const bool too_many = too_many_recipients_for_content(reply);
  const bool one_of_them = reply.enhanced.subject == 1 || reply.enhanced.subject == 2;  // RFC 3463 3.2, 3.3
  if (!too_many && !one_of_them) return false;
  if (too_many) learned.too_many_recipients(accepted / 2, now);
  f.work->vouched_limit = (accepted + 1) / 2;
  vouch(*f.work, open);
  return true;
}

// Is the 421 in reply to a content about the connection or the host, and not about this message? Words about
// the host count for the host once: again at the same message, while others were delivered in between, they
// are about the message, and the host's clock does not move.
bool Planner::State::not_of_message(Connection& c, const Work& work, const Observation& seen,
                                    const smtp::Reply& reply, TimePoint now) {
  const Subject about = subject(reply, {}, c.remote);
  if (about == Subject::errors && c.errors + errors(seen) > 0) return true;
  if (about != Subject::host && about != Subject::errors) {
    // The message's own quota: the drop is no evidence against the host.
    if (meaning(reply, c.remote).action == conf::ReplyAction::fallback_bulk) c.explained = true;
    return false;
  }
  Note& n = note(work.id, now);
  if (n.ended && host.commits() > *n.ended) {
    c.explained = true;
    return false;
  }
  n.ended = host.commits();
  return true;
}

// Greylisting: identical 4xx to everybody. The rest of the route is not asked for the same answer.
void Planner::State::greylisting(Connection& c, const Observation& seen, const Open& open, TimePoint now) {
  if (open.refused == 0 || open.refused != open.answered) {
    if (open.answered > 0) grey_count = grey_transactions = 0;
    return;
  }
  for (const auto& reply : seen.rcpt) {
    if (!reply) continue;
    const bool same = grey_count > 0 && reply->code == grey.code && reply->enhanced == grey.enhanced;
    const bool of_recipient = reply->enhanced.subject == 1 || reply->enhanced.subject == 2;
    if (!reply->temporary() || of_recipient) {
      grey_count = grey_transactions = 0;
      return;
    }
    if (!same) {
      grey = *reply;
      grey_count = grey_transactions = 0;
    }
    ++grey_count;
  }
  ++grey_transactions;
  if (grey_count < grey_row || grey_transactions < 2) return;
  grey_count = grey_transactions = 0;
  const TimePoint until = deferral(c, 0, now);
  host.rest(until, grey.oneline(), now);
  give_back_all(until, c.words(grey, Stage::rcpt, now), false, now);
}

// A temporary refusal of MAIL, DATA or the content is not about a recipient. Without a brake each of them
// would be asked with a whole transaction. One message that is refused again and again waits as a whole. Two
// messages refused alike, with nothing delivered in between, or words about the host (4.3.x), are about the
// host: it rests for 1, 2, 4 .. minutes. A message that was refused before, while others were delivered
// since, explains itself and is no evidence against the host.
void Planner::State::whole_refused(Connection& c, Work& work, const Observation& seen, const Open& open,
                                   TimePoint now) {
  const auto refusal = open.delivered == 0 ? refusal_of_all(seen, limits.lmtp) : std::nullopt;
  if (!refusal) return;
  const auto [reply, stage] = *refusal;
  const smtp::EnhancedStatus& status = reply->enhanced;
  if (stage != Stage::mail && (status.subject == 1 || status.subject == 2 || status.subject == 5)) return;
  const LastReply last = c.words(*reply, stage, now);

  Note& n = note(work.id, now);
  const bool before = n.refused > 0 && host.commits() > n.refused_at;
  if (!before) n.refused_at = host.commits();
  ++n.refused;
  if (!before) {
    const bool alike = refused_whole.last.stage == stage && refused_whole.last.reply.code == reply->code &&
                       refused_whole.last.reply.enhanced == status;
    const bool several = alike && refused_whole.message != work.id;
    const bool of_host = status.klass == 4 && status.subject == 3 && status.detail != 3 && status.detail != 4;
    if (several || of_host) {
      const TimePoint until = now + jitter.spread(doubling(std::chrono::minutes(1), ++rests));
      refused_whole = {};
      host.rest(until, last.reply.oneline(), now);
      give_back_all(until, last, false, now);
      return;
    }
    refused_whole = {last, work.id};
  }
  if (n.refused % refused_in_a_row == 0)
    rest_of_message(work, deferral(c, n.refused / refused_in_a_row - 1, now), last);
}

}  // namespace spoold::delivery
