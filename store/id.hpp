// Ids of messages and contents: 42 bits of milliseconds, 10 bits of the node, 12 bits of a sequence. Ids are in the order
// in which they were given; none is given twice (Env::new_id, Write::next_id).
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace spoold::store {

using Id = std::uint64_t;
constexpr std::size_t id_width = 13;  // of id_text
/// The queue id as people see it: fixed width, Crockford's base 32. Texts sort as ids do.
std::string id_text(Id);
/// Also in lower case, and with the letters that Crockford reads as digits. Nothing: the text is not an id.
std::optional<Id> parse_id(std::string_view);

}  // namespace spoold::store
