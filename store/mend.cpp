#include "store/mend.hpp"

#include "store/broken.hpp"
#include "store/spool/mend.hpp"
#include "store/state.hpp"

namespace spoold::store {

Result<std::vector<std::string>> mend(const Options& options) {
  auto env = Env::open(env_settings(options));
  if (!env) return tl::unexpected(env.error());
  try {
    auto write = (*env)->begin(options.now());
    auto mended =
        spool::mend(*write, [&options](std::string_view domain) { return options.route_of(domain); });
    if (mended.empty()) return mended;
    if (const int code = (*env)->commit(std::move(write)))
      return tl::unexpected(lmdb_error(code, "commit what was mended"));
    return mended;
  } catch (const Broken& broken) {
    return tl::unexpected(broken.error);
  }
}

}  // namespace spoold::store
