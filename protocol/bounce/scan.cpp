#include "protocol/bounce/scan.hpp"

#include <algorithm>

#include "protocol/bounce/address.hpp"
#include "protocol/bounce/delivery_status.hpp"
#include "protocol/bounce/formats.hpp"
#include "protocol/bounce/notice.hpp"
#include "protocol/mail/ascii.hpp"
#include "protocol/mail/mailbox.hpp"

namespace spoold::bounce {
namespace {

constexpr std::size_t status_at_most = 1 << 20, exim_fields = 100;

bool is_status_type(std::string_view type) {
  return type == "message/delivery-status" || type == "message/global-delivery-status" ||
         type == "message/delivery-report";
}

/// Does a text begin with the fields of a delivery status? Gateways give the part another type.
bool looks_like_status(std::string_view text) {
  text = mail::trim(text.substr(0, 4096));
  for (const std::string_view name :
       {"reporting-mta:", "original-envelope-id:", "final-recipient:", "original-recipient:"})
    if (mail::starts_with(text, name)) return true;
  return false;
}

/// Each address once; a failure for good outweighs one for now.
void merge(std::vector<Failure>& failures, std::vector<Failure> more) {
  for (Failure& failure : more) {
    const auto same = std::find_if(failures.begin(), failures.end(),
                                   [&](const Failure& f) { return mail::same(f.address, failure.address); });
    if (same == failures.end())
      failures.push_back(std::move(failure));
    else if (failure.permanent && !same->permanent)
      *same = std::move(failure);
  }
}

std::vector<Failure> failed_recipients(const mail::Header& header) {
  std::vector<Failure> failures;
  std::size_t fields = 0;
  for (const mail::Field& field : header.fields())
    if (mail::same(field.name, "X-Failed-Recipients") && ++fields <= exim_fields)
      for (std::string& address : addresses_in(field.value, failures_at_most))
        merge(failures, {Failure{std::move(address), true, {}, {}, {}}});
  return failures;
}

class Scanner {
 public:
  Scanner(std::string_view bytes, const std::vector<mime::Part>& parts)
      : bytes_(bytes), parts_(parts), notice_(notice_of(bytes, parts)) {}

  Scan scan() {
    const bool report = parts_.front().type == "multipart/report";
    const bool believed =
        notice_.origin == Origin::daemon || report || (notice_.origin == Origin::hint && !notice_.of_list);
    if (believed && !notice_.disposition) {
      StatusReport status = statuses();
      if (!status.failures.empty()) return {"rfc3464", std::move(status.failures)};
      if (status.recipients && !status.nameless) return {};  // delivered, relayed, expanded
    }
    if (auto failures = failed_recipients(parts_.front().header); !failures.empty() && !notice_.of_list) {
      if (only_delayed(notice_))
        for (Failure& failure : failures) failure.permanent = false;
      return {"exim", std::move(failures)};
    }
    Scan found = read_formats(notice_);
    return found.failures.empty() && notice_.origin == Origin::daemon ? enclosed_report() : found;
  }

 private:
  StatusReport statuses() const {
    StatusReport all;
    const auto take = [&all](StatusReport one) {
      all.recipients |= one.recipients;
      all.nameless |= one.nameless;
      merge(all.failures, std::move(one.failures));
    };
    for (std::size_t i = 0; i < parts_.size(); ++i) {
      if (inside_message(parts_, i) || parts_[i].multipart()) continue;
      const bool typed = is_status_type(parts_[i].type);
      if (!typed && i == 0) continue;
      const std::string text = body_of(bytes_, parts_[i], status_at_most);
      if (typed || looks_like_status(text)) take(read_delivery_status(text));
    }
    if (all.recipients || notice_.origin != Origin::daemon) return all;
    // The message has lost its MIME header, or never had a right one: the fields stand in its text.
    std::string text;
    for (const Line& line : notice_.lines)
      if (!text.empty() || line.words.starts_with("reporting-mta:")) text += line.text + '\n';
    if (!text.empty()) take(read_delivery_status(text));
    return all;
  }

  /// A filter has put a mail system's report into a message of its own, which says nothing itself.
  Scan enclosed_report() const {
    for (std::size_t i = 1; i < parts_.size(); ++i) {
      const mime::Part& part = parts_[i];
      if (!part.message || part.type != "multipart/report" || inside_message(parts_, part.parent)) continue;
      const std::string_view bytes = bytes_.substr(part.begin, part.end - part.begin);
      const auto inner = mime::parts_of(bytes);
      if (!inner) continue;
      const Scanner scanner(bytes, *inner);
      if (scanner.notice_.origin != Origin::daemon) continue;
      StatusReport status = scanner.statuses();
      if (!status.failures.empty()) return {"rfc3464", std::move(status.failures)};
    }
    return {};
  }

  std::string_view bytes_;
  const std::vector<mime::Part>& parts_;
  const Notice notice_;
};

}  // namespace

Scan scan(std::string_view mail) {
  const auto parts = mime::parts_of(mail);
  if (!parts) return {};
  return Scanner(mail, *parts).scan();
}

}  // namespace spoold::bounce
