// What a store operation can answer instead of its result.
#pragma once
#include <string>
#include <tl/expected.hpp>

namespace spoold::store {

struct Error {
  enum class Kind {
    full,       // max_size, [spool] reserve or the map reached: answer 452, nothing was kept
    io,         // the disk failed; after a failed commit the outcome is unknown and the store stops
    corrupt,    // a broken invariant or an unreadable record: the daemon stops with this text
    newer,      // the format is of a later version
    locked,     // another process holds the store
    not_found,  // no such message, list, member
    conflict,   // the precondition does not hold (already member, claimed meanwhile, not held ...)
    invalid,    // bad input; the text says what and what to do
    archive,    // the archive of a list cannot be written: answer 451 with the text, nothing was kept
    stopped,    // the writer is shutting down
    unavailable,  // who decides did not answer; whether the change was made is not known: submit the same operation again
  };
  Kind kind;
  std::string text;  // one sentence for a person: what, where, what to do
};

const char* text(Error::Kind);

template <class T>
using Result = tl::expected<T, Error>;

inline tl::unexpected<Error> fail(Error::Kind kind, std::string text) {
  return tl::unexpected<Error>(Error{kind, std::move(text)});
}

}  // namespace spoold::store
