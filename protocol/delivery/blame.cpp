#include "protocol/delivery/blame.hpp"

#include <algorithm>

#include "protocol/delivery/words.hpp"

namespace spoold::delivery {
namespace {

bool skipped(const Observation& seen, std::size_t i) {
  return !seen.skipped.empty() && std::ranges::find(seen.skipped, seen.recipients[i]) != seen.skipped.end();
}

// BDAT was written for nobody (its RCPTs were refused while it was on its way), and it was not answered.
bool silent_chunk(const Observation& seen) {
  return seen.chunked && seen.content_sent && (seen.dot.empty() || !seen.dot.front());
}

const char* what_happened(Drop::How how) {
  switch (how) {
    case Drop::How::closed:
      return "connection closed";
    case Drop::How::reset:
      return "connection reset";
    case Drop::How::timeout:
      return "timed out";
    case Drop::How::reply_421:
      return "connection ended by 421";
    case Drop::How::garbage:
      return "reply not understood";
    case Drop::How::ours:
      return "connection cut by our side";
  }
  return "connection lost";
}

}  // namespace

bool heard(const std::optional<smtp::Reply>& reply, const Drop* drop) {
  return reply && !(drop && drop->how == Drop::How::reply_421 && reply->code == 421);
}

bool ended_by_421(const Observation& seen) {
  const auto is_421 = [](const auto& reply) { return reply && reply->code == 421; };
  return is_421(seen.mail) || std::ranges::any_of(seen.rcpt, is_421);
}

bool heard_of(const Observation& seen) {
  const auto given = [](const auto& reply) { return reply.has_value(); };
  return seen.mail || seen.data || std::ranges::any_of(seen.rcpt, given) ||
         std::ranges::any_of(seen.dot, given);
}

std::uint32_t errors(const Observation& seen) {
  std::uint32_t errors = 0;
  const auto count = [&](const std::optional<smtp::Reply>& reply) {
    if (reply && reply->code >= 400 && reply->code != 421) ++errors;
  };
  if (seen.mail_sent) count(seen.mail);  // else it was refused on our side, after EHLO
  bool first = true;
  for (std::size_t i = 0; i < seen.rcpt.size(); ++i) {
    const auto& reply = seen.rcpt[i];
    if (skipped(seen, i)) continue;                                     // refused on our side
    if (first || !reply || !too_many_recipients(*reply)) count(reply);  // Postfix does not count those either
    first = first && !reply;
  }
  count(seen.data);
  for (const auto& reply : seen.dot) count(reply);
  return errors;
}

std::optional<std::size_t> parting_refusal(const Observation& seen) {
  const auto given = [](const auto& reply) { return reply.has_value(); };
  if (seen.data || std::ranges::any_of(seen.dot, given)) return std::nullopt;
  for (std::size_t i = seen.rcpt.size(); i-- > 0;)
    if (seen.rcpt[i] && !skipped(seen, i)) return seen.rcpt[i]->permanent() ? std::optional(i) : std::nullopt;
  return std::nullopt;
}

Finding find_blame(const Observation& seen, const Drop& drop, bool lmtp) {
  Finding found;
  if (!seen.mail_sent) return found;
  if (!heard(seen.mail, &drop)) {
    found.stage = Stage::mail;
    found.blame = seen.rcpts_sent > seen.skipped.size() ? Finding::Blame::ambiguous : Finding::Blame::sender;
    return found;
  }
  if (!seen.mail->completed()) {  // refused: its recipients have their outcome, whatever else is missing
    found.complete = true;
    found.stopped = silent_chunk(seen);
    return found;
  }
  std::size_t accepted = 0;
  const std::size_t sent = std::min<std::size_t>(seen.rcpts_sent, seen.recipients.size());
  for (std::size_t i = 0; i < sent; ++i) {
    if (skipped(seen, i)) continue;
    if (i >= seen.rcpt.size() || !heard(seen.rcpt[i], &drop)) {
      found.blame = Finding::Blame::suspect;
      found.stage = Stage::rcpt;
      found.position = i;
      return found;
    }
    ++found.answered;
    found.after_reject = !seen.rcpt[i]->positive();
    if (seen.rcpt[i]->positive()) ++accepted;
  }
  if (accepted == 0) {  // nothing that follows matters to anybody
    found.complete = sent == seen.recipients.size();
    found.stopped = silent_chunk(seen);
    return found;
  }
  if (!seen.data_sent && !seen.content_sent) return found;
  if (!seen.chunked && !heard(seen.data, &drop)) {
    found.blame = Finding::Blame::message;
    found.stage = Stage::data;
    return found;
  }
  if (!seen.chunked && !seen.data->positive()) {
    found.complete = true;
    return found;
  }
  if (!seen.dot_sent) {
    found.blame = Finding::Blame::message;
    found.stage = Stage::content;
    return found;
  }
  const std::size_t wanted = lmtp ? accepted : 1;
  const auto answers = static_cast<std::size_t>(
      std::ranges::count_if(seen.dot, [](const std::optional<smtp::Reply>& r) { return r.has_value(); }));
  const bool in_place =
      std::ranges::any_of(seen.dot, [](const std::optional<smtp::Reply>& r) { return r && r->code == 421; });
  const bool by_421 =
      drop.how == Drop::How::reply_421 && answers + (in_place ? 0 : 1) >= wanted;  // the 421 is the answer
  if (answers >= wanted || by_421) {
    found.complete = true;
    return found;
  }
  found.blame = Finding::Blame::in_doubt;
  found.stage = Stage::dot;
  return found;
}

bool works_on(Drop::How how) {
  return how == Drop::How::timeout || how == Drop::How::garbage || how == Drop::How::ours;
}

std::string waiting_text(Drop::How how, Stage stage) {
  if (stage == Stage::none) return std::string(what_happened(how)) + " between transactions";
  if (stage == Stage::content) return std::string(what_happened(how)) + " while sending content";
  return std::string(what_happened(how)) + " while waiting for the reply to " + text(stage);
}

std::string after_text(Drop::How how, Stage stage) {
  if (how == Drop::How::timeout) return std::string("no reply to ") + text(stage);
  return std::string(what_happened(how)) + " after " + text(stage);
}

}  // namespace spoold::delivery
