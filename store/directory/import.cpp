#include "store/directory/import.hpp"

#include <algorithm>

#include "store/directory/apply.hpp"

namespace spoold::store::directory {

namespace {

tl::unexpected<Error> gone() {
  return fail(Error::Kind::not_found,
              "the import was cut off, or its list was removed, while it ran: nothing was imported");
}

/// An import that was cut off takes nothing more: how long its row is there yet depends on the sweep, which each store
/// does in its own time.
std::optional<ImportRow> running(const Read& read, ImportId import) {
  const auto record = read.get(Table::import, Key().u64(import));
  if (!record) return std::nullopt;
  ImportRow row = unpack_import(*record);
  if (row.kind != ImportRow::Kind::active) return std::nullopt;
  return row;
}

}  // namespace

Result<std::vector<Incoming>> sorted(std::vector<Member> members) {
  std::vector<Incoming> incoming;
  incoming.reserve(members.size());
  for (Member& member : members) {
    auto mailbox = Mailbox::parse(member.address, Mailbox::Allow::utf8);
    if (!mailbox) return fail(Error::Kind::invalid, "'" + member.address + "': " + mailbox.error());
    if (auto fault = list::member_name_fault(member.name))
      return fail(Error::Kind::invalid, "'" + member.address + "': " + *fault);
    member.address = mailbox->text();
    incoming.push_back({place_of(mailbox->key()), std::move(member)});
  }
  auto before = [](const Incoming& a, const Incoming& b) { return a.place < b.place; };
  auto same = [](const Incoming& a, const Incoming& b) { return a.place == b.place; };
  std::stable_sort(incoming.begin(), incoming.end(), before);  // stable: of two equal ones the first counts
  incoming.erase(std::unique(incoming.begin(), incoming.end(), same), incoming.end());
  return incoming;
}

Result<ImportId> begin_import(Write& write, ListId list, ImportId import) {
  if (!write.has(Table::list, list_key(list))) return fail(Error::Kind::not_found, "there is no such list");
  for (std::uint64_t other : pending_imports(write, list)) {
    const ImportRow row = unpack_import(*write.get(Table::import, Key().u64(other)));
    if (row.kind == ImportRow::Kind::active)
      return fail(Error::Kind::conflict, "another import into this list is running: wait for its end");
  }
  import = next_import_id(write, import);
  ImportRow row;
  row.list = list;
  write.put(Table::import, Key().u64(import), pack(row));
  return import;
}

Result<std::uint64_t> import_slice(Write& write, ImportId import, std::span<const Incoming> slice,
                                   TimePoint now, std::vector<Member>* written) {
  auto state = running(write, import);
  if (!state) return gone();
  std::uint64_t already = 0;
  std::string_view domain;  // of the last one: members come in domain order
  bool of_lists = false;
  for (const Incoming& one : slice) {
    if (const auto here = std::string_view(one.place).substr(0, one.place.find('\0')); here != domain) {
      domain = here;
      of_lists = is_list_domain(write, domain);
    }
    if (of_lists)
      if (auto fault = own_address_fault(write, state->list, one.place))
        return fail(Error::Kind::invalid, *fault);
    MemberRow row;
    row.import = import;
    if (const auto there = write.get(Table::member, member_key(state->list, one.place))) {
      const MemberRow old = unpack_member(*there);
      if (visible(write, old)) {
        ++already;
        continue;
      }
      if (old.import == import) continue;  // this slice was written before
      // Of an import that was cut off and is not swept yet.
      row.id = one.member.id != 0 ? next_member_id(write, one.member.id) : old.id;
      if (row.id != old.id) write.del(Table::member_by_id, Key().u40(old.id));
    } else {
      row.id = next_member_id(write, one.member.id);
    }
    row.delivery = one.member.delivery;
    row.joined = one.member.joined == TimePoint{} ? now : one.member.joined;
    row.local = local_as_given(one.member.address);
    row.name = one.member.name;
    row.person = verified_person(write, one.place);
    put_member(write, state->list, one.place, row);
    ++state->rows;
    if (!written) continue;
    written->push_back(one.member);
    written->back().id = row.id;
    written->back().joined = row.joined;
  }
  write.put(Table::import, Key().u64(import), pack(*state));
  return already;
}

Result<std::uint64_t> finish_import(Write& write, ImportId import, List* list_then) {
  const auto state = running(write, import);
  if (!state) return gone();
  auto list = load(write, state->list);
  if (!list) return gone();
  list->members += state->rows;
  ++list->roster_version;
  save(write, *list);
  write.del(Table::import, Key().u64(import));
  if (list_then) *list_then = std::move(*list);
  return state->rows;
}

void cut_off(Write& write, ImportId import) {
  auto row = running(write, import);
  if (!row) return;
  row->kind = ImportRow::Kind::cut_off;
  write.put(Table::import, Key().u64(import), pack(*row));
  write.leaves_work();
}

Result<Imported> import_members(const Submit& submit, ListId list, std::vector<Member> members,
                                const std::string& who) {
  auto incoming = sorted(std::move(members));
  if (!incoming) return tl::unexpected(incoming.error());
  const auto step = [&](Change change) { return submit({new_operation_id(), who, std::move(change)}); };
  auto done = step(BeginImport{list, 0});
  if (!done) return tl::unexpected(done.error());
  const ImportId import = done->import;

  Imported imported;
  for (std::size_t at = 0; done && at < incoming->size(); at += slice_rows) {
    ImportRows rows{import, {}};
    for (std::size_t i = at; i < std::min(at + slice_rows, incoming->size()); ++i)
      rows.members.push_back(std::move((*incoming)[i].member));
    done = step(std::move(rows));
    if (done) imported.already += done->already;
  }
  if (done) done = step(FinishImport{import});
  if (done) {
    imported.added = done->added;
    return imported;
  }
  // Where even this cannot be written (a dead disk), recover() does it at the next start.
  (void)step(CutImport{import});
  return tl::unexpected(done.error());
}

void recover(Write& write) {
  std::vector<std::uint64_t> active;
  write.each(Table::import, {}, [&](std::string_view key, std::string_view record) {
    if (unpack_import(record).kind == ImportRow::Kind::active) active.push_back(KeyReader(key).u64());
    return true;
  });
  for (const ImportId import : active) (void)apply(write, {{}, {}, CutImport{import}});
}

bool has_leftovers(const Read& read) {
  bool found = false;
  read.each(Table::import, {}, [&](std::string_view, std::string_view record) {
    found = unpack_import(record).kind != ImportRow::Kind::active;
    return !found;
  });
  return found;
}

bool sweep(Write& write, std::size_t at_once) {
  std::optional<std::uint64_t> import;
  ImportRow leftover;
  write.each(Table::import, {}, [&](std::string_view key, std::string_view record) {
    leftover = unpack_import(record);
    if (leftover.kind == ImportRow::Kind::active) return true;
    import = KeyReader(key).u64();
    return false;
  });
  if (!import) return false;

  struct Row {
    std::string place;
    MemberId id;
  };
  std::vector<Row> rows;  // first found, then deleted: deleting moves what a cursor stands on
  const Key prefix = list_key(leftover.list);
  std::size_t looked_at = 0;
  bool more = false;
  {
    Cursor cursor = write.cursor(Table::member);
    more = cursor.seek(leftover.at.empty() ? prefix : member_key(leftover.list, leftover.at)) &&
           cursor.at(prefix);
    for (; more && rows.size() < at_once && looked_at < 10 * at_once; ++looked_at) {
      const MemberRow row = unpack_member(cursor.value());
      const std::string_view place = cursor.key().substr(prefix.view().size());
      if (leftover.kind == ImportRow::Kind::list_removed || row.import == *import)
        rows.push_back({std::string(place), row.id});
      leftover.at = place;
      more = cursor.next() && cursor.at(prefix);
    }
  }
  for (const Row& row : rows) del_member(write, leftover.list, row.place, row.id, true);
  if (more)
    write.put(Table::import, Key().u64(*import), pack(leftover));
  else
    write.del(Table::import, Key().u64(*import));
  return has_leftovers(write);
}

}  // namespace spoold::store::directory
