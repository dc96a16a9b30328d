// Mending a store that no daemon can run on: rows that cannot be read (spool/mend.hpp). Before Store::open(), which reads
// such rows itself. Failures: as of Store::open(); then nothing was changed.
#pragma once
#include <string>
#include <vector>

#include "store/error.hpp"

namespace spoold::store {

struct Options;

/// One sentence for each row that could not be read: what was made of it, what is lost.
Result<std::vector<std::string>> mend(const Options&);

}  // namespace spoold::store
