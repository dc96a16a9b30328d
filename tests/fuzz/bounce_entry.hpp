// What the fuzzers of bounces and complaints and the replay of their corpora run: any octets as a message. What is found is
// well-formed, bounded and the same the second time.
#pragma once
#include <string>
#include <string_view>

#include "conf/replies.hpp"
#include "protocol/bounce/complaint.hpp"
#include "protocol/bounce/scan.hpp"
#include "protocol/mail/mailbox.hpp"
#include "protocol/smtp/reply_class.hpp"
#include "tests/fuzz/input.hpp"

namespace spoold::tests {

inline void fuzz_bounce(std::string_view data) {
  static const smtp::ReplyTable table(conf::built_in_replies());
  const bounce::Scan scan = bounce::scan(data);
  must(scan.format.empty() == scan.failures.empty());
  must(scan.failures.size() <= bounce::failures_at_most);
  for (const bounce::Failure& failure : scan.failures) {
    must(Mailbox::parse(failure.address, Mailbox::Allow::utf8).has_value());
    must(failure.diagnostic.size() <= 4200);
    const smtp::Reply reply = smtp::reply_in_line(failure.diagnostic);
    must(!table.classify(reply, failure.remote).scores() || reply.permanent());
  }
  const bounce::Scan again = bounce::scan(data);
  must(again.failures.size() == scan.failures.size());
}

inline void fuzz_complaint(std::string_view data) {
  const auto complaint = bounce::scan_complaint(data);
  if (!complaint) return;
  must(!complaint->feedback_type.empty());
  for (const std::string* address : {&complaint->member, &complaint->original_recipient})
    must(address->empty() || Mailbox::parse(*address, Mailbox::Allow::utf8).has_value());
}

}  // namespace spoold::tests
