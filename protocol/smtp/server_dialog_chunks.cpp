// BDAT: content in chunks of a size that is stated before (RFC 3030). The octets of a chunk are taken whatever is answered, so
// that they are never read as commands; a size that cannot be read, or is more than anybody may send, ends the session.
#include "protocol/smtp/server_dialog.hpp"

#include <algorithm>
#include <utility>

namespace spoold::smtp {
namespace {

constexpr EnhancedStatus bad_sequence{5, 5, 1};

// A chunk this small that is not the last counts as a command without mail (brake.hpp).
constexpr std::uint64_t small_chunk = 512;

}  // namespace

ServerDialog::Action ServerDialog::bdat(const Command& command, std::string& out) {
  const auto parsed = parse_bdat(command.argument);
  if (!parsed) {
    parsed.error().append_wire(out);
    return close({}, out);
  }
  if (parsed->size > profile_.content.size + profile_.max_rejected)
    return close("552 5.3.4 the message is larger than this server accepts\r\n", out);
  auto refusal = refuse_chunk(*parsed);
  const bool wasteful = refusal || (!parsed->last && parsed->size < small_chunk);
  if (wasteful && brake_.idle_command() == Brake::Verdict::close)
    return close("421 4.7.0 too many errors: too many chunks without a message\r\n", out);
  chunk_ = Chunk{parsed->size, parsed->size, parsed->last, std::move(refusal)};
  if (!chunk_.refusal && phase_ == Phase::rcpt)
    reader_ = DataReader(profile_.content,
                         transaction_.binary ? DataReader::Framing::binary : DataReader::Framing::chunks);
  phase_before_chunk_ = phase_;
  phase_ = Phase::chunk;
  return more();
}

std::optional<Reply> ServerDialog::refuse_chunk(const BdatArgument& bdat) const {
  if (phase_ == Phase::mail) return Reply{profile_.lmtp ? 503 : 554, bad_sequence, "no valid recipients"};
  if (phase_ != Phase::rcpt && phase_ != Phase::chunks)
    return Reply{503, bad_sequence, "say MAIL and RCPT first"};
  const std::uint64_t before = phase_ == Phase::chunks ? reader_.size() : 0;
  if (before + bdat.size > profile_.content.size)
    return Reply{552, {5, 3, 4}, "the message is larger than this server accepts"};
  return std::nullopt;
}

ServerDialog::Action ServerDialog::read_chunk(std::string_view& input, std::string& out,
                                              std::string& content) {
  const std::string_view octets =
      input.substr(0, static_cast<std::size_t>(std::min<std::uint64_t>(input.size(), chunk_.left)));
  input.remove_prefix(octets.size());
  chunk_.left -= octets.size();
  if (!chunk_.refusal) reader_.read(octets, content);
  return chunk_.left == 0 ? chunk_ended(out, content) : more();
}

// What is wrong with the content is told at the chunk that shows it. The transaction is over then; chunks that were sent
// meanwhile are refused without being counted as errors.
ServerDialog::Action ServerDialog::chunk_ended(std::string& out, std::string& content) {
  const Chunk chunk = chunk_;
  if (!chunk.refusal && chunk.last) {
    reader_.finish(content);
    if (reader_.refused()) content.clear();
    return content_ended(out);
  }
  if (!chunk.refusal && !reader_.refused()) {
    phase_ = Phase::chunks;
    return say("250 2.0.0 " + std::to_string(chunk.size) + " octets received\r\n", out);
  }
  content.clear();
  phase_ = phase_before_chunk_;
  const bool in_transaction = phase_ == Phase::rcpt || phase_ == Phase::chunks || phase_ == Phase::mail;
  const Reply refusal = chunk.refusal ? *chunk.refusal : reader_.refusal();
  // LMTP: the last chunk has a reply for each recipient (RFC 2033 4.2).
  const std::size_t replies =
      profile_.lmtp && chunk.last ? std::max<std::size_t>(1, transaction_.recipients.size()) : 1;
  for (std::size_t i = 1; i < replies; ++i) refusal.append_wire(out);
  const bool counts = !mail_refused_ && !in_transaction;
  if (in_transaction) mail_refused_ = true;
  fresh();
  return error(refusal, out, counts);
}

}  // namespace spoold::smtp
