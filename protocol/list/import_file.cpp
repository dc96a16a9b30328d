#include "protocol/list/import_file.hpp"

#include <array>
#include <optional>
#include <unordered_set>

#include "protocol/mail/address_list.hpp"
#include "protocol/mail/ascii.hpp"

namespace spoold::list {

namespace {

using mail::trim;

constexpr std::array<const char*, 7> delivery_texts = {
    "regular",          "digest",      "nomail_by_user", "nomail_by_admin",
    "nomail_by_bounce", "digest_mime", "digest_plain"};

/// Takes the file apart into lines (or CSV records) and keeps what became of each.
class Reader {
 public:
  explicit Reader(std::string_view text) : rest_(text) {
    if (rest_.starts_with("\xef\xbb\xbf")) rest_.remove_prefix(3);
  }

  tl::expected<ImportFile, std::vector<BadLine>> read() {
    skip_blank();
    if (rest_.empty()) return file_;
    if (!header()) plain();
    if (!bad_.empty()) return tl::unexpected(std::move(bad_));
    return std::move(file_);
  }

 private:
  struct Columns {
    std::size_t address = npos, name = npos, delivery = npos, count = 0;
  };
  static constexpr std::size_t npos = std::string_view::npos;

  std::string_view line() {
    const std::size_t feed = rest_.find('\n');
    std::string_view taken = rest_.substr(0, feed);
    rest_.remove_prefix(feed == npos ? rest_.size() : feed + 1);
    ++number_;
    if (taken.ends_with('\r')) taken.remove_suffix(1);
    return taken;
  }

  static bool ignored(std::string_view text) {
    text = trim(text);
    return text.empty() || text.front() == '#';
  }

  void skip_blank() {
    for (Reader ahead = *this; !ahead.rest_.empty() && ignored(ahead.line());) *this = ahead;
  }

  void bad(std::size_t number, std::string_view text, std::string reason) {
    bad_.push_back({number, std::string(text.substr(0, 80)), std::move(reason)});
  }

  void add(std::size_t number, std::string_view text, const Mailbox& mailbox, std::string_view name,
           Delivery delivery) {
    if (auto fault = member_name_fault(name)) return bad(number, text, *fault);
    if (!seen_.insert(mailbox.key()).second) {
      ++file_.repeated;
      return;
    }
    file_.members.push_back({0, mailbox.text(), std::string(name), delivery, {}});
  }

  void plain() {
    while (!rest_.empty()) {
      const std::string_view raw = line();
      const std::string_view text = trim(raw);
      if (ignored(text)) continue;
      // The usual case first: a bare address needs no tokens.
      if (text.find_first_of(" \t<(\"") == npos) {
        auto mailbox = Mailbox::parse(text, Mailbox::Allow::utf8);
        if (mailbox)
          add(number_, text, *mailbox, {}, Delivery::regular);
        else
          bad(number_, text, mailbox.error());
        continue;
      }
      auto list = mail::address_list(text);
      if (!list.faults.empty())
        bad(number_, text, list.faults.front());
      else if (list.addresses.size() != 1)
        bad(number_, text, list.addresses.empty() ? "no address" : "more than one address");
      else
        add(number_, text, list.addresses[0].mailbox, list.addresses[0].name, Delivery::regular);
    }
  }

  /// One CSV record (RFC 4180). False: a quote is not closed.
  bool record(std::vector<std::string>& fields, char separator) {
    fields.assign(1, {});
    bool quoted = false;
    while (!rest_.empty()) {
      const char c = rest_.front();
      rest_.remove_prefix(1);
      if (quoted) {
        if (c == '\n') ++number_;
        if (c != '"')
          fields.back() += c;
        else if (rest_.starts_with('"'))
          fields.back() += c, rest_.remove_prefix(1);
        else
          quoted = false;
      } else if (c == '"' && trim(fields.back()).empty()) {
        fields.back().clear();
        quoted = true;
      } else if (c == separator) {
        fields.emplace_back();
      } else if (c == '\n') {
        break;
      } else if (c != '\r') {
        fields.back() += c;
      }
    }
    ++number_;
    return !quoted;
  }

  static std::optional<Columns> columns_of(const std::vector<std::string>& names) {
    Columns columns;
    columns.count = names.size();
    for (std::size_t i = 0; i < names.size(); ++i) {
      const std::string name = mail::lower(trim(names[i]));
      if (columns.address == npos &&
          (name == "email" || name == "address" || name == "e-mail" || name == "email address" ||
           name == "e-mail address" || name == "mail" || name == "member"))
        columns.address = i;
      else if (columns.name == npos &&
               (name == "name" || name == "full name" || name == "display name" || name == "nickname"))
        columns.name = i;
      else if (columns.delivery == npos && name == "delivery")
        columns.delivery = i;
    }
    if (columns.address == npos) return {};
    return columns;
  }

  /// The first line names columns: then the rest of the file is read as CSV.
  bool header() {
    for (char separator : {',', ';', '\t'}) {
      Reader ahead = *this;
      std::vector<std::string> names;
      if (!ahead.record(names, separator)) continue;
      if (auto columns = columns_of(names)) {
        rest_ = ahead.rest_;
        number_ = ahead.number_;
        csv(*columns, separator);
        return true;
      }
    }
    return false;
  }

  void csv(const Columns& columns, char separator) {
    std::vector<std::string> fields;
    while (!rest_.empty()) {
      const std::size_t number = number_ + 1;
      const std::string_view begin = rest_;
      const bool closed = record(fields, separator);
      const std::string_view text =
          trim(begin.substr(0, std::min(begin.find('\n'), begin.size() - rest_.size())));
      if (!closed) return bad(number, text, "a quote is not closed");
      if (fields.size() == 1 && ignored(fields[0])) continue;
      if (columns.address >= fields.size()) {
        bad(number, text, "the line has no column for the address");
        continue;
      }
      auto mailbox = Mailbox::parse(trim(fields[columns.address]), Mailbox::Allow::utf8);
      if (!mailbox) {
        bad(number, text, mailbox.error());
        continue;
      }
      Delivery delivery = Delivery::regular;
      if (columns.delivery < fields.size()) {
        const std::string_view value = trim(fields[columns.delivery]);
        if (!value.empty() && !parse_delivery(value, delivery)) {
          bad(number, text, "delivery is none of: " + std::string(delivery_values()));
          continue;
        }
      }
      add(number, text, *mailbox,
          columns.name < fields.size() ? trim(fields[columns.name]) : std::string_view(), delivery);
    }
  }

  std::string_view rest_;
  std::size_t number_ = 0;
  ImportFile file_;
  std::vector<BadLine> bad_;
  std::unordered_set<std::string> seen_;
};

}  // namespace

const char* text(Delivery delivery) {
  return delivery_texts[static_cast<std::size_t>(delivery)];
}

std::string_view delivery_values() {
  return "regular, digest, digest_mime, digest_plain, nomail, nomail_by_user, nomail_by_admin, "
         "nomail_by_bounce";
}

bool parse_delivery(std::string_view text, Delivery& delivery) {
  if (mail::same(text, "nomail")) {
    delivery = Delivery::nomail_by_admin;  // whoever writes it in a file is the admin
    return true;
  }
  for (std::size_t i = 0; i < delivery_texts.size(); ++i)
    if (mail::same(text, delivery_texts[i])) {
      delivery = static_cast<Delivery>(i);
      return true;
    }
  return false;
}

tl::expected<ImportFile, std::vector<BadLine>> read_import_file(std::string_view text) {
  return Reader(text).read();
}

}  // namespace spoold::list
