// A header of the standard library comes first: only then does Asio see what libstdc++ has (aligned_alloc)
// and choose the same allocation here as in every other file. ASan found memory of one kind freed as the
// other.
#include <utility>

#include <asio/impl/src.hpp>
