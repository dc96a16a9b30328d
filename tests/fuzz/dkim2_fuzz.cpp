#include "tests/fuzz/dkim2_entry.hpp"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  spoold::tests::fuzz_dkim2({reinterpret_cast<const char*>(data), size});
  return 0;
}
