// SHA-1 (FIPS 180-4), for names only: Message-ID-Hash (archive.hpp) is made of it. Nothing is proved with it.
#pragma once
#include <array>
#include <cstdint>
#include <string_view>

namespace spoold::list {

std::array<std::uint8_t, 20> sha1(std::string_view octets);

}  // namespace spoold::list
