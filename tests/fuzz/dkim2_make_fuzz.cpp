#include "tests/fuzz/dkim2_make_entry.hpp"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  spoold::tests::fuzz_dkim2_make({reinterpret_cast<const char*>(data), size});
  return 0;
}
