// What somebody asks of a list by mail: to join, to leave, to confirm, for help (test-join@, test-leave@, test-confirm+TOKEN@,
// test-request@). wishes() reads it out of a message; answer_to() decides what becomes of one wish. Both are pure: who is a member,
// what was asked before, and the time are arguments.
//
// Whoever writes From can write anybody's address there. So nothing that a stranger can ask for changes anything before the owner
// of the address has sent back a token that only he was sent; and an address gets one letter about the same thing in a day
// (three, while its owner asks for other changes).
// Failures: a line that is no command is a wish that nobody can fulfil (`unknown`), and gets the help text.
// See also: letter.hpp (what is answered), store/directory/asked.hpp (what is remembered).
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/list/addresses.hpp"
#include "protocol/list/settings.hpp"
#include "protocol/mail/header.hpp"

namespace spoold::list {

/// Numbers are in the store: none is given a new meaning.
enum class What : std::uint8_t { help, join, leave, set, who, echo, confirm, unknown };
const char* text(What);

struct Wish {
  What what = What::help;
  std::optional<Delivery> delivery = {};  // of join and set
  std::string words = {};                 // of confirm: the token; of echo and unknown: the line
  PreferenceTexts preferences = {};       // of set
  bool operator==(const Wish&) const = default;
};

constexpr std::size_t most_wishes = 10;

/// `role`: join, leave, confirm or request; `detail`: of confirm, the token. `message`: the content as received, or its begin.
/// At test-request@ the commands stand in Subject and in the lines of the first plain text; a line that is no command ends
/// them, when there was one before it.
std::vector<Wish> wishes(Role role, std::string_view detail, const mail::Header& header,
                         std::string_view message);

/// What becomes of a wish. Numbers are in the store.
enum class Answer : std::uint8_t {
  silence,         // a letter about this went out lately, or the token is not known any more
  confirm,         // a token goes to the address
  moderate,        // a token goes to the owners of the list; whoever asks is told
  joined,          // the address becomes a member
  left,            // the member leaves
  changed,         // the member's delivery changes
  already_member,  // these are letters only:
  not_member,
  help,
  who,
  echo,
  unknown,
  refused,  // the owners said no
};
const char* text(Answer);

/// What is remembered of a wish: so that a token can be redeemed, and nobody is written to twice.
struct Asked {
  What what = What::help;
  Answer answer = Answer::silence;
  std::string address;  // Mailbox text, as it was given
  std::string name;     // of a member who joins
  std::optional<Delivery> delivery;
  std::string words;  // of What::echo and What::unknown
  std::string token;  // of Answer::confirm and Answer::moderate
  TimePoint since{}, until{};
  PreferenceTexts preferences = {};  // of What::set
  /// Whom it is about: another address of the same person, who is a member with it. Empty: `address`.
  std::string about = {};
  std::uint32_t letters = 1;  // that went out about wishes of this kind, one soon behind the other
  const std::string& member_address() const { return about.empty() ? address : about; }
};

struct Decision {
  Answer answer = Answer::silence;
  TimePoint until{};  // how long it is remembered; not behind the present: not at all
  bool with_token() const { return answer == Answer::confirm || answer == Answer::moderate; }
};

/// A token lives three days where the owner of the address has it, and seven where the owners of the list have it. A letter
/// without one is not repeated for a day.
constexpr Duration token_life = std::chrono::hours(72), request_life = std::chrono::hours(7 * 24),
                   letter_life = std::chrono::hours(24);

/// `key`: of an address (Mailbox::key()), which is what decides, not how it is written.
bool is_owner(const Settings& settings, const std::string& key);

/// Somebody may ask for another change before he has confirmed the last one, whose token ends then; so many times, as anybody can ask
/// in his name.
constexpr std::uint32_t most_changes = 3;

/// A wish as it came, and what its address is to the list.
struct Asking {
  What what = What::help;
  bool member = false, owner = false;
  bool another_change = false;  // of What::set: not what is remembered
};
/// `before`: what is remembered of the same kind of wish of the same address.
Decision answer_to(const Settings& settings, const Asking& asking, const std::optional<Asked>& before,
                   TimePoint now);
/// A token that came back. `asked` is what it stands for.
Decision answer_to_token(const Settings& settings, const Asked& asked, bool member, TimePoint now);

}  // namespace spoold::list
