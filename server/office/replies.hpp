// The table of replies that is in force: the rows of `[delivery] replies`, then those that are built in. Asked by delivery,
// by what counts against members, and by the brake: so all of them agree on what a reply means. Any thread.
#pragma once
#include <memory>

#include "conf/settings.hpp"
#include "protocol/smtp/reply_class.hpp"

namespace spoold::server {

/// Made once for each table of own rows; the same one until the configuration is read again.
std::shared_ptr<const smtp::ReplyTable> reply_table(const conf::Settings&);

}  // namespace spoold::server
