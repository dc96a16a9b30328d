#include "store/spool/content.hpp"

#include <algorithm>
#include <cstring>

#include "store/broken.hpp"
#include "store/spool/rows.hpp"
#include "store/spool/spool.hpp"
#include "store/spool/work.hpp"

namespace spoold::store::spool {
namespace {

constexpr std::uint32_t chunks_at_once = 1024;  // 16 MiB: a millisecond or two
constexpr std::uint64_t page = 4096, page_header = 16;
constexpr std::size_t most_tail = 2000;  // LMDB keeps values up to here in the leaves of its tree

/// Appends octets [offset, offset + limit) of the content to out; fewer only at the end of the content, or when
/// the store has no such content (any more).
void append_content(const Read& read, Id content, std::uint64_t offset, std::uint64_t limit,
                    std::string& out) {
  while (limit > 0) {
    const auto chunk =
        read.get(Table::content, Key().u64(content).u32(static_cast<std::uint32_t>(offset / chunk_size)));
    const std::size_t skip = offset % chunk_size;
    if (!chunk || chunk->size() <= skip) break;
    const auto part = chunk->substr(skip, std::min<std::uint64_t>(limit, chunk->size() - skip));
    out.append(part);
    offset += part.size();
    limit -= part.size();
  }
  if (limit == 0) return;
  const auto row = find_content(read, content);
  if (!row || offset >= row->size) return;
  const std::uint64_t chunks_end = row->size - row->tail.size();
  // The row promises octets that no chunk holds. Whoever goes on without them makes a cut message.
  if (offset < chunks_end)
    throw Broken(Error::Kind::corrupt, "chunk " + std::to_string(offset / chunk_size) + " of content " +
                                           id_text(content) + " is missing or cut in table content");
  out.append(row->tail.substr(offset - chunks_end, limit));
}

/// Outgoing octets [offset, offset + limit) of the message as far as its rows hold them.
std::string pieces(const Read& read, const Message& message, std::uint64_t offset, std::size_t limit) {
  const auto row = find_head(read, message.id);
  if (!row) return content(read, message.content, offset, limit);
  std::string out;
  out.reserve(std::min<std::uint64_t>(limit, message.size));
  std::uint64_t at = 0;  // where the next piece begins in what goes out
  const auto piece = [&](std::uint64_t length, auto append) {
    const std::uint64_t end = at + length, from = std::max(offset, at);
    if (from < end && out.size() < limit)
      append(from - at, std::min<std::uint64_t>(end - from, limit - out.size()));
    at = end;
  };
  piece(row->head.size(), [&](std::uint64_t from, std::uint64_t n) { out.append(row->head, from, n); });
  for (const Splice& s : row->body) {
    piece(s.length, [&](std::uint64_t from, std::uint64_t n) {
      append_content(read, message.content, s.offset + from, n, out);
    });
    piece(s.own.size(), [&](std::uint64_t from, std::uint64_t n) { out.append(s.own, from, n); });
  }
  return out;
}

[[noreturn]] void throw_damaged(Id message, const std::string& what) {
  throw Broken(
      Error::Kind::corrupt,
      "the content of message " + id_text(message) + " is damaged: " + what +
          "; nothing of it was sent as if it were whole. Stop spoold, run `spoolctl check` to see what "
          "else is damaged, and give this message up with `spoolctl remove " +
          id_text(message) + "`, or put the last file of `spoolctl backup` in place of data.mdb");
}

}  // namespace

std::size_t tail_size(std::uint64_t size) {
  const std::uint64_t last = size % chunk_size, pages = (last + page_header) / page;
  const std::uint64_t tail = pages == 0 ? last : last + page_header - pages * page;
  return tail <= most_tail ? static_cast<std::size_t>(tail) : 0;
}

bool put_chunks(Write& write, Id content, std::string_view bytes, std::uint32_t first, std::uint32_t chunks) {
  std::uint64_t at = std::uint64_t{first} * chunk_size;
  for (; at < bytes.size() && chunks > 0; at += chunk_size, ++first, --chunks) {
    const auto part = bytes.substr(at, chunk_size);
    std::memcpy(write.reserve(Table::content, Key().u64(content).u32(first), part.size()), part.data(),
                part.size());
  }
  return at >= bytes.size();
}

void put_content(Write& write, Id content, const ContentRow& row) {
  Packer packed;
  packed.reserve(32 + row.tail.size());
  packed.num(row.size).num(row.references);
  if (!row.tail.empty()) packed.str(row.tail);
  write.put(Table::content, Key().u64(content), packed.bytes());
}

std::optional<ContentRow> find_content(const Read& read, Id content) {
  const auto value = read.get(Table::content, Key().u64(content));
  if (!value) return std::nullopt;
  Unpacker u(*value, "content", content);
  ContentRow row;
  row.size = u.num();
  row.references = u.num32();
  if (!u.at_end()) row.tail = u.str();
  if (row.tail.size() > row.size) u.bad("holds more than its content has");
  return row;
}

bool release_content(Write& write, Id content) {
  auto row = find_content(write, content);
  if (!row) return false;
  if (row->references > 1) {
    --row->references;
    put_content(write, content, *row);
    return false;
  }
  write.del(Table::content, Key().u64(content));
  if (std::uint32_t chunks = chunks_at_once; !drop_chunks(write, content, chunks))
    leave_work(write, stage_key(StageKind::drop, content), {});
  return true;
}

bool drop_chunks(Write& write, Id content, std::uint32_t& chunks) {
  Cursor c = write.cursor(Table::content);
  const Key prefix = Key().u64(content);
  for (bool more = c.seek(prefix); more && c.at(prefix); more = c.next()) {
    if (chunks == 0) return false;
    --chunks;
    c.del(write);
  }
  return true;
}

std::string content(const Read& read, Id content, std::uint64_t offset, std::size_t limit) {
  std::string out;
  append_content(read, content, offset, limit, out);
  return out;
}

std::string head(const Read& read, Id message) {
  auto row = find_head(read, message);
  return row ? std::move(row->head) : std::string();
}

std::vector<BlankAt> blanks(const Read& read, Id message) {
  std::vector<BlankAt> found;
  const auto row = find_head(read, message);
  if (!row) return found;
  std::uint64_t at = row->head.size();
  for (const Splice& s : row->body) {
    at += s.length + s.own.size();
    if (s.blank != 0) found.push_back({at, s.blank});
  }
  return found;
}

std::string outgoing(const Read& read, const Message& message, std::uint64_t offset, std::size_t limit) {
  std::string out;
  try {
    out = pieces(read, message, offset, limit);
  } catch (const Broken& broken) {
    if (broken.error.kind != Error::Kind::corrupt) throw;
    throw_damaged(message.id, broken.error.text);
  }
  const std::uint64_t rest = message.size - std::min(offset, message.size);
  const bool cut = out.size() < std::min<std::uint64_t>(rest, limit);
  const bool beyond = out.size() > rest;
  if (!cut && !beyond) return out;
  // A finished message has no content any more; whoever holds an older record of it gets what is left.
  const auto now = spool::message(read, message.id);
  if (!now || now->state == MessageState::finished) return out;
  throw_damaged(message.id, "its row in table message promises " + std::to_string(message.size) +
                                " octets, but its rows in tables head and content hold " +
                                (beyond ? "more" : "only " + std::to_string(offset + out.size())));
}

}  // namespace spoold::store::spool
