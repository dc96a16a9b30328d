#include "store/error.hpp"

namespace spoold::store {

const char* text(Error::Kind kind) {
  switch (kind) {
    case Error::Kind::full:
      return "full";
    case Error::Kind::io:
      return "io";
    case Error::Kind::corrupt:
      return "corrupt";
    case Error::Kind::newer:
      return "newer";
    case Error::Kind::locked:
      return "locked";
    case Error::Kind::not_found:
      return "not_found";
    case Error::Kind::conflict:
      return "conflict";
    case Error::Kind::invalid:
      return "invalid";
    case Error::Kind::archive:
      return "archive";
    case Error::Kind::stopped:
      return "stopped";
    case Error::Kind::unavailable:
      return "unavailable";
  }
  return "?";
}

}  // namespace spoold::store
