#include "tests/fuzz/zone_file_entry.hpp"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  spoold::tests::fuzz_zone_file({reinterpret_cast<const char*>(data), size});
  return 0;
}
