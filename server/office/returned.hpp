// A bounce that returns a copy with a DKIM2-Signature of the list's domain (draft-ietf-dkim-dkim2-spec-06 12.1.2). Nobody else can
// have made the signature, and it names sender and recipient of that copy.
//
//   it holds, and was sent by the address that the bounce came to    the bounce is authentic: it is about whom the signature names
//   it does not hold, or was sent by another address                 the bounce is forged: 550 5.7.1
//   none, or by a key that is not configured any more                nothing is known
#pragma once
#include <optional>
#include <string>

#include "protocol/auth/dkim2_make.hpp"
#include "protocol/smtp/reply.hpp"
#include "server/office/bounces.hpp"

namespace spoold::server {

/// What was found out of the copy that a message returns.
struct Returned {
  auth::Dkim2Returned copy;
  bool holds = false;
};

/// `to`: the address that the bounce came to. `member`: whom that names (a key); of an authentic bounce whom the copy names.
std::optional<smtp::Reply> forged(const Returned& returned, const std::string& to, std::string& member);
/// The history says that the bounce was authentic.
void note_authentic(ReportRead& report);

}  // namespace spoold::server
