#include "tests/fuzz/mail_entry.hpp"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  spoold::tests::fuzz_rules({reinterpret_cast<const char*>(data), size});
  return 0;
}
