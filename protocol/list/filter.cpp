#include "protocol/list/filter.hpp"

#include <algorithm>
#include <utility>

#include "protocol/list/verp.hpp"
#include "protocol/mail/ascii.hpp"
#include "protocol/mime/file_name.hpp"

namespace spoold::list {
namespace {

using mime::Part;

bool is_named(const std::vector<std::string>& patterns, std::string_view type) {
  return std::ranges::any_of(patterns, [&](std::string_view pattern) {
    return pattern.ends_with("/*") ? type.starts_with(pattern.substr(0, pattern.size() - 1))
                                   : type == pattern;
  });
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

bool is_content_field(const mail::Field& field) {
  return mail::starts_with(field.name, "Content-");
}

/// All that it says: a reader's program may believe the last of several fields.
std::vector<std::string> types_of(const Part& part) {
  std::vector<std::string> types;
  for (const mail::Field& field : part.header.fields())
    if (mail::same(field.name, "Content-Type"))
      types.push_back(mail::lower(mail::trim(field.value.substr(0, field.value.find_first_of(";(")))));
  if (types.empty()) types.push_back(part.type);
  for (std::string& type : types)
    if (std::ranges::count(type, '/') != 1) type = "text/plain";  // RFC 2045 5.2
  return types;
}

class Filter {
 public:
  Filter(const List& list, std::string_view content, const std::vector<Part>& parts)
      : rules_(list.settings.filter),
        transparent_(list.settings.align.transparent),
        content_(content),
        parts_(parts),
        found_(parts.size()) {
    made_.end = content.size();
  }

  Filtered run() {
    for (std::size_t i = 1; i < parts_.size(); ++i) found_[parts_[i].parent].children.push_back(i);
    // A part stands before those inside it.
    for (std::size_t i = parts_.size(); i-- > 0;) decide(i);
    if (found_[0].gone || (transparent_ && found_[0].changed)) {
      made_.nothing = {found_[0].setting, found_[0].why};
      return std::move(made_);
    }
    explain();
    const std::size_t left = found_[0].shown;
    made_.begin = parts_[left].body;
    if (left != 0) {
      made_.end = behind(left);
      made_.fields = fields_of(left);
    }
    inside(left);
    return std::move(made_);
  }

 private:
  struct Found {
    std::vector<std::size_t> children;
    bool gone = false;
    bool own = false;          // gone for what it is itself, not because nothing is left in it
    bool changed = false;      // something in it is gone
    std::size_t shown = 0;     // what it becomes: itself, or a part within
    const char* setting = "";  // gone, changed: the first reason
    std::string why;           // in words
  };

  static void remove(Found& one, const char* setting, std::string why, bool own) {
    one.gone = true;
    one.own = own;
    one.setting = setting;
    one.why = std::move(why);
  }

  // ---- what goes

  bool is_forbidden(std::size_t i) {
    const Part& part = parts_[i];
    Found& one = found_[i];
    const bool holds_parts = part.multipart() && !one.children.empty();
    for (const std::string& type : types_of(part)) {
      if (is_named(rules_.types, type)) {
        remove(one, "filter_types", type + " is not accepted", true);
        return true;
      }
      if (!rules_.pass.empty() && !holds_parts && !is_named(rules_.pass, type)) {
        remove(one, "pass_types", type + " is not accepted, only " + joined(rules_.pass), true);
        return true;
      }
    }
    if (rules_.extensions.empty()) return false;
    for (const std::string& name : mime::file_names(part)) {
      const std::string extension = mime::extension_of(name);
      if (std::ranges::find(rules_.extensions, extension) == rules_.extensions.end()) continue;
      remove(one, "filter_extensions", "files whose name ends in ." + extension + " are not accepted", true);
      return true;
    }
    return false;
  }

  void decide(std::size_t i) {
    Found& one = found_[i];
    one.shown = i;
    if (is_forbidden(i) || one.children.empty()) return;
    std::vector<std::size_t> left;
    for (const std::size_t child : one.children) {
      const Found& inner = found_[child];
      if (!inner.gone) left.push_back(child);
      if ((inner.gone || inner.changed) && !std::exchange(one.changed, true)) {
        one.setting = inner.setting;
        one.why = inner.why;
      }
    }
    const std::string& type = parts_[i].type;
    const bool without_signed = type == "multipart/signed" && found_[one.children.front()].gone;
    if (left.empty() || without_signed) return remove(one, one.setting, one.why, false);
    if (!parts_[i].multipart()) return;
    if (type == "multipart/encrypted" && one.changed) return remove(one, one.setting, one.why, true);
    if (type == "multipart/signed" && one.changed) {
      for (std::size_t n = 1; n < left.size(); ++n)
        remove(found_[left[n]], one.setting, "the signature would not hold any more", true);
      left.erase(left.begin() + 1, left.end());
    } else if (type == "multipart/alternative" && rules_.collapse_alternatives && !transparent_) {
      collapse(one, left);
    }
    if (left.size() == 1 && one.changed && (one.children.size() > 1 || type == "multipart/signed"))
      one.shown = found_[left.front()].shown;
  }

  void collapse(Found& one, std::vector<std::size_t>& left) {
    const auto first = std::ranges::find_if(left, [&](std::size_t i) { return !is_blank(parts_[i]); });
    const std::size_t chosen = first == left.end() ? left.front() : *first;
    for (const std::size_t other : left) {
      if (other == chosen) continue;
      remove(found_[other], "collapse_alternatives", "one alternative is enough", true);
      if (!std::exchange(one.changed, true)) one.setting = "collapse_alternatives";
    }
    left = {chosen};
  }

  bool is_blank(const Part& part) const {
    return content_.substr(part.body, part.end - part.body).find_first_not_of(" \t\r\n") ==
           std::string_view::npos;
  }

  // ---- what is left, as octets

  /// Where the line behind a part begins: the delimiter, whose line end in front of it is the delimiter's.
  std::size_t behind(std::size_t i) const {
    std::size_t at = parts_[i].end;
    if (at < content_.size() && content_[at] == '\r') ++at;
    if (at < content_.size() && content_[at] == '\n') ++at;
    return at;
  }
  /// Where the delimiter in front of it begins.
  std::size_t delimiter_of(std::size_t i) const {
    std::size_t at = parts_[i].begin;
    if (at > 0 && content_[at - 1] == '\n') --at;
    while (at > 0 && content_[at - 1] != '\n') --at;
    return at;
  }

  void cut(std::size_t from, std::size_t to, std::string own = {}) {
    if (from == to && own.empty()) return;
    made_.edits.push_back({from, to, std::move(own)});
  }

  /// Recursive, as deep as the parts are nested: mime::Limits.
  void inside(std::size_t i) {
    for (const std::size_t child : found_[i].children) {
      if (found_[child].gone)
        cut(delimiter_of(child), behind(child));
      else
        part(child);
    }
  }

  void part(std::size_t i) {
    const std::size_t left = found_[i].shown;
    if (left == i) return inside(i);
    if (parts_[i].message)
      header_becomes(i, left);
    else
      cut(parts_[i].begin, parts_[left].begin);
    inside(left);
    cut(behind(left), behind(i));
  }

  /// An enclosed message becomes one of its parts, and keeps its other fields.
  void header_becomes(std::size_t i, std::size_t left) {
    std::string own = fields_of(left);
    for (const mail::Field& field : parts_[i].header.fields()) {
      if (!is_content_field(field)) continue;
      const auto at = static_cast<std::size_t>(field.raw.data() - content_.data());
      cut(at, at + field.raw.size(), std::exchange(own, std::string()));
    }
    const std::size_t body = parts_[i].body;
    const std::string_view header = content_.substr(parts_[i].begin, body - parts_[i].begin);
    cut(body, parts_[left].body, header.ends_with("\r\n\r\n") || header == "\r\n" ? "" : "\r\n");
  }

  std::string fields_of(std::size_t i) const {
    std::string fields;
    bool typed = false;
    for (const mail::Field& field : parts_[i].header.fields()) {
      if (!is_content_field(field)) continue;
      fields += field.raw;
      if (!fields.ends_with('\n')) fields += "\r\n";
      typed = typed || mail::same(field.name, "Content-Type");
    }
    // In a digest (RFC 2046 5.1.5), which it leaves.
    if (!typed && parts_[i].type != "text/plain") fields += "Content-Type: " + parts_[i].type + "\r\n";
    return fields;
  }

  // ---- for people

  void explain() {
    std::vector<std::string> names(parts_.size());
    std::vector<bool> hidden(parts_.size(), false);
    for (std::size_t i = 0; i < parts_.size(); ++i) {
      const auto& children = found_[i].children;
      for (std::size_t n = 0; n < children.size(); ++n) {
        names[children[n]] = (names[i].empty() ? "" : names[i] + ".") + std::to_string(n + 1);
        hidden[children[n]] = hidden[i] || found_[i].own;
      }
      if (found_[i].own && !hidden[i])
        made_.steps.push_back(
            {found_[i].setting, "part " + names[i] + " (" + parts_[i].type + ") removed: " + found_[i].why});
    }
  }

  const FilterRules& rules_;
  const bool transparent_;
  const std::string_view content_;
  const std::vector<Part>& parts_;
  std::vector<Found> found_;
  Filtered made_;
};

}  // namespace

Filtered filtered(const List& list, std::string_view content, const Parts& parts) {
  const FilterRules& rules = list.settings.filter;
  const bool forbids = !rules.types.empty() || !rules.pass.empty() || !rules.extensions.empty();
  if (parts) return Filter(list, content, *parts).run();
  Filtered made;
  made.end = content.size();
  // Whoever only wants fewer alternatives forbids nothing.
  if (forbids)
    made.nothing = {!rules.types.empty()  ? "filter_types"
                    : !rules.pass.empty() ? "pass_types"
                                          : "filter_extensions",
                    mime::text(parts.error())};
  return made;
}

void apply(const Filtered& filtered, mail::Draft& draft) {
  for (const Filtered::Edit& edit : filtered.edits) {
    std::vector<mail::Own> own;
    if (!edit.own.empty()) own.push_back({edit.own});
    draft.cut(edit.from, edit.to, std::move(own));
  }
  if (!filtered.fields) return;
  draft.narrow(filtered.begin, filtered.end);
  const auto is_other = [](const mail::Field& field) {
    return is_content_field(field) && !mail::same(field.name, "Content-Type");
  };
  draft.remove(is_other);
  draft.replace("Content-Type", *filtered.fields);
}

void judge(Judgement& judgement, const List& list, const Filtered& filtered) {
  if (!filtered.nothing || judgement.outcome != Outcome::accept) return;
  const FilterRules& rules = list.settings.filter;
  judgement.rule = filtered.nothing->rule;
  judgement.reason = list.address() + " can send on nothing of the message: " + filtered.nothing->reason;
  judgement.outcome = rules.action == Action::hold      ? Outcome::hold
                      : rules.action == Action::discard ? Outcome::discard
                                                        : Outcome::reject;
  // RFC 3463 3.7: the media of the message is not supported.
  if (judgement.outcome == Outcome::reject)
    judgement.refusal = smtp::Reply{550, {5, 6, 1}, judgement.reason + ". Help: " + owner_address(list)};
}

}  // namespace spoold::list
