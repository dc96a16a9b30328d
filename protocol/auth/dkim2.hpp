// DKIM2 (draft-ietf-dkim-dkim2-spec-06): the chain of signatures of one message verified, and former instances of it restored by
// the recipes that it carries. A machine without sockets and without cryptography, as DkimCheck is.
//
//   Dkim2Check check(header, {now, mail_from, rcpt_to}, new_sha256, new_sha512);
//   check.body(piece); ... check.body_end();           // while the message comes in, one pass for all instances
//   check.ask(), check.answered()                      // in between or behind (lookups.hpp)
//   while (!check.done())                              // then, on a thread that may compute:
//     if (auto proof = check.next_proof()) check.proved(verify(*proof));
//   check.verdict();
//
// Every signature and every instance is looked at; the result as a whole is the first that is not pass, from the highest signature
// down. Sentences are those of the draft (11.2 to 11.8). Guarantees: the work is linear in the message and its recipes for each
// instance, and its body is nowhere kept; at most most_hops signatures and instances. Not done: 11.9 (replay).
#pragma once
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/auth/canonical.hpp"
#include "protocol/auth/dkim.hpp"
#include "protocol/auth/dkim2_fields.hpp"
#include "protocol/auth/lookups.hpp"

namespace spoold::auth {

enum class Dkim2Result : std::uint8_t { pass, fail, none, temperror, permerror };
const char* text(Dkim2Result);

struct Dkim2Verdict {
  Dkim2Result result = Dkim2Result::none;
  std::string reason;  // of everything but pass
  struct Signature {
    std::uint64_t number = 0, instance = 0;
    std::string domain, selector, algorithm;
    Dkim2Result result = Dkim2Result::pass;
    std::string reason;
  };
  std::vector<Signature> signatures;  // each value of s=, the highest i= first
};

/// A message in memory: fields with their line ends, and the body.
struct Instance {
  std::vector<std::string> fields;
  std::string body;
  std::string text() const;  // with the blank line
};

/// What was before these recipes. Failure: one sentence, for a field or a line that they name and that is not there.
tl::expected<Instance, std::string> undone(const Instance& instance, const Recipes& recipes);

/// Instance `number` of a message: later recipes undone, and the fields of later hops taken away. Failure: one sentence.
tl::expected<Instance, std::string> instance_of(const mail::Header& header, std::string_view body,
                                                std::uint64_t number);

/// What is hashed of the fields of a message (6.2).
std::string hashed_fields(const std::vector<mail::Field>& fields);
/// SHA over it. Of fields as Instance has them.
std::string header_hash(const std::vector<std::string>& fields, const NewDigest& digest);

/// The body that comes in, and with it those that were there before, made by recipes line by line. Nothing of them is kept.
class BodiesBefore {
 public:
  /// The hashes of one body by name, once.
  using Hashes = std::map<std::string, std::string>;

  /// A body before the last one, or the one that comes in. `recipe`: from the body behind; absent: it is the same. The recipe
  /// must live longer.
  void add(const Recipe* recipe, std::map<std::string, BodyHash> hashes);
  /// So many that differ.
  std::size_t size() const { return bodies_.size(); }
  void update(std::string_view octets) { put(0, octets); }
  /// Once. Of each body in the order of add().
  std::vector<Hashes> finish();
  /// Of a body of which a recipe names a line that is not there: the number of the line; else 0.
  std::uint64_t missing(std::size_t body) const { return bodies_[of_[body]].missing; }

 private:
  struct Body {
    const Recipe* recipe = nullptr;
    std::map<std::string, BodyHash> hashes;
    std::size_t step = 0;
    std::uint64_t line = 1, missing = 0;
    bool begins = true, copies = false, cr = false;  // of the line that comes in
  };
  void put(std::size_t body, std::string_view octets);
  void transform(std::size_t body, std::string_view octets);
  void begin_line(std::size_t body);

  std::vector<Body> bodies_;
  std::vector<std::size_t> of_;  // in the order of add(): those that are the same are here once
};

class Dkim2Check {
 public:
  static constexpr std::size_t most_hops = 50;
  static constexpr std::size_t most_bodies = 10;  // that differ: each is hashed
  struct Session {
    TimePoint now{};
    std::string mail_from;             // without angle brackets
    std::vector<std::string> rcpt_to;  // likewise; empty: not compared
  };

  /// All that is given may go when the constructor is done.
  Dkim2Check(const mail::Header& header, const Session& session, const NewDigest& sha256,
             const NewDigest& sha512);
  Dkim2Check(Dkim2Check&&) = delete;  // recipes are pointed to

  void body(std::string_view octets) { bodies_.update(octets); }
  /// All of the body has come. Once.
  void body_end();

  std::vector<dns::Question> ask() { return lookups_.ask(); }
  void answered(const dns::Question& question, dns::Answer answer);
  std::optional<Proof> next_proof();
  void proved(Proved proved);
  bool done() const;
  Dkim2Verdict verdict() const;

 private:
  struct Value {
    std::size_t of = 0;  // of signatures_
    Dkim2Signature::Value value;
    std::string key_name;
    std::optional<Proof> proof;
    std::optional<DkimFault> fault;  // its result as one of DKIM
    bool proved = false;
  };
  using Found = std::optional<std::pair<Dkim2Result, std::string>>;

  Found read(const mail::Header& header);
  Found custody(const Session& session) const;
  void check_headers(const mail::Header& header, const NewDigest& sha256, const NewDigest& sha512);
  void fault(std::size_t instance, Dkim2Result result, std::string why);
  Found requests() const;
  void take_key(Value& value, const dns::Answer& answer);

  std::vector<MessageInstance> instances_;                                         // m= 1, 2, ...
  std::vector<Dkim2Signature> signatures_;                                         // i= 1, 2, ...
  std::vector<std::string> instance_fields_, signature_fields_, unsigned_fields_;  // canonical
  std::vector<Found> instance_faults_;
  std::vector<bool> modifies_;  // instance m= changed a field or the body of the one before
  Found whole_;                 // a fault of the message as a whole
  BodiesBefore bodies_;         // of the highest instance first, as far as they can be had
  bool ended_ = false;
  std::deque<Value> values_;
  Lookups lookups_;
};

}  // namespace spoold::auth
