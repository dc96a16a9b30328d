#include "store/mend.hpp"

#include "store/broken.hpp"
#include "store/env.hpp"
#include "store/spool/mend.hpp"
#include "store/store.hpp"

namespace spoold::store {

Result<std::vector<std::string>> mend(const Options& options) {
  Env::Settings settings;
  settings.path = options.path;
  settings.max_size = options.max_size;
  settings.map_size = options.map_size;
  settings.open = Env::Settings::Open::existing;
  auto env = Env::open(settings);
  if (!env) return tl::unexpected(env.error());
  const auto route = [&options](std::string_view domain) {
    return options.route ? options.route(domain) : std::string("relay");
  };
  try {
    auto write = (*env)->begin(options.clock());
    auto mended = spool::mend(*write, route);
    if (mended.empty()) return mended;
    if (const int code = (*env)->commit(std::move(write)))
      return tl::unexpected(lmdb_error(code, "commit what was mended"));
    return mended;
  } catch (const Broken& broken) {
    return tl::unexpected(broken.error);
  }
}

}  // namespace spoold::store
