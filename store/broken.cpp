#include "store/broken.hpp"

#include <lmdb.h>
#include <cerrno>

namespace spoold::store {

Error lmdb_error(int code, const std::string& what) {
  const std::string text = "the store cannot " + what + ": " + mdb_strerror(code);
  switch (code) {
    case MDB_MAP_FULL:
      return {Error::Kind::full, "the store is full: raise [spool] max_size (cannot " + what + ")"};
    case MDB_TXN_FULL:
      return {Error::Kind::full, text};
    case ENOSPC:
    case EDQUOT:
      return {Error::Kind::full, text + "; free space on the file system of [spool] path"};
    // The moment is at fault, not the store: nobody must stop for these.
    case MDB_READERS_FULL:
      return {Error::Kind::full,
              text + "; too many processes read the store at once: end spoolctls that hang"};
    case ENOMEM:
      return {Error::Kind::full, text};
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INVALID:
    case MDB_PANIC:
      return {Error::Kind::corrupt, text +
                                        "; data.mdb is damaged: keep a copy of it, then put the last file of "
                                        "'spoolctl backup' in its place"};
    case MDB_VERSION_MISMATCH:
      return {Error::Kind::newer,
              text + "; the file was written by another version of LMDB: install the matching one"};
    case MDB_BAD_VALSIZE:
      return {Error::Kind::invalid, text};
    default:
      return {Error::Kind::io, text};
  }
}

void throw_lmdb(int code, const std::string& what) {
  throw Broken(lmdb_error(code, what));
}

}  // namespace spoold::store
