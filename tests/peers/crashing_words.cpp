// A fault that content sets off: spoold ends by a signal when it is about to send octets with the words of CRASHING_WORDS.
// Preloaded into spoold (LD_PRELOAD), as nobody knows a message that does it without.
#include <dlfcn.h>
#include <sys/socket.h>

#include <cstdlib>
#include <string_view>

namespace {

void look(const void* octets, size_t size) {
  const char* words = std::getenv("CRASHING_WORDS");
  if (words != nullptr &&
      std::string_view(static_cast<const char*>(octets), size).find(words) != std::string_view::npos)
    std::abort();
}

}  // namespace

extern "C" ssize_t send(int socket, const void* octets, size_t size, int flags) {
  look(octets, size);
  using Send = ssize_t (*)(int, const void*, size_t, int);
  static const auto real = reinterpret_cast<Send>(::dlsym(RTLD_NEXT, "send"));
  return real(socket, octets, size, flags);
}

extern "C" ssize_t sendmsg(int socket, const msghdr* message, int flags) {
  for (size_t i = 0; i < message->msg_iovlen; ++i)
    look(message->msg_iov[i].iov_base, message->msg_iov[i].iov_len);
  using Sendmsg = ssize_t (*)(int, const msghdr*, int);
  static const auto real = reinterpret_cast<Sendmsg>(::dlsym(RTLD_NEXT, "sendmsg"));
  return real(socket, message, flags);
}
