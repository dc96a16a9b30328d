#include "store/spool/digest.hpp"

#include "store/key.hpp"
#include "store/record.hpp"
#include "store/spool/content.hpp"

namespace spoold::store::spool {
namespace {

Key digest_key(list::ListId list, std::uint32_t number) {
  return Key().u32(list).u32(number);
}

DigestPost unpack(std::string_view key, std::string_view record) {
  KeyReader place(key);
  DigestPost post;
  post.list = place.u32();
  post.number = place.u32();
  Unpacker in(record, "digest", key);
  post.message = in.num();
  post.content = in.num();
  post.at = in.time();
  post.scanned.size = in.num();
  post.scanned.header_size = in.num();
  for (mail::Octets* octets : {&post.scanned.header, &post.scanned.body}) {
    octets->eight_bit = in.flag();
    octets->leading_dots = in.flag();
  }
  post.require_tls = !in.at_end() && in.flag();  // a version before this wrote none
  return post;
}

}  // namespace

void put_digest_post(Write& write, const DigestPost& post) {
  Packer out;
  out.num(post.message).num(post.content).time(post.at);
  out.num(post.scanned.size).num(post.scanned.header_size);
  for (const mail::Octets& octets : {post.scanned.header, post.scanned.body})
    out.flag(octets.eight_bit).flag(octets.leading_dots);
  out.flag(post.require_tls);
  write.put(Table::digest, digest_key(post.list, post.number), out.bytes());
}

DigestNumbers digest_numbers(const Read& read, list::ListId list) {
  const Key key = digest_key(list, 0);
  const auto record = read.get(Table::digest, key);
  DigestNumbers numbers;
  if (!record) return numbers;
  Unpacker in(*record, "digest", key);
  numbers.volume = in.num32();
  numbers.issue = in.num32();
  numbers.month = in.num32();
  return numbers;
}

Result<void> rotate_digest(Write& write, const DigestRotation& rotation) {
  const auto conflict = [] {
    return fail(Error::Kind::conflict, "another digest of this list went out meanwhile");
  };
  if (digest_numbers(write, rotation.list) != rotation.before) return conflict();
  for (const std::uint32_t number : rotation.posts)
    if (number == 0 || !write.has(Table::digest, digest_key(rotation.list, number))) return conflict();
  for (const std::uint32_t number : rotation.posts) {
    const Key key = digest_key(rotation.list, number);
    const Id content = unpack(key, write.get(Table::digest, key).value()).content;
    write.del(Table::digest, key);
    release_content(write, content);
  }
  const DigestNumbers& after = rotation.after;
  if (after.issue != 0)
    write.put(Table::digest, digest_key(rotation.list, 0),
              Packer().num(after.volume).num(after.issue).num(after.month).bytes());
  else
    write.del(Table::digest, digest_key(rotation.list, 0));
  return {};
}

std::vector<DigestPost> digest_posts(const Read& read, list::ListId list, std::size_t limit) {
  std::vector<DigestPost> posts;
  Cursor c = read.cursor(Table::digest);
  const Key prefix = Key().u32(list);
  for (bool more = c.seek(digest_key(list, 1)); more && c.at(prefix) && posts.size() < limit; more = c.next())
    posts.push_back(unpack(c.key(), c.value()));
  return posts;
}

list::ListId next_digest_list(const Read& read, list::ListId after) {
  Cursor c = read.cursor(Table::digest);
  // A list's numbers alone are no post that waits.
  for (bool more = c.seek(digest_key(after, UINT32_MAX)); more;) {
    KeyReader key(c.key());
    const list::ListId list = key.u32();
    const std::uint32_t number = key.u32();
    if (list > after && number != 0) return list;
    more = c.next();
  }
  return 0;
}

void each_digest_content(const Read& read, const std::function<void(Id message, Id content)>& f) {
  read.each(Table::digest, {}, [&](std::string_view key, std::string_view value) {
    KeyReader place(key);
    place.u32();
    if (place.u32() != 0) {
      const DigestPost post = unpack(key, value);
      f(post.message, post.content);
    }
    return true;
  });
}

}  // namespace spoold::store::spool
