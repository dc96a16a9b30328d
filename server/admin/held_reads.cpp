// What is read of posts that are held for moderation.
#include "server/admin/reads.hpp"
#include "server/admin/views.hpp"
#include "store/spool/moderation.hpp"
#include "store/spool/spool.hpp"
#include "store/txn.hpp"

namespace spoold::server::admin {

namespace spool = store::spool;

Json held_json(const store::HeldPost& post) {
  return {{"id", store::id_text(post.id)},
          {"number", post.number},
          {"list", post.list_address},
          {"sender", post.poster},
          {"envelope_sender", post.reverse_path},
          {"from", post.from},
          {"subject", post.subject},
          {"message_id", post.message_id},
          {"rule", post.rule},
          {"reason", post.reason},
          {"size", post.scanned.size},
          {"arrived", time_json(post.at)},
          {"until", time_json(post.until)},
          {"state", "held for moderation"}};
}

void Reads::held(list::ListId list, const RowSink& sink) const {
  constexpr std::size_t rows_at_once = 500;
  spool::HeldPlace after{list, 0};
  for (;;) {
    between_();
    const auto page = [&] {
      const store::Read read(store_);
      return spool::held_posts(read, list, after, rows_at_once);
    }();
    if (page.empty()) return;
    for (const store::HeldPost& post : page) sink(held_json(post));
    after = {page.back().list, page.back().number};
  }
}

std::optional<store::HeldPost> Reads::held_post(store::Id id) const {
  const store::Read read(store_);
  return spool::held_post(read, id);
}

std::string Reads::decision(store::Id id) const {
  const store::Read read(store_);
  const auto made = spool::decision(read, id);
  return made ? spool::said(*made) : std::string();
}

void Reads::trace_held(store::Id id, const RowSink& sink) const {
  const TimePoint now = store_.now();
  scan_.events(now - settings_.spool.history - std::chrono::hours(24), now + std::chrono::hours(1), id,
               [&](const std::vector<store::HistoryEvent>& page) {
                 for (const store::HistoryEvent& event : page) sink(history_json(event));
               });
}

void Reads::content(const store::HeldPost& post, const std::function<void(const std::string&)>& sink) const {
  constexpr std::size_t slice = 256 << 10;
  for (std::uint64_t at = 0; at < post.scanned.size; at += slice) {
    between_();
    const std::string octets = [&] {
      const store::Read read(store_);
      return spool::content(read, post.content, at, slice);
    }();
    if (octets.empty()) return;  // it was decided meanwhile
    sink(octets);
  }
}

}  // namespace spoold::server::admin
