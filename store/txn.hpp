// Typed access to the tables inside one LMDB transaction: Read (short, any thread) and Write (the writer's
// own; also readable). Keys are made with key.hpp, values with record.hpp. Guarantees: a Read sees one
// consistent state for its whole life. Views handed out point into the store: those of a Read die with it,
// those of a Write already at the next put or del. A Read must not live across a co_await (README, Rules): one
// forgotten reader grows the file without end.
// Failures: what LMDB refuses, or a record that is not what was written, throws Broken (broken.hpp).
// See also: env.hpp (the environment), store.hpp (how jobs get a Write).
#pragma once
#include <functional>
#include <optional>
#include <string_view>

#include "protocol/time.hpp"
#include "store/id.hpp"
#include "store/tables.hpp"

struct MDB_txn;
struct MDB_cursor;

namespace spoold::store {

class Env;
class Store;

/// Long work asks it between two steps: true when its transaction is to end now, because it took long enough or
/// because others wait for a commit.
using Enough = std::function<bool()>;

class Write;

/// A place in one table. Made by Read::cursor(); must die before its transaction.
class Cursor {
 public:
  Cursor(Cursor&&) noexcept;
  Cursor& operator=(Cursor&&) = delete;
  ~Cursor();

  // Each moves and says whether there is an entry there; key() and value() are empty otherwise.
  bool first();
  bool last();
  bool seek(std::string_view key);         // the first entry with a key >= key
  bool seek_before(std::string_view key);  // the last entry with a key < key
  bool next();
  bool prev();
  bool at(std::string_view prefix) const;  // there is an entry here and its key begins so

  std::string_view key() const { return key_; }
  std::string_view value() const { return value_; }
  void del(Write&);  // removes the entry here; next() then goes to the one behind it

 private:
  friend class Read;
  Cursor(MDB_cursor* cursor, Table table) : cursor_(cursor), table_(table) {}
  bool move(int operation, std::string_view from);
  MDB_cursor* cursor_;
  Table table_;
  bool valid_ = false;
  std::string_view key_, value_;
};

class Read {
 public:
  explicit Read(const Env&);
  explicit Read(const Store&);
  Read(const Read&) = delete;
  Read& operator=(const Read&) = delete;
  ~Read();

  std::optional<std::string_view> get(Table, std::string_view key) const;
  bool has(Table table, std::string_view key) const { return get(table, key).has_value(); }
  Cursor cursor(Table) const;
  /// Calls f(key, value) for each entry whose key begins with prefix, until it answers false.
  template <class F>
  void each(Table table, std::string_view prefix, F f) const {
    Cursor c = cursor(table);
    for (bool more = c.seek(prefix); more && c.at(prefix); more = c.next())
      if (!f(c.key(), c.value())) return;
  }
  std::uint64_t entries(Table) const;

 protected:
  Read(const Env& env, MDB_txn* txn) : env_(env), txn_(txn) {}
  const Env& env_;
  MDB_txn* txn_;
};
std::uint16_t own_node(const Read&);  // of meta: 10 bits of the ids that this store gives

/// Only the writer thread has one; a Job gets it.
class Write : public Read {
 public:
  ~Write();  // aborts what was not committed

  void put(Table, std::string_view key, std::string_view value);
  bool put_new(Table, std::string_view key, std::string_view value);  // false: the key is there already
  void append(Table, std::string_view key,
              std::string_view value);  // the key is known to be the table's last
  /// Room for a value of `size` octets, to be filled before the next call.
  char* reserve(Table, std::string_view key, std::size_t size);
  bool del(Table, std::string_view key);  // false: it was not there

  /// A new message or content id; never given twice, also after a restart.
  Id next_id();
  /// An id that Env::new_id() gave is used in this transaction: once it is committed, no later process gives the id again.
  void covers(Id);
  TimePoint now() const { return now_; }              // of the transaction's begin
  std::uint64_t changes() const { return changes_; }  // how many calls changed something
  /// What was written names work that is to be done in later transactions: it is begun after the commit.
  void leaves_work() { work_left_ = true; }
  bool work_left() const { return work_left_; }

 private:
  friend class Env;
  friend class Cursor;
  Write(Env& env, MDB_txn* txn, TimePoint now) : Read(env, txn), writable_(env), now_(now) {}
  Env& writable_;
  TimePoint now_;
  std::uint64_t changes_ = 0;
  bool work_left_ = false;
};

}  // namespace spoold::store
