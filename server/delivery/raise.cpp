#include "server/delivery/raise.hpp"

#include "server/log.hpp"
#include "store/broken.hpp"

namespace spoold::server {
namespace {

bool passes(const std::exception_ptr& why) {
  try {
    std::rethrow_exception(why);
  } catch (const store::Broken& broken) {
    using Kind = store::Error::Kind;
    return broken.error.kind == Kind::full || broken.error.kind == Kind::not_found;
  } catch (...) {
    return false;
  }
}

}  // namespace

std::string words_of(const std::exception_ptr& why) {
  try {
    std::rethrow_exception(why);
  } catch (const std::exception& exception) {
    return exception.what();
  } catch (...) {
    return "an exception without words";
  }
}

void raise(asio::io_context& io, const std::exception_ptr& why, const std::string& route) {
  if (passes(why)) {
    log::event(log::Level::warning, "lane", {{"relay", route}, {"reply", words_of(why)}});
    return;
  }
  asio::post(io, [why] { std::rethrow_exception(why); });
}

}  // namespace spoold::server
