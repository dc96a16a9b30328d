// How a failure leaves the inside of a transaction: LMDB refused a call (map full, disk error) or a record is
// not what was written. Thrown below, caught in one place a job (writer.cpp) or a front door (Store::open),
// where it becomes the Error of the answer. So the code of a transaction reads as what it does, and none of
// its calls can be forgotten. A Read on another thread lets it pass: a record that cannot be read stops the
// daemon with this text; a Read that found no free slot (full) is tried again by its caller.
#pragma once
#include <exception>
#include <string>

#include "store/error.hpp"

namespace spoold::store {

class Broken : public std::exception {
 public:
  explicit Broken(Error e) : error(std::move(e)) {}
  Broken(Error::Kind kind, std::string text) : error{kind, std::move(text)} {}
  const char* what() const noexcept override { return error.text.c_str(); }
  /// The file or the disk is at fault, not the moment: nobody may go on with this store.
  bool ends_the_store() const { return error.kind == Error::Kind::corrupt || error.kind == Error::Kind::io; }
  Error error;
};

/// The Error of an LMDB return code or errno; `what` names the call in words: "commit", "read table due".
Error lmdb_error(int code, const std::string& what);
[[noreturn]] void throw_lmdb(int code, const std::string& what);

}  // namespace spoold::store
