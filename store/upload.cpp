#include "store/upload.hpp"

#include <algorithm>

#include "store/spool/content.hpp"
#include "store/spool/rows.hpp"
#include "store/spool/work.hpp"

namespace spoold::store {
namespace {

Key key_of(Id id) {
  return spool::stage_key(spool::StageKind::content, id);
}

tl::unexpected<Error> gone(Id id) {
  return fail(Error::Kind::not_found, "there is no upload " + id_text(id) + " to append to");
}

}  // namespace

Id begin_upload(Write& write) {
  const Id id = write.next_id();
  write.put(Table::stage, key_of(id), Packer().num(0).bytes());
  return id;
}

Result<void> append_upload(Write& write, Id id, std::string_view bytes) {
  const auto stage = write.get(Table::stage, key_of(id));
  if (!stage) return gone(id);
  std::uint64_t size = Unpacker(*stage, "stage", key_of(id)).num();
  write.put(Table::stage, key_of(id), Packer().num(size + bytes.size()).bytes());
  while (!bytes.empty()) {
    const Key chunk = Key().u64(id).u32(static_cast<std::uint32_t>(size / spool::chunk_size));
    const std::size_t filled = size % spool::chunk_size;
    std::string begun;
    if (filled > 0) begun = write.get(Table::content, chunk).value_or("");
    const auto part = bytes.substr(0, spool::chunk_size - filled);
    char* room = write.reserve(Table::content, chunk, begun.size() + part.size());
    begun.copy(room, begun.size());
    part.copy(room + begun.size(), part.size());
    bytes.remove_prefix(part.size());
    size += part.size();
  }
  return {};
}

Result<void> abandon_upload(Write& write, Id id) {
  if (!write.del(Table::stage, key_of(id))) return gone(id);
  spool::leave_work(write, spool::stage_key(spool::StageKind::abandoned, id), {});
  return {};
}

}  // namespace spoold::store
