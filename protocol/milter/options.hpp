// What both sides agree on before anything else: the version, what the filter may change, which steps it leaves out or does
// not answer, and which macros it wants (SMFIC_OPTNEG, SMFIR_SETSYMLIST).
//
// We offer version 6 and all that we can do; the filter answers with what it uses of that. Failures: a sentence about an answer that
// is cut off, asks for what was not offered, or names a version that nobody speaks.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <tl/expected.hpp>

namespace spoold::milter {

/// SMFIF_*: what a filter may do at the end of a message.
enum Actions : std::uint32_t {
  may_add_fields = 0x1,
  may_change_body = 0x2,
  may_add_recipients = 0x4,
  may_remove_recipients = 0x8,
  may_change_fields = 0x10,
  may_quarantine = 0x20,
  may_change_sender = 0x40,
  may_add_recipients_with_parameters = 0x80,
  may_choose_macros = 0x100,
};

/// SMFIP_*: steps that are left out (no_*), steps without an answer (mute_*), and two forms.
enum Steps : std::uint32_t {
  no_connect = 0x1,
  no_helo = 0x2,
  no_mail = 0x4,
  no_rcpt = 0x8,
  no_body = 0x10,
  no_header = 0x20,
  no_end_of_header = 0x40,
  mute_header = 0x80,
  no_unknown = 0x100,
  no_data = 0x200,
  may_skip = 0x400,
  mute_connect = 0x1000,
  mute_helo = 0x2000,
  mute_mail = 0x4000,
  mute_rcpt = 0x8000,
  mute_data = 0x10000,
  mute_unknown = 0x20000,
  mute_end_of_header = 0x40000,
  mute_body = 0x80000,
  leading_space = 0x100000,  // values of fields have the space behind the colon
};

/// The steps that have macros, by their numbers in SMFIR_SETSYMLIST.
enum class Stage : std::uint8_t { connect, helo, mail, rcpt, data, end, end_of_header };
inline constexpr std::size_t stages = 7;

struct Options {
  std::uint32_t version = 6;
  std::uint32_t actions = 0, steps = 0;
  std::array<std::optional<std::vector<std::string>>, stages> macros;  // absent: ours
  bool has(Actions action) const { return (actions & action) != 0; }
  bool has(Steps step) const { return (steps & step) != 0; }
};

inline constexpr std::uint32_t offered_actions = 0x1ff;
inline constexpr std::uint32_t offered_steps =
    0x1ff7ff;  // without SMFIP_RCPT_REJ: refused recipients are not told

std::string offer();  // the data of the frame 'O'
tl::expected<Options, std::string> parse_options(std::string_view data);

}  // namespace spoold::milter
