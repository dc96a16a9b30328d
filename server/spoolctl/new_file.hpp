// A file that appears under its name when it is whole: written beside it, flushed, renamed. Made with the ids that the
// process has at that time, and renamed with its own ids (access.hpp).
#pragma once
#include <memory>
#include <string>

#include <tl/expected.hpp>

namespace spoold::server::admin {

class NewFile {
 public:
  /// Failure: one sentence.
  static tl::expected<std::unique_ptr<NewFile>, std::string> make(const std::string& path);
  ~NewFile();  // what was not kept is gone
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;

  int descriptor() const { return file_; }
  /// Flushes it and gives it its name, in the place of what has it.
  tl::expected<void, std::string> keep();

 private:
  NewFile(std::string path, std::string temporary, int file)
      : path_(std::move(path)), temporary_(std::move(temporary)), file_(file) {}
  std::string path_, temporary_;
  int file_;
};

}  // namespace spoold::server::admin
