#include "store/spool/types.hpp"

namespace spoold::store {

const char* text(MessageState state) {
  switch (state) {
    case MessageState::staged:
      return "staged";
    case MessageState::held:
      return "held";
    case MessageState::queued:
      return "queued";
    case MessageState::finished:
      return "finished";
    case MessageState::removable:
      return "removable";
  }
  return "?";
}

const char* text(RecipientState state) {
  switch (state) {
    case RecipientState::queued:
      return "queued";
    case RecipientState::deferred:
      return "deferred";
    case RecipientState::held:
      return "held";
    case RecipientState::delivered:
      return "delivered";
    case RecipientState::failed:
      return "failed";
    case RecipientState::expired:
      return "expired";
    case RecipientState::removed:
      return "removed";
  }
  return "?";
}

}  // namespace spoold::store
