#include "store/spool/repair.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include "store/spool/check.hpp"
#include "store/spool/content.hpp"
#include "store/spool/finish.hpp"

namespace spoold::store::spool {
namespace {

std::string words(const Counts& c) {
  std::string out;
  const std::pair<const char*, std::uint32_t> all[] = {
      {"queued", c.queued}, {"deferred", c.deferred}, {"held", c.held},      {"delivered", c.delivered},
      {"failed", c.failed}, {"expired", c.expired},   {"removed", c.removed}};
  for (const auto& [name, count] : all)
    if (count > 0) out += (out.empty() ? "" : ", ") + std::to_string(count) + " " + name;
  return out.empty() ? "none" : out;
}

}  // namespace

std::string repair_message(Write& write, Id id) {
  auto message = find_message(write, id);
  if (!message || message->state == MessageState::finished) return {};
  std::vector<Span> spans = spans_of(write, *message);
  const Sum sum = sum_of(write, *message, spans, [](const std::string&) {});
  std::string what;
  for (std::size_t i = 0; i < spans.size(); ++i) {
    if (!spans[i].claim || spans[i].left == sum.covered[i]) continue;
    for (ClaimRow& claim : claims_from(write, id, spans[i].first, spans[i].first)) {
      if (claim.due != spans[i].at) continue;
      what += "message " + id_text(id) + ": a claim covers " + std::to_string(sum.covered[i]) + ", not " +
              std::to_string(claim.left) + "; ";
      claim.left = sum.covered[i];
      put_claim(write, claim);
    }
  }
  if (!same(sum.counts, message->counts))
    what += "message " + id_text(id) + ": its recipients are " + words(sum.counts) + ", not " +
            words(message->counts) + "; ";
  message->counts = sum.counts;
  if (finish_if_done(write, *message))
    what += "message " + id_text(id) + " has no open recipient and is finished now; ";
  else if (!what.empty())
    put_message(write, *message);
  if (!what.empty()) what.resize(what.size() - 2);
  return what;
}

std::string repair_content(Write& write, Id id) {
  const auto row = find_content(write, id);
  if (!row) return {};
  const std::uint32_t used = count_references(write, {id})[id], said = row->references;
  if (used == said) return {};
  // The tail is a view of the row that is overwritten.
  const std::string tail(row->tail);
  put_content(write, id, {row->size, std::max(used, 1u), tail});
  if (used == 0) release_content(write, id);
  return "content " + id_text(id) + ": used by " + std::to_string(used) + " messages, not " +
         std::to_string(said) + (used == 0 ? ", and dropped" : "");
}

}  // namespace spoold::store::spool
