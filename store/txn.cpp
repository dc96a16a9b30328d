#include "store/txn.hpp"

#include <lmdb.h>
#include <algorithm>
#include <utility>

#include "store/broken.hpp"
#include "store/env.hpp"
#include "store/key.hpp"

namespace spoold::store {
namespace {

MDB_val val(std::string_view s) {
  return {s.size(), const_cast<char*>(s.data())};
}
std::string_view view(const MDB_val& v) {
  return {static_cast<const char*>(v.mv_data), v.mv_size};
}

std::string naming(const char* verb, Table t) {
  return std::string(verb) + " table " + table_names[static_cast<std::size_t>(t)];
}

}  // namespace

Cursor::Cursor(Cursor&& other) noexcept
    : cursor_(std::exchange(other.cursor_, nullptr)),
      table_(other.table_),
      valid_(other.valid_),
      key_(other.key_),
      value_(other.value_) {}

Cursor::~Cursor() {
  if (cursor_) mdb_cursor_close(cursor_);
}

bool Cursor::move(int operation, std::string_view from) {
  MDB_val key = val(from), value{};
  const int code = mdb_cursor_get(cursor_, &key, &value, static_cast<MDB_cursor_op>(operation));
  valid_ = code == MDB_SUCCESS;
  key_ = valid_ ? view(key) : std::string_view{};
  value_ = valid_ ? view(value) : std::string_view{};
  if (!valid_ && code != MDB_NOTFOUND) throw_lmdb(code, naming("read", table_));
  return valid_;
}

bool Cursor::first() {
  return move(MDB_FIRST, {});
}
bool Cursor::last() {
  return move(MDB_LAST, {});
}
// LMDB refuses an empty key: it asks for the table's first entry.
bool Cursor::seek(std::string_view key) {
  return key.empty() ? first() : move(MDB_SET_RANGE, key);
}
bool Cursor::seek_before(std::string_view key) {
  return seek(key) ? prev() : last();
}
bool Cursor::next() {
  return move(MDB_NEXT, {});
}
bool Cursor::prev() {
  return move(MDB_PREV, {});
}
bool Cursor::at(std::string_view prefix) const {
  return valid_ && key_.starts_with(prefix);
}

void Cursor::del(Write& write) {
  ++write.changes_;
  if (const int code = mdb_cursor_del(cursor_, 0)) throw_lmdb(code, naming("delete from", table_));
  key_ = value_ = {};
  valid_ = false;
}

Read::Read(const Env& env) : env_(env), txn_(nullptr) {
  if (const int code = env.begin_read(&txn_)) throw_lmdb(code, "begin to read");
}

Read::~Read() {
  if (txn_) env_.end_read(txn_);
}

std::optional<std::string_view> Read::get(Table table, std::string_view key) const {
  MDB_val k = val(key), v{};
  const int code = mdb_get(txn_, env_.dbi(table), &k, &v);
  if (code == MDB_NOTFOUND) return std::nullopt;
  if (code) throw_lmdb(code, naming("read", table));
  return view(v);
}

Cursor Read::cursor(Table table) const {
  MDB_cursor* cursor = nullptr;
  if (const int code = mdb_cursor_open(txn_, env_.dbi(table), &cursor))
    throw_lmdb(code, naming("read", table));
  return Cursor(cursor, table);
}

std::uint64_t Read::entries(Table table) const {
  MDB_stat stat{};
  if (const int code = mdb_stat(txn_, env_.dbi(table), &stat)) throw_lmdb(code, naming("read", table));
  return stat.ms_entries;
}

std::uint16_t own_node(const Read& read) {
  const auto node = read.get(Table::meta, "node");
  return node ? KeyReader(*node).u16() & 0x3ff : 0;
}

Write::~Write() {
  if (txn_) mdb_txn_abort(std::exchange(txn_, nullptr));
}

void Write::put(Table table, std::string_view key, std::string_view value) {
  MDB_val k = val(key), v = val(value);
  ++changes_;
  if (const int code = mdb_put(txn_, env_.dbi(table), &k, &v, 0)) throw_lmdb(code, naming("write", table));
}

bool Write::put_new(Table table, std::string_view key, std::string_view value) {
  MDB_val k = val(key), v = val(value);
  const int code = mdb_put(txn_, env_.dbi(table), &k, &v, MDB_NOOVERWRITE);
  if (code == MDB_KEYEXIST) return false;
  ++changes_;
  if (code) throw_lmdb(code, naming("write", table));
  return true;
}

void Write::append(Table table, std::string_view key, std::string_view value) {
  MDB_val k = val(key), v = val(value);
  ++changes_;
  if (const int code = mdb_put(txn_, env_.dbi(table), &k, &v, MDB_APPEND))
    throw_lmdb(code, naming("write", table));
}

char* Write::reserve(Table table, std::string_view key, std::size_t size) {
  MDB_val k = val(key), v{size, nullptr};
  ++changes_;
  if (const int code = mdb_put(txn_, env_.dbi(table), &k, &v, MDB_RESERVE))
    throw_lmdb(code, naming("write", table));
  return static_cast<char*>(v.mv_data);
}

bool Write::del(Table table, std::string_view key) {
  MDB_val k = val(key);
  const int code = mdb_del(txn_, env_.dbi(table), &k, nullptr);
  if (code == MDB_NOTFOUND) return false;
  ++changes_;
  if (code) throw_lmdb(code, naming("delete from", table));
  return true;
}

void Write::covers(Id id) {
  if (id < writable_.mark_) return;
  // One second of ids in advance: a restart skips at most those, and meta is written once a second.
  writable_.mark_ = ((id >> 22) + 1000) << 22;
  put(Table::meta, "mark", Key().u64(writable_.mark_));
}

Id Write::next_id() {
  const Id id = writable_.new_id(now_);
  covers(id);
  return id;
}

}  // namespace spoold::store
