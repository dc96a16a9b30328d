#include "protocol/list/cook.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "protocol/list/archive.hpp"
#include "protocol/list/decorate.hpp"
#include "protocol/list/personal.hpp"
#include "protocol/list/subject.hpp"
#include "protocol/list/verp.hpp"
#include "protocol/mail/address_list.hpp"
#include "protocol/mail/ascii.hpp"
#include "protocol/mail/mailto.hpp"
#include "protocol/mail/phrase.hpp"

namespace spoold::list {

namespace {

using mail::same;

/// Ours, or meaningless beside ours.
constexpr std::array<std::string_view, 9> replaced = {
    "List-Id",    "List-Post",    "List-Help",  "List-Subscribe", "List-Unsubscribe", "List-Unsubscribe-Post",
    "List-Owner", "List-Archive", "Precedence",
};

/// Receipts (thousands of answers to one post), moderators' passwords, what belongs to one delivery only, and a poster's word
/// about the TLS of copies that are the list's mail (RFC 8689 6).
constexpr std::array<std::string_view, 13> removed = {
    "Disposition-Notification-To",
    "Return-Receipt-To",
    "X-Confirm-Reading-To",
    "X-PMRQC",
    "Approved",
    "Approve",
    "X-Approved",
    "X-Approve",
    "Urgent",
    "Return-Path",
    "Bcc",
    "Resent-Bcc",
    "TLS-Required",
};

template <std::size_t N>
bool among(const std::array<std::string_view, N>& names, std::string_view name) {
  return std::any_of(names.begin(), names.end(), [&](std::string_view other) { return same(other, name); });
}

}  // namespace

std::string list_id_text(const List& list) {
  return list.local + "." + list.domain;
}

std::string been_there(const List& list) {
  return "X-BeenThere: " + list.address() + "\r\n";
}

std::vector<mail::Own> list_fields(const List& list) {
  const auto url = [&](std::string_view suffix) {
    return mail::mailto(list.local + std::string(suffix) + "@" + list.domain);
  };
  std::string out = "List-Id: ";
  std::string phrase = mail::phrase(list.settings.description);
  if (!phrase.empty()) {
    out += phrase;
    out += "\r\n ";
  }
  out += "<" + list_id_text(list) + ">\r\n";
  out += "List-Post: <" + url("") + ">\r\n";
  out += "List-Help: <" + url("-request") + "?subject=help>\r\n";
  out += "List-Subscribe: <" + url("-join") + ">\r\n";
  out += "List-Unsubscribe: <";
  std::vector<mail::Own> fields(1);
  if (list.settings.one_click) {
    fields.front() = {std::exchange(out, std::string()), blank(Value::leave_url)};
    fields.emplace_back();
  } else {
    out += url("-leave");
  }
  out += ">\r\n";
  out += "List-Owner: <" + url("-owner") + ">\r\n";
  if (const std::string archive = list_archive(list); !archive.empty())
    out += "List-Archive: <" + archive + ">\r\n";
  out += "Precedence: list\r\n";
  fields.back().text = std::move(out);
  return fields;
}

namespace {

constexpr std::array<std::string_view, 16> names_the_author = {"Reply-To",
                                                               "Sender",
                                                               "Received",
                                                               "Message-ID",
                                                               "Resent-Message-ID",
                                                               "DKIM-Signature",
                                                               "DomainKey-Signature",
                                                               "DKIM2-Signature",
                                                               "Message-Instance",
                                                               "Organization",
                                                               "User-Agent",
                                                               "Return-Path",
                                                               "Errors-To",
                                                               "Received-SPF",
                                                               "Authentication-Results",
                                                               "Disposition-Notification-Options"};

class Cook {
 public:
  Cook(mail::Draft& draft, const List& list, const Cooking& with)
      : draft_(draft), list_(list), settings_(list.settings), with_(with) {}

  Cooked run() {
    if (settings_.align.transparent) {
      transparent();
      if (settings_.align.dmarc == Dmarc::reject) align();
      return std::move(made_);
    }
    filter();
    if (settings_.align.dmarc == Dmarc::wrap && asks_for_alignment() && is_unaligned_when_cooked())
      wrapped_ = as_message();
    prefix();
    if (settings_.anonymous)
      anonymous();
    else
      reply_to();
    remove();
    if (!with_.message_id.empty() && draft_.find("Message-ID") == nullptr)
      draft_.append("Message-ID: " + std::string(with_.message_id) + "\r\n");
    if (!with_.date.empty() && draft_.find("Date") == nullptr)
      draft_.append("Date: " + std::string(with_.date) + "\r\n");
    if (settings_.sender_header && !settings_.anonymous) {
      draft_.replace("Sender", "Sender: <" + list_.local + "-bounces@" + list_.domain + ">\r\n");
      did("sender_header", "Sender is the list's address for bounces");
    }
    draft_.append(list_fields(list_));
    if (settings_.one_click)
      did("one_click", "List-Unsubscribe is an address that ends this membership at once");
    draft_.append(been_there(list_));
    archived();
    decorated();
    align();
    return std::move(made_);
  }

 private:
  void did(std::string setting, std::string what) {
    made_.steps.push_back({std::move(setting), std::move(what)});
  }

  void filter() {
    if (with_.filtered == nullptr || with_.filtered->idle()) return;
    apply(*with_.filtered, draft_);
    made_.steps = with_.filtered->steps;
  }

  void prefix() {
    if (settings_.subject_prefix.empty()) return;
    const mail::Field* subject = draft_.find("Subject");
    auto value = with_prefix(subject == nullptr ? std::string_view() : subject->value,
                             settings_.subject_prefix, with_.post);
    if (!value) return;
    draft_.replace("Subject", "Subject:" + *value + "\r\n");
    did("subject_prefix", "Subject:" + *value);
  }

  std::string list_mailbox() const {
    const std::string phrase = mail::phrase(settings_.description);
    return (phrase.empty() ? "" : phrase + "\r\n ") + "<" + list_.address() + ">";
  }

  void reply_to() {
    if (settings_.reply_to == ReplyTo::poster) return;
    const std::string first =
        settings_.reply_to == ReplyTo::list ? list_.address() : settings_.reply_to_address;
    // Whom the poster names there stays; the address in front is not named twice. He himself is in From.
    const mail::Field* named = draft_.find("Reply-To");
    std::string value = " " + first;
    if (named != nullptr) {
      const mail::AddressList list = mail::address_list(named->value);
      const auto is_first = [&](const mail::NameAddr& one) { return mail::same(one.mailbox.text(), first); };
      if (list.faults.empty() && std::ranges::none_of(list.addresses, is_first)) {
        value.append(",\r\n ").append(mail::trim(named->value));
      } else {
        for (const mail::NameAddr& one : list.addresses)
          if (!is_first(one)) value += ",\r\n " + written(one);
      }
    }
    const char* others = named == nullptr ? "" : ", and to whom the poster names";
    draft_.replace("Reply-To", "Reply-To:" + value + "\r\n");
    did("reply_to", "answers go to " + first + others);
  }

  void anonymous() {
    draft_.remove([&](const mail::Field& field) {
      return among(names_the_author, field.name) || mail::starts_with(field.name, "X-") ||
             mail::starts_with(field.name, "ARC-");
    });
    draft_.replace("From", "From: " + list_mailbox() + "\r\n");
    draft_.append("Reply-To: " + list_.address() + "\r\n");
    did("anonymous", "From and Reply-To are the list; fields that name the author are removed");
  }

  void remove() {
    std::string gone;
    draft_.remove([&](const mail::Field& field) {
      const bool wished = is_unwanted(field.name);
      if (wished) gone.append(gone.empty() ? "" : ", ").append(field.name);
      return wished || among(replaced, field.name) || among(removed, field.name);
    });
    if (!gone.empty()) did("remove_headers", gone + " removed");
  }

  bool is_unwanted(std::string_view field) const {
    return std::ranges::any_of(settings_.remove_headers, [&](std::string_view name) {
      return name.ends_with('*') ? mail::starts_with(field, name.substr(0, name.size() - 1))
                                 : same(name, field);
    });
  }

  /// The Message-ID of what members get; of a post without one that the list gives it.
  std::string_view message_id() const {
    const mail::Field* field = draft_.find("Message-ID");
    return field != nullptr ? field->value : with_.message_id;
  }

  void archived() {
    const std::string url = archived_at(list_, message_id());
    if (url.empty()) return;
    draft_.replace("Message-ID-Hash", "Message-ID-Hash: " + message_id_hash(message_id()) + "\r\n");
    draft_.append("Archived-At: <" + url + ">\r\n");
    did("archived_at", "Archived-At is " + url);
  }

  void decorated() {
    const Decorated how = decorate(draft_, list_, with_.tail, with_.unique, wrapped_);
    if (how == Decorated::none) return;
    const char* what = how == Decorated::in_the_text ? "in the text, in its own charset and encoding"
                                                     : "in parts around the post";
    if (!settings_.header.empty()) did("header", what);
    if (!settings_.footer.empty()) did("footer", what);
  }

  // ---- From and signatures (align.hpp)

  bool asks_for_alignment() const { return with_.authenticity != nullptr && !settings_.anonymous; }

  /// Of the copy that members would get without wrapping.
  bool is_unaligned_when_cooked() const {
    mail::Draft trial = draft_.as_received();
    Cooking without = with_;
    without.authenticity = nullptr;
    Cook(trial, list_, without).run();
    return is_unaligned(settings_, *with_.authenticity, trial);
  }

  /// The header of the post as a message within a message: as it came, but for what members must not get.
  std::string as_message() const {
    std::string fields;
    for (const mail::Field& field : draft_.fields())
      if (!among(removed, field.name) && !is_unwanted(field.name)) fields += field.raw;
    if (!fields.empty() && !fields.ends_with('\n')) fields += "\r\n";
    return fields.empty() ? "X-Empty: \r\n" : fields;
  }

  void align() {
    if (!asks_for_alignment()) return;
    if (!wrapped_.empty()) {
      // The signatures are those of the message within.
      draft_.remove([](const mail::Field& field) {
        return same(field.name, "DKIM-Signature") || same(field.name, "DomainKey-Signature") ||
               mail::starts_with(field.name, "ARC-");
      });
      munge(draft_, list_, with_.poster_name);
      did("dmarc", "the post is a part of a message of the list: " + why());
      return;
    }
    if (settings_.align.dmarc != Dmarc::wrap && is_unaligned(settings_, *with_.authenticity, draft_)) {
      if (settings_.align.dmarc == Dmarc::reject) {
        refuse();
        return;
      }
      munge(draft_, list_, with_.poster_name);
      did("dmarc", "From is the list, and the author is in Reply-To: " + why());
    }
    if (settings_.align.signatures != AuthorSignatures::keep) signatures();
  }

  std::string why() const {
    const std::string& domain = with_.authenticity->author_domain();
    return (domain.empty() ? std::string("the author's domain") : domain) + " vouches for no copy";
  }

  void refuse() {
    const std::string& domain = with_.authenticity->author_domain();
    made_.refusal =
        smtp::Reply{550,
                    {5, 7, 1},
                    list_.address() + " cannot send on mail of " + (domain.empty() ? "its author" : domain) +
                        ": receivers would refuse it, because no DKIM signature of that domain holds in what "
                        "members get (DMARC); post "
                        "from another address. Help: " +
                        owner_address(list_)};
    did("dmarc", "refused: " + why());
  }

  void signatures() {
    const std::vector<mail::Field> broken = with_.authenticity->broken(draft_);
    if (broken.empty()) return;
    const bool rename = settings_.align.signatures == AuthorSignatures::rename;
    for (const mail::Field& one : broken) {
      draft_.remove([&](const mail::Field& field) { return field.raw == one.raw; });
      if (rename) draft_.append("X-Original-DKIM-Signature:" + std::string(one.value) + "\r\n");
    }
    did("author_signatures", std::to_string(broken.size()) + (rename ? " renamed" : " removed"));
  }

  void transparent() {
    const Authenticity* signatures = with_.authenticity;
    draft_.remove([&](const mail::Field& field) {
      const bool private_one =
          same(field.name, "Return-Path") || same(field.name, "Bcc") || same(field.name, "TLS-Required");
      return private_one && (signatures == nullptr || !signatures->is_signed(field.name));
    });
    List same_for_all = list_;  // what stands at the top cannot differ between copies
    same_for_all.settings.one_click = false;
    std::string fields;
    for (const mail::Own& own : list_fields(same_for_all)) fields += own.text;
    fields += been_there(list_);
    if (!with_.message_id.empty() && draft_.find("Message-ID") == nullptr)
      fields += "Message-ID: " + std::string(with_.message_id) + "\r\n";
    if (const std::string url = archived_at(list_, message_id()); !url.empty())
      fields += "Archived-At: <" + url + ">\r\n";
    if (!with_.date.empty() && draft_.find("Date") == nullptr)
      fields += "Date: " + std::string(with_.date) + "\r\n";
    const auto made = mail::Header::scan(fields);
    std::string added, left_out;
    for (const mail::Field& field : made->fields()) {
      if (signatures != nullptr && signatures->over_signed(field.name))
        left_out.append(left_out.empty() ? "" : ", ").append(field.name);
      else
        added += field.raw;
    }
    draft_.prepend(added);
    did("transparent", left_out.empty() ? "fields of the list are added at the top"
                                        : "not added, because a signature forbids it: " + left_out);
  }

  mail::Draft& draft_;
  const List& list_;
  const Settings& settings_;
  const Cooking& with_;
  std::string wrapped_;  // the post's header, where the post is wrapped
  Cooked made_;
};

}  // namespace

Cooked cook(mail::Draft& draft, const List& list, const Cooking& cooking) {
  return Cook(draft, list, cooking).run();
}

}  // namespace spoold::list
