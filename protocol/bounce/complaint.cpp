#include "protocol/bounce/complaint.hpp"

#include <algorithm>
#include <charconv>

#include "protocol/bounce/address.hpp"
#include "protocol/bounce/delivery_status.hpp"
#include "protocol/bounce/notice.hpp"
#include "protocol/list/sender_forms.hpp"
#include "protocol/mail/address_list.hpp"
#include "protocol/mail/ascii.hpp"
#include "protocol/mail/date.hpp"

namespace spoold::bounce {
namespace {

constexpr std::size_t tagged_at_most = 8;
constexpr std::size_t report_at_most = 65536, header_at_most = 256 << 10;

/// RFC 3986 2.1. What is no %XX stays.
std::string percent_decoded(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    unsigned octet = 0;
    const char* const end = text.data() + std::min(i + 3, text.size());
    if (text[i] == '%' && end - (text.data() + i) == 3 &&
        std::from_chars(text.data() + i + 1, end, octet, 16).ptr == end) {
      out += static_cast<char>(octet);
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

std::string bare_path(std::string_view value) {
  value = mail::trim(value);
  const std::string angle = angle_address(value);
  return angle.empty() ? first_address(value) : angle;
}

class Reader {
 public:
  Reader(std::string_view bytes, const std::vector<mime::Part>& parts) : bytes_(bytes), parts_(parts) {}

  std::optional<Complaint> read() {
    for (std::size_t i = 0; i < parts_.size(); ++i)
      if (parts_[i].type == "message/feedback-report" && !inside_message(parts_, i))
        report(fields_of(body_of(bytes_, parts_[i], report_at_most)));
    for (std::size_t i = 1; i < parts_.size(); ++i) returned(i);
    if (complaint_.feedback_type.empty()) return std::nullopt;
    return std::move(complaint_);
  }

 private:
  void report(const Fields& fields) {
    for (const auto& [name, value] : fields) {
      if (name == "feedback-type" && complaint_.feedback_type.empty())
        complaint_.feedback_type = mail::first_token(value);
      else if (name == "original-rcpt-to" && complaint_.original_recipient.empty())
        complaint_.original_recipient = bare_path(value);
      else if (name == "original-mail-from")
        sender(value);
      else if (name == "source-ip" && complaint_.source_ip.empty())
        complaint_.source_ip = std::string(value.substr(0, value.find_first_of(" \t;")));
      else if ((name == "arrival-date" || name == "received-date") && !complaint_.arrived)
        complaint_.arrived = mail::read_date(value);
    }
  }

  /// The post that the report returns, or its header.
  void returned(std::size_t index) {
    const mime::Part& part = parts_[index];
    if (part.message && !inside_message(parts_, part.parent)) return post(part.header);
    if (inside_message(parts_, index)) return;
    if (part.type == "text/rfc822-headers" || part.type == "message/rfc822-headers" ||
        part.type == "message/rfc822") {
      const std::string text = body_of(bytes_, part, header_at_most);
      if (const auto header = mail::Header::scan(text)) post(*header);
    }
  }

  void post(const mail::Header& header) {
    if (const mail::Field* microsoft = header.find("X-HmXmrOriginalRecipient")) {
      if (complaint_.feedback_type.empty()) complaint_.feedback_type = "abuse";
      if (complaint_.original_recipient.empty()) complaint_.original_recipient = bare_path(microsoft->value);
    }
    if (complaint_.feedback_type.empty()) return;
    for (const mail::Field& field : header.fields())
      if (mail::same(field.name, "List-Unsubscribe")) leave_addresses(field.value.substr(0, 8192));
    for (const char* name :
         {"Return-Path", "X-Envelope-From", "Envelope-From", "X-MailFrom", "Sender", "Errors-To"})
      if (const mail::Field* field = header.find(name)) sender(field->value);
    for (const mail::Field& field : header.fields())
      if (mail::same(field.name, "Received")) {
        const std::string value = mail::lower(field.value.substr(0, 2000));
        const std::size_t at = value.find("envelope-from");
        if (at != std::string::npos) sender(field.value.substr(at + 13));
      }
    if (const mail::Field* list = header.find("List-Post"); list && complaint_.list.empty()) {
      const std::string value = mail::unfolded(list->value.substr(0, 2000));
      const std::size_t at = mail::lower(value).find("mailto:");
      if (at != std::string::npos)
        complaint_.list = mail::lower(first_address(std::string_view(value).substr(at)));
    }
  }

  void leave_addresses(std::string_view value) {
    const std::string urls = mail::unfolded(value), lower = mail::lower(urls);
    for (std::size_t at = 0; (at = lower.find("<mailto:", at)) != std::string::npos;) {
      at += 8;
      const std::size_t end = std::min(lower.find_first_of(">?", at), lower.size());
      tagged(percent_decoded(std::string_view(urls).substr(at, end - at)));
    }
  }

  void tagged(std::string address) {
    std::vector<std::string>& known = complaint_.tagged;
    if (!address.empty() && known.size() < tagged_at_most && std::ranges::find(known, address) == known.end())
      known.push_back(std::move(address));
  }

  void sender(std::string_view value) {
    std::string path = bare_path(value);
    const auto copy = list::sender_of_copy(path);
    tagged(std::move(path));
    if (!copy) return;
    if (complaint_.list.empty()) complaint_.list = copy->list;
    if (complaint_.member.empty() && copy->list == complaint_.list) complaint_.member = copy->member;
  }

  std::string_view bytes_;
  const std::vector<mime::Part>& parts_;
  Complaint complaint_;
};

}  // namespace

std::optional<Complaint> scan_complaint(std::string_view mail) {
  const auto parts = mime::parts_of(mail);
  if (!parts) return std::nullopt;
  return Reader(mail, *parts).read();
}

}  // namespace spoold::bounce
