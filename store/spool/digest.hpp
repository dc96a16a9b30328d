// Posts that wait for the next digest of their list, and the numbers of digests. A waiting post refers to its content as a message
// does. The digest is a message of its own, with its own content: in the commit that accepts it (Acceptance::digest) the posts that are in it
// stop waiting and the issue is counted. So each post is in one digest, whenever the process dies.
//
//   digest     list id, post number -> the post. Number 0: volume, issue and month of the last digest
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "protocol/ids.hpp"
#include "protocol/mail/draft.hpp"
#include "store/error.hpp"
#include "store/id.hpp"
#include "store/txn.hpp"

namespace spoold::store {

struct DigestPost {
  list::ListId list = 0;
  std::uint32_t number = 0;  // of the post
  Id message = 0, content = 0;
  TimePoint at{};
  mail::Scanned scanned;     // of the content
  bool require_tls = false;  // it came with REQUIRETLS
};

struct DigestNumbers {
  std::uint32_t volume = 0, issue = 0, month = 0;  // of the last digest; 0: there was none
  bool operator==(const DigestNumbers&) const = default;
};

/// A digest goes out, or what waits is given up because its list is gone.
struct DigestRotation {
  list::ListId list = 0;
  DigestNumbers before, after;
  std::vector<std::uint32_t> posts;  // numbers of those that are in it
};

namespace spool {

/// Its content's row counts it already.
void put_digest_post(Write&, const DigestPost&);
/// conflict: another digest went out meanwhile.
Result<void> rotate_digest(Write&, const DigestRotation&);

DigestNumbers digest_numbers(const Read&, list::ListId);
/// The first `limit` that wait, in order of their numbers.
std::vector<DigestPost> digest_posts(const Read&, list::ListId, std::size_t limit);
/// The first list behind `after` with posts that wait; 0: none.
list::ListId next_digest_list(const Read&, list::ListId after);
void each_digest_content(const Read&, const std::function<void(Id message, Id content)>&);

}  // namespace spool
}  // namespace spoold::store
