#include "protocol/smtp/data_writer.hpp"

namespace spoold::smtp {

std::string_view DataWriter::write(std::string_view slice, std::string& scratch) {
  if (slice.empty()) return slice;
  std::string_view wire = slice;
  if (stuffing_) {
    scratch.clear();
    std::size_t from = 0;
    if (slice.front() == '.' && last_ == '\n') scratch += '.';
    for (std::size_t at = slice.find("\n."); at != std::string_view::npos; at = slice.find("\n.", at + 1)) {
      scratch += slice.substr(from, at + 1 - from);
      scratch += '.';
      from = at + 1;
    }
    if (from != 0 || !scratch.empty()) {
      scratch += slice.substr(from);
      wire = scratch;
    }
  }
  before_last_ = slice.size() > 1 ? slice[slice.size() - 2] : last_;
  last_ = slice.back();
  return wire;
}

std::string_view DataWriter::finish() const {
  if (last_ == '\n' && before_last_ == '\r') return ".\r\n";
  return "\r\n.\r\n";
}

}  // namespace spoold::smtp
