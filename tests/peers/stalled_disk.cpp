// A disk that does not answer: while the file that STALLED_DISK names exists, no flush returns. Preloaded into
// spoold (LD_PRELOAD), so that a test decides when the disk stalls and when it answers again.
#include <dlfcn.h>
#include <unistd.h>

#include <cstdlib>

namespace {

void wait_while_stalled() {
  const char* file = std::getenv("STALLED_DISK");
  while (file != nullptr && ::access(file, F_OK) == 0) ::usleep(10'000);
}

int flush(const char* name, int descriptor) {
  using Flush = int (*)(int);
  const auto real = reinterpret_cast<Flush>(::dlsym(RTLD_NEXT, name));
  wait_while_stalled();
  return real(descriptor);
}

}  // namespace

extern "C" int fdatasync(int descriptor) {
  return flush("fdatasync", descriptor);
}
extern "C" int fsync(int descriptor) {
  return flush("fsync", descriptor);
}
