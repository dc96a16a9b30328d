// The archive of a list, first form: each accepted post as a file of a maildir, or as an entry of an mbox. Here is what does not
// need a disk: the setting, names, the octets of a post in either form, and the fields that say where it will be found. The files:
// store/archive.hpp.
//
// What is archived is what members without values of their own get: the cooked post, its line ends LF as in local mail. An mbox entry
// is of the form "mboxrd": lines that begin with ">"s and "From " get one ">" more, so the post can be restored exactly.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <tl/expected.hpp>

#include "protocol/list/settings.hpp"
#include "protocol/time.hpp"

namespace spoold::list {

struct ArchivePlace {
  bool mbox = false;
  std::string path;  // absolute: the folder of the maildir, or the mbox file
};
/// "maildir:DIR", "mbox:FILE". The error is one sentence.
tl::expected<ArchivePlace, std::string> archive_place(std::string_view text);

/// base32 of the SHA-1 of the Message-ID without its angle brackets: Message-ID-Hash of HyperKitty and The Mail Archive.
std::string message_id_hash(std::string_view message_id);

/// The values of List-Archive and Archived-At (RFC 2369 3.6, RFC 5064); empty: the list has no such setting, or the post no
/// Message-ID.
std::string list_archive(const List&);
std::string archived_at(const List&, std::string_view message_id);
/// Why this cannot be such a URL; nothing: it can. `hash`: it must have $hash in it.
std::optional<std::string> archive_url_fault(std::string_view text, bool hash);

/// The octets of a post on their way to its file.
class ArchiveForm {
 public:
  explicit ArchiveForm(bool mbox) : mbox_(mbox) {}
  /// Before all: the line that begins an mbox entry; nothing for a maildir. `sender`: a Mailbox text, or empty.
  static std::string from_line(std::string_view sender, TimePoint at);
  void add(std::string_view octets, std::string& out);
  /// The last line's end, and the blank line that ends an mbox entry.
  void finish(std::string& out);

 private:
  void put(char c, std::string& out);
  const bool mbox_;
  bool cr_ = false;          // the last octet was one: a LF may follow
  bool line_begins_ = true;  // nothing of the line was put out yet
  std::string begin_;        // of the line, while it may become "From "
};

}  // namespace spoold::list
