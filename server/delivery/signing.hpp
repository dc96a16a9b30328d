// DKIM signatures of our own (protocol/auth/dkim_sign.hpp), made when a message goes out; shared by all lanes.
//
// A message that is to be signed was accepted with a place for its signatures in front (office/signing.hpp): a blank, like those of a
// personalised post. Where no other blank is there, all copies have the same signatures: they are made once and kept. Where copies
// differ, each has its own, made when that copy is built; the hash of the body is computed once, unless a blank is in the body.
// All of it is done on threads of their own; a transaction waits for its signature, and the loop of its lane does not.
//
// DKIM2 (office/dkim2.hpp) names the envelope, so that each copy has its own. What of it is the same in all copies is computed once: the
// hash of the body; where copies differ in nothing else, the hash of the header and the signatures of DKIM too.
//
// Guarantees: t= is the time at which the message arrived, so that the same keys give the same octets whenever a copy is made: also
// after a restart. The stated size is exact. No read transaction outlives a slice. The domain is that of the list, and of its author where
// the place says so; of other mail that of its author. Keys are read at the start and at SIGHUP, never while mail goes out: a file that is gone changes nothing until
// then. A domain that has lost its tables in the configuration since the message was accepted: it goes out without a signature, and
// the log says so once (event=unsigned). Failures: as of any content, an exception in the form.
#pragma once
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/auth/canonical.hpp"
#include "server/asio.hpp"
#include "server/auth/signing_keys.hpp"
#include "server/current.hpp"
#include "server/delivery/form.hpp"
#include "store/spool/types.hpp"

namespace spoold::store {
class Store;
}

namespace spoold::server {

/// There is a place for signatures, which is the first blank.
bool is_signed(const std::vector<store::BlankAt>& blanks);
/// There are other blanks: each copy is another one.
bool is_individual(const std::vector<store::BlankAt>& blanks);
/// The copies have signatures of DKIM2 too.
bool has_dkim2(const std::vector<store::BlankAt>& blanks);

/// Of the transaction of one copy, as MAIL and RCPT say it, without angle brackets.
struct Envelope {
  std::string mail_from, rcpt_to;
};

class Signing {
 public:
  /// `threads`: how many signatures are made at a time.
  Signing(store::Store& store, int threads);
  /// Waits for the signatures that are being made; those that have not begun are not made, and nobody is called.
  ~Signing();

  /// Any thread. Of what is signed from now on.
  void use(std::shared_ptr<const SigningKeys> keys);

  /// Any thread. `copy`: with the values of all other blanks. Where the form is not ready() yet, `on_ready` is called when it is:
  /// it must only hand on. `envelope`: of a copy with a signature of DKIM2.
  std::shared_ptr<Form> of(const store::Message& message, const std::vector<store::BlankAt>& blanks,
                           std::shared_ptr<const Copy> copy, std::function<void()> on_ready,
                           Envelope envelope = {});
  /// A form of the message that was converted and is in memory, with its signatures. What it was before the conversion no recipe
  /// says: its DKIM2 fields are the first ones.
  std::string converted(const store::Message& message, const std::vector<store::BlankAt>& blanks,
                        const Envelope& envelope, std::string mail);

 private:
  /// What is signed of a copy: the header block, and the hash of what is behind it.
  struct Hashed {
    std::string header;
    std::string body_hash;
    std::string simple_hash = {};  // of DKIM2
  };
  /// What copies that differ have in common: all of it without the values.
  struct Shared {
    std::string header;
    std::string body_hash;
    // Where a value stands in the body: the hash of what is before the first one, and what is behind it. A copy then costs what
    // is behind it. Nothing: there is none, or too much is behind it.
    std::string simple_hash = {};
    std::optional<auth::BodyHash> before = {}, simple_before = {};
    std::uint64_t from = 0;
    std::string behind = {};
    // Of DKIM2, where copies differ in nothing else.
    std::string domain = {}, instance_value = {}, signatures = {};
    auth::Dkim2Chain chain = {};
    std::size_t size() const {
      return header.size() + behind.size() + signatures.size() + chain.before.size() + chain.after.size();
    }
  };
  struct Known {
    store::Id message = 0;
    std::shared_ptr<Form> form;  // of a message whose copies are all the same
    std::shared_ptr<const Shared> shared;
  };

  Known& known(store::Id message);
  void make(Form& form, const store::Message& message, const std::vector<store::BlankAt>& blanks,
            const Copy& copy, const Envelope& envelope);
  void sign_dkim2(Copy& copy, const store::Message& message, const std::vector<store::BlankAt>& blanks,
                  const Envelope& envelope);
  Hashed hashed_of(const store::Message& message, const std::vector<store::BlankAt>& blanks,
                   const Copy& copy);
  std::shared_ptr<const Shared> shared(const store::Message& message,
                                       const std::vector<store::BlankAt>& blanks);
  Shared read(const store::Message& message, std::shared_ptr<const Copy> copy,
              const std::vector<store::BlankAt>& blanks, bool dkim2) const;
  void describe(Shared& out, const store::Message& message, const std::vector<store::BlankAt>& blanks,
                const Hashed& hashed);
  void note_unsigned(store::Id message, const std::string& domain);
  std::string fields_for(const store::Message& message, const std::vector<store::BlankAt>& blanks,
                         const Hashed& hashed);

  store::Store& store_;
  Current<SigningKeys> keys_;
  std::mutex mutex_;
  std::list<Known> order_;  // most recently used first
  std::map<store::Id, std::list<Known>::iterator> known_;
  std::size_t size_ = 0;            // octets of what is shared
  std::set<std::string> unsigned_;  // domains that the log has named
  asio::thread_pool pool_;          // the last: what waits in it uses the rest
};

}  // namespace spoold::server
