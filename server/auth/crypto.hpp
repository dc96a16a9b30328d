// The cryptography of DKIM by OpenSSL, for the machines of protocol/auth. Any thread. A verification with RSA takes some tens
// of microseconds: not on a network thread.
#pragma once
#include <memory>

#include "protocol/auth/canonical.hpp"
#include "protocol/auth/dkim.hpp"

namespace spoold::server {

std::unique_ptr<auth::Digest> new_sha256();
std::unique_ptr<auth::Digest> new_sha512();
auth::Proved verify(const auth::Proof& proof);

/// Runs what is left of a check to its end (auth/asker.hpp answered it).
void prove(auth::DkimCheck& check);

}  // namespace spoold::server
