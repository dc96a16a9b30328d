// The site's VERP secret: from [verp] secret_file, or the one made with the store; and HMAC-SHA-256 under it.
#pragma once
#include <string>

#include <tl/expected.hpp>

#include "conf/settings.hpp"
#include "protocol/list/verp.hpp"

namespace spoold::server {

/// The file's octets without white space at the ends; when no file is named, `of_store`. Failure: one
/// sentence.
tl::expected<std::string, std::string> verp_secret(const conf::Verp& verp, const std::string& of_store);

/// Any thread; throws std::runtime_error only when OpenSSL itself fails.
list::Hmac hmac_sha256(std::string secret);

}  // namespace spoold::server
