// From DATA to the replies to the end of its content (RFC 5321 4.1.1.4, RFC 2033 4.2).
#include "protocol/smtp/server_dialog.hpp"

#include <cassert>

namespace spoold::smtp {

ServerDialog::Action ServerDialog::data(const Command& command, std::string& out) {
  if (!command.argument.empty()) return error({501, {5, 5, 4}, "DATA takes no argument"}, out);
  if (transaction_.binary)  // RFC 3030 3
    return error({503, {5, 5, 1}, "BODY=BINARYMIME comes by BDAT, not by DATA"}, out);
  reader_ = DataReader(profile_.content);
  phase_ = Phase::content;
  return say("354 send the message; end it with <CR><LF>.<CR><LF>\r\n", out);
}

// Of refused content nothing is kept, and only so much is read.
ServerDialog::Action ServerDialog::read_content(std::string_view& input, std::string& out,
                                                std::string& content) {
  input.remove_prefix(reader_.read(input, content));
  if (reader_.refused()) content.clear();
  if (reader_.ended()) return content_ended(out);
  if (reader_.refused() && reader_.size() > profile_.content.size + profile_.max_rejected)
    return reject_rest(out);
  return more();
}

// The client goes on sending what was refused long ago. Whoever reads replies learns the reason.
ServerDialog::Action ServerDialog::reject_rest(std::string& out) {
  const std::size_t replies = profile_.lmtp ? transaction_.recipients.size() : 1;
  for (std::size_t i = 0; i < replies; ++i) reader_.refusal().append_wire(out);
  return close({}, out);
}

ServerDialog::Action ServerDialog::content_ended(std::string& out) {
  phase_ = Phase::committing;
  brake_.message();
  ++messages_;
  if (!reader_.refused()) return {Action::What::commit, {}};
  const std::vector<Reply> replies(profile_.lmtp ? transaction_.recipients.size() : 1, reader_.refusal());
  return committed(replies, out);
}

ServerDialog::Action ServerDialog::committed(std::span<const Reply> replies, std::string& out) {
  assert(phase_ == Phase::committing);
  assert(replies.size() == (profile_.lmtp ? transaction_.recipients.size() : 1));
  for (const Reply& reply : replies) reply.append_wire(out);
  if (replies.front().code == 421) return close({}, out);
  fresh();
  return more();
}

}  // namespace spoold::smtp
