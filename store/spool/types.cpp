#include "store/spool/types.hpp"

#include <array>

namespace spoold::store {
namespace {

// Crockford's base 32: no I, L, O, U; its order is that of the numbers.
constexpr std::string_view digits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
constexpr std::size_t id_length = 13;

std::optional<unsigned> digit(char c) {
  if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  if (c == 'O') c = '0';
  if (c == 'I' || c == 'L') c = '1';
  const auto at = digits.find(c);
  if (at == std::string_view::npos) return std::nullopt;
  return static_cast<unsigned>(at);
}

}  // namespace

std::string id_text(Id id) {
  std::string out(id_length, '0');
  for (std::size_t i = id_length; i > 0; --i, id >>= 5) out[i - 1] = digits[id & 31];
  return out;
}

std::optional<Id> parse_id(std::string_view text) {
  if (text.size() != id_length) return std::nullopt;
  Id id = 0;
  for (std::size_t i = 0; i < id_length; ++i) {
    const auto d = digit(text[i]);
    if (!d || (i == 0 && *d > 15)) return std::nullopt;
    id = id << 5 | *d;
  }
  return id;
}

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
