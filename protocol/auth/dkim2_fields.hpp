// The two header fields of DKIM2 (draft-ietf-dkim-dkim2-spec-06 7, 8) and the recipes in one of them (5). All of it is hostile
// input. Failures are the sentences of the draft (11.2): "Message-Instance m=2 syntax error".
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <tl/expected.hpp>

#include "protocol/auth/dkim_signature.hpp"
#include "protocol/mail/header.hpp"

namespace spoold::auth {

/// Lines or fields [first, last], counted from 1, or text of its own.
struct RecipeStep {
  std::uint64_t first = 0, last = 0;
  std::vector<std::string> data;
};
using Recipe = std::vector<RecipeStep>;

struct Recipes {
  std::map<std::string, Recipe> header;  // by name in lower case; counted from the bottom
  std::optional<Recipe> body;            // absent: the body was not changed
  bool body_lost = false;                // the body before cannot be had

  /// Of the JSON object in r=. Failure: one sentence.
  static tl::expected<Recipes, std::string> parse(std::string_view json);
};

struct MessageInstance {
  std::uint64_t number = 0;  // m=
  struct Hashes {
    std::string name, header, body;  // octets
  };
  std::vector<Hashes> hashes;  // of names that are not known here too
  std::optional<Recipes> recipes;

  static tl::expected<MessageInstance, std::string> parse(const mail::Field& field);
};

struct Dkim2Signature {
  std::uint64_t number = 0, instance = 0, time = 0;  // i=, m=, t= (seconds)
  std::string domain, next_domain;                   // d=, nd=, in lower case
  std::optional<std::string> mail_from;              // mf= with its angle brackets; absent with nd=
  std::vector<std::string> rcpt_to;
  struct Value {
    std::string selector, algorithm, octets;
  };
  std::vector<Value> values;
  std::vector<std::string> flags;

  bool has_flag(std::string_view flag) const;
  static tl::expected<Dkim2Signature, std::string> parse(const mail::Field& field);
};

/// The field as it is signed (9.6): name in lower case, no blanks at all, with a line end. `without_values`: as its own signature
/// covers it.
std::string dkim2_canonical(const mail::Field& field, bool without_values);
/// The number in that tag of a canonical field: "m", "i".
std::optional<std::uint64_t> dkim2_number(std::string_view canonical, const char* tag);
/// Digits; nothing: none, or more than 12 of them.
std::optional<std::uint64_t> whole_number(std::string_view text);
bool has_dkim2_fields(const mail::Header& header);
bool is_instance(const mail::Field& field);
bool is_signature(const mail::Field& field);
/// A field of this name is no part of the header hash (4).
bool dkim2_ignores(std::string_view name);

}  // namespace spoold::auth
