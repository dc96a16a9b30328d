// The named tables of the one LMDB environment: the spool's, the directory's, and meta.
// The name in the file is the enumerator's name (names[]), never its number: new tables are added at the end
// of their part and created at the next start; none is ever renamed or reused. Formats: store/README.md.
#pragma once
#include <array>
#include <cstddef>

namespace spoold::store {

enum class Table : unsigned {
  meta,
  // spool
  content,
  message,
  finished,
  head,
  recipients,
  done,
  recipient,
  due,
  claim,
  stage,
  suspect,
  history,
  host,
  request,
  report,
  post_blocks,
  outbox,
  held,
  held_id,
  told,
  archive,
  digest,
  // directory
  list,
  list_name,
  member,
  member_by_id,
  membership,
  import,
  change,
  applied,
  user,
  member_score,
  probe,
  list_rules,
  asked,
  asked_token,
  person,
  person_address,
  guard,
};

inline constexpr std::array table_names{
    "meta",      "content",     "message",     "finished",       "head",         "recipients",   "done",
    "recipient", "due",         "claim",       "stage",          "suspect",      "history",      "host",
    "request",   "report",      "post_blocks", "outbox",         "held",         "held_id",      "told",
    "archive",   "digest",      "list",        "list_name",      "member",       "member_by_id", "membership",
    "import",    "change",      "applied",     "user",           "member_score", "probe",        "list_rules",
    "asked",     "asked_token", "person",      "person_address", "guard",
};
inline constexpr std::size_t table_count = table_names.size();
static_assert(static_cast<std::size_t>(Table::guard) + 1 == table_count);

}  // namespace spoold::store
