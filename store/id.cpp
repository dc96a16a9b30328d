#include "store/id.hpp"

namespace spoold::store {
namespace {

// Crockford's base 32: no I, L, O, U; its order is that of the numbers.
constexpr std::string_view digits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

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
  std::string out(id_width, '0');
  for (std::size_t i = id_width; i > 0; --i, id >>= 5) out[i - 1] = digits[id & 31];
  return out;
}

std::optional<Id> parse_id(std::string_view text) {
  if (text.size() != id_width) return std::nullopt;
  Id id = 0;
  for (std::size_t i = 0; i < id_width; ++i) {
    const auto d = digit(text[i]);
    if (!d || (i == 0 && *d > 15)) return std::nullopt;
    id = id << 5 | *d;
  }
  return id;
}

}  // namespace spoold::store
