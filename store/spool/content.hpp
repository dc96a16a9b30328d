// Contents: the octets of messages as received, cut into values of 16,368 octets (four pages with LMDB's
// header), under (content id, chunk); the row (content id) alone counts the messages that refer to it, and
// holds the last octets of a content where they would begin a page of their own: a message of 4,100 octets
// takes one page and a corner of another, not two. Why cut: values of one size leave holes of one size; a
// store of whole-message values grows to 1.8 times its data under churn. Many messages may share one content;
// the last one to finish drops it.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "store/txn.hpp"

namespace spoold::store::spool {

inline constexpr std::size_t chunk_size = 16'368;

/// How many octets of a content of `size` its row is to hold; the chunks hold those before.
std::size_t tail_size(std::uint64_t size);
/// Writes octets of `bytes` from chunk `first` on, at most `chunks` of them; true: all is written.
bool put_chunks(Write&, Id content, std::string_view bytes, std::uint32_t first, std::uint32_t chunks);
struct ContentRow {
  std::uint64_t size = 0;
  std::uint32_t references = 0;
  std::string_view tail = {};  // of find_content: points into the store
};
void put_content(Write&, Id content, const ContentRow&);
std::optional<ContentRow> find_content(const Read&, Id content);
/// One message less refers to it; true: it was the last, and all chunks are gone or a `stage` row says they
/// must go.
bool release_content(Write&, Id content);
/// Drops chunks of a content without a row, at most `chunks`, which it takes them off; true: none is left.
bool drop_chunks(Write&, Id content, std::uint32_t& chunks);

}  // namespace spoold::store::spool
