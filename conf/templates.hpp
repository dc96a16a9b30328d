// The texts of the letters that lists send: built in from conf/templates/LANGUAGE/NAME.txt, and those of `[lists] templates`, which
// stand before them. There a file may be for all lists, for one domain, or for one list:
//   en/welcome.txt   lists.example/en/welcome.txt   test@lists.example/en/welcome.txt
// An empty file: that letter is not sent. What stands in a text: protocol/list/letter.hpp.
#pragma once
#include <map>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

namespace spoold::conf {

/// Texts by "en/welcome", "lists.example/en/welcome", "test@lists.example/en/welcome".
using Templates = std::map<std::string, std::string, std::less<>>;

const Templates& built_in_templates();
/// The languages that are built in: "de", "en".
const std::vector<std::string>& languages();

/// Those of a folder. Failures: a sentence for each file that cannot be read, is larger than 16 KiB or has a name that no
/// letter has.
tl::expected<Templates, std::vector<std::string>> read_templates(const std::string& folder);

/// The text of a letter of this list in this language, else in English. Of `own`, or built in; never missing for the name of a letter
/// that is built in.
std::string_view template_text(const Templates& own, std::string_view list_address, std::string_view language,
                               std::string_view name);

}  // namespace spoold::conf
