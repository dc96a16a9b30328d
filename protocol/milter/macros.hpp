// Macros: what a filter is told beside the arguments of a step (SMFIC_MACRO). Names are Sendmail's.
//
// Which are sent at a step: those that the filter asked for, else the ones in the table of macros.cpp; of both only those
// that have a value then.
#pragma once
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "protocol/milter/options.hpp"

namespace spoold::milter {

/// Values by name, without braces: "j", "client_addr". The values that are known grow with the session.
class Macros {
 public:
  void set(std::string_view name, std::string value);  // an empty value: there is none
  /// "" where there is none. `name` with braces or without.
  std::string_view find(std::string_view name) const;
  /// The frame for the command that follows; nothing where no macro has a value.
  void append(std::string& out, Stage stage, char command, const Options& options) const;

 private:
  std::vector<std::pair<std::string, std::string>> values_;
};

}  // namespace spoold::milter
