#include "tests/fuzz/milter_entry.hpp"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  spoold::tests::fuzz_milter({reinterpret_cast<const char*>(data), size});
  return 0;
}
