// Text forms of hosts and mail addresses as far as the configuration needs them. (The full mail address
// grammar is protocol/mail/mailbox.hpp; conf/ may not include it and asks only for what a mistyped file gets
// wrong.)
#pragma once
#include <string>
#include <string_view>

namespace spoold::conf {

std::string lower(std::string_view);
bool same(std::string_view, std::string_view);  // but for case
/// RFC 5321 2.3.5: letters, digits and hyphens; labels of 1-63 octets, 253 in all; not all digits at the end.
bool is_domain(std::string_view);
/// "192.0.2.1" or "2001:db8::1" (no brackets); the canonical text, or empty.
std::string canonical_address(std::string_view);
/// What [[destination]] match may be ("mx:*.example.net", a network, a host): empty, or what is wrong with
/// it.
std::string match_fault(std::string_view text);
/// Empty when `text` is a plain mail address, else what is wrong with it.
std::string address_fault(std::string_view text);

}  // namespace spoold::conf
