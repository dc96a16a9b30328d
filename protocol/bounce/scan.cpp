#include "protocol/bounce/scan.hpp"

#include <algorithm>
#include <unordered_map>
#include <utility>

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
class Merged {
 public:
  void add(Failure failure) {
    const auto [at, fresh] = index_.try_emplace(mail::lower(failure.address), failures_.size());
    if (!fresh) {
      if (failure.permanent && !failures_[at->second].permanent) failures_[at->second] = std::move(failure);
    } else if (failures_.size() < failures_at_most) {
      failures_.push_back(std::move(failure));
    } else {
      index_.erase(at);
    }
  }
  std::vector<Failure> take() { return std::move(failures_); }

 private:
  std::vector<Failure> failures_;
  std::unordered_map<std::string, std::size_t> index_;
};

std::vector<Failure> failed_recipients(const mail::Header& header) {
  Merged failures;
  std::size_t fields = 0;
  for (const mail::Field& field : header.fields())
    if (mail::same(field.name, "X-Failed-Recipients") && ++fields <= exim_fields)
      for (std::string& address : addresses_in(field.value, failures_at_most))
        failures.add({std::move(address), true, {}, {}, {}});
  return failures.take();
}

class Scanner {
 public:
  Scanner(std::string_view bytes, const std::vector<mime::Part>& parts)
      : bytes_(bytes), parts_(parts), notice_(notice_of(bytes, parts)) {}

  Scan scan() {
    Scan found = read();
    if (found.failures.empty())
      found.harmless = nothing_failed_ || notice_.answer || notice_.disposition || automatic_answer();
    else
      found.harmless = std::ranges::none_of(found.failures, [](const Failure& f) { return f.permanent; });
    return found;
  }

 private:
  Scan read() {
    const bool report = parts_.front().type == "multipart/report" && !notice_.passed_on;
    const bool believed =
        notice_.origin == Origin::daemon || report || (notice_.origin == Origin::hint && !notice_.of_list);
    if (believed && !notice_.disposition) {
      StatusReport status = statuses();
      if (!status.failures.empty()) return {"rfc3464", std::move(status.failures)};
      nothing_failed_ = status.recipients && !status.nameless;
      if (nothing_failed_) return {};  // delivered, relayed, expanded
    }
    if (auto failures = failed_recipients(parts_.front().header); !failures.empty() && !notice_.of_list) {
      if (only_delayed(notice_))
        for (Failure& failure : failures) failure.permanent = false;
      return {"exim", std::move(failures)};
    }
    Scan found = read_formats(notice_);
    return found.failures.empty() && notice_.origin == Origin::daemon ? enclosed_report() : found;
  }

  bool automatic_answer() const {
    const mail::Field* field = parts_.front().header.find("Auto-Submitted");
    return field != nullptr && mail::starts_with(mail::trim(field->value), "auto-replied");
  }

  StatusReport statuses() const {
    StatusReport all;
    Merged failures;
    const auto take = [&](StatusReport one) {
      all.recipients |= one.recipients;
      all.nameless |= one.nameless;
      for (Failure& failure : one.failures) failures.add(std::move(failure));
    };
    for (std::size_t i = 0; i < parts_.size(); ++i) {
      if (inside_message(parts_, i) || parts_[i].multipart()) continue;
      const bool typed = is_status_type(parts_[i].type);
      if (!typed && i == 0) continue;
      const std::string text = body_of(bytes_, parts_[i], status_at_most);
      if (typed || looks_like_status(text)) take(read_delivery_status(text));
    }
    all.failures = failures.take();
    if (all.recipients || notice_.origin != Origin::daemon) return all;
    // The message has lost its MIME header, or never had a right one: the fields stand in its text.
    std::string text;
    for (const Line& line : notice_.lines)
      if (!text.empty() || line.words.starts_with("reporting-mta:")) text += line.text + '\n';
    return text.empty() ? all : read_delivery_status(text);
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
  bool nothing_failed_ = false;  // a delivery status says so
};

}  // namespace

Scan scan(std::string_view mail) {
  const auto parts = mime::parts_of(mail);
  if (!parts) return {};
  return Scanner(mail, *parts).scan();
}

}  // namespace spoold::bounce
