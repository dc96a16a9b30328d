// Answers and rows (views.hpp, reads.hpp) for the eye. Pure: JSON and the time in, text out, safe for a
// terminal.
#pragma once
#include <string>
#include <vector>

#include "server/admin/json.hpp"
#include "server/spoolctl/table.hpp"
#include "store/spool/types.hpp"

namespace spoold::server::admin {

/// "3s", "12m", "5h", "2d": two digits are enough for a queue.
std::string short_duration(std::int64_t seconds);
std::string short_size(std::uint64_t octets);
/// "in 4m", "now", "3m ago" of an RFC 3339 text or null ("").
std::string relative(const Json& time, TimePoint now);

std::string queue_text(const std::vector<Json>& rows, TimePoint now);
std::string totals_text(const Json& rows, const std::string& what, TimePoint now);
std::string destinations_text(const Json& rows, TimePoint now);
/// The lines above the recipients of `show`.
std::string message_text(const store::Message&, TimePoint now);
std::string recipients_text(const std::vector<Json>& rows, TimePoint now, bool with_senders);
std::string trace_text(const std::vector<Json>& rows);
std::string lists_text(const std::vector<Json>& rows);
std::string users_text(const std::vector<Json>& rows);
std::string persons_text(const std::vector<Json>& rows);
std::string members_text(const std::vector<Json>& rows);
std::string held_text(const std::vector<Json>& rows);
std::string scores_text(const std::vector<Json>& rows, TimePoint now);
std::string requests_text(const std::vector<Json>& rows, TimePoint now);
/// "key: value" lines of an object, nested ones indented.
std::string fields_text(const Json& object, const std::string& indent = "");
/// What a changing request answered.
std::string answer_text(const std::string& verb, const Json& answer);

}  // namespace spoold::server::admin
