// Mail that a list itself has sent (a confirmation, a notice, a probe: message.list is set, message.post is 0), as it was accepted. Its text
// stands in `head`, without a part of a content, and stays there when the message is finished, until history is swept: so that it can be
// sent again (`spoolctl resend`). A digest, and a notice with a held post in it, need a content, which goes when they are finished.
#pragma once
#include "store/spool/acceptance.hpp"
#include "store/spool/rows.hpp"
#include "store/txn.hpp"

namespace spoold::store::spool {

/// The head stays when this message is finished.
bool keeps_its_text(const Read&, const Message&);

/// The message as a new one, without id, with the recipients that it had. not_found: there is no such message. conflict: it is no mail that
/// a list itself has sent, or its text is gone.
Result<NewMessage> own_mail(const Read&, Id);

}  // namespace spoold::store::spool
