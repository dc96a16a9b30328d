// edit-recipients without options: the open recipients of a message in $VISUAL or $EDITOR, one a line; what
// was taken out and put in becomes a request. No shell: the editor's command is split at blanks.
#pragma once
#include <string>
#include <vector>

#include <tl/expected.hpp>

namespace spoold::server::admin {

struct RecipientChange {
  std::vector<std::string> removed, added;
  bool empty() const { return removed.empty() && added.empty(); }
};

/// Lines that begin with '#' and blank lines do not count; an address is compared as it is written.
RecipientChange compare_recipients(const std::vector<std::string>& before, const std::string& after_text);

/// The text as the person left it. Failure: one sentence (no editor, it failed, no file could be made).
tl::expected<std::string, std::string> edit_text(const std::string& text);

}  // namespace spoold::server::admin
