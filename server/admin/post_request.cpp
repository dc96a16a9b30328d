// `spoolctl post`: a file becomes a post, by the same road as one that came in by SMTP
// (server/office/acceptance).
#include "protocol/mail/base64.hpp"
#include "protocol/mail/header.hpp"
#include "server/admin/await.hpp"
#include "server/admin/directory_request.hpp"
#include "server/log.hpp"
#include "server/office/acceptance.hpp"
#include "store/store.hpp"

namespace spoold::server::admin {

namespace {

/// Line ends as the wire has them: files have LF, or CRLF, and often none at the end.
std::string with_crlf(std::string_view text) {
  std::string out;
  out.reserve(text.size() + text.size() / 40 + 2);
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\r' && i + 1 < text.size() && text[i + 1] == '\n') ++i;
    if (text[i] == '\n' || text[i] == '\r')
      out += "\r\n";
    else
      out += text[i];
  }
  if (!out.empty() && !out.ends_with("\r\n")) out += "\r\n";
  return out;
}

/// An mbox line before the header is not part of the message.
std::string_view without_from_line(std::string_view text) {
  if (!text.starts_with("From ")) return text;
  const auto end = text.find('\n');
  return end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
}

std::optional<std::string> fault_of(std::string_view bytes, std::string_view header, std::uint64_t limit) {
  if (bytes.empty()) return "the file is empty";
  if (bytes.size() > limit) return "the message has more octets than [smtp] max_message_size";
  if (bytes.find('\0') != std::string_view::npos) return "a message must not hold NUL octets";
  const auto scanned = mail::Header::scan(header);
  if (!scanned) return std::string("bad header: ") + mail::text(scanned.error());
  if (!scanned->find("From")) return "the file has no From: field: it is no message";
  return std::nullopt;
}

}  // namespace

Json post(const Request& request) {
  const auto found = find_list(request);
  if (!found) return failure(found.error());
  const auto decoded = mail::base64_decode(request.text("content"));
  if (!decoded) return failure(Exit::usage, "content is not base64");
  auto bytes = std::make_shared<const std::string>(with_crlf(without_from_line(*decoded)));
  const auto blank = bytes->find("\r\n\r\n");
  const auto header =
      std::string_view(*bytes).substr(0, blank == std::string::npos ? bytes->size() : blank + 4);
  if (const auto fault = fault_of(*bytes, header, request.settings.smtp.max_message_size))
    return failure(Exit::usage, *fault);

  smtp::Transaction transaction;
  transaction.open = true;
  transaction.recipients.push_back({found->address(), smtp::to::Post{found->id}});
  store::ContentSource source;
  source.bytes = bytes;
  source.size = bytes->size();
  Arrival arrival{.transaction = transaction,
                  .header = header,
                  .content = source,
                  .scanned = mail::scan(*bytes),
                  .client = "spoolctl post",
                  .protocol = "LOCAL",
                  .at = request.store.now(),
                  .by_operator = true};
  if (request.json.value("verp", false)) arrival.copies = list::Copies::each_verp;
  const auto decide = [&] { return dispose(request.settings, request.store, arrival); };
  store::PostNumbers& numbers = request.store.post_numbers();
  if (!request.dry_run) arrival.numbers = &numbers;
  Disposition disposition = decide();
  while (disposition.unnumbered) {
    const auto leased = await_result<void>(
        [&](store::Callback<void> done) { numbers.lease(*disposition.unnumbered, std::move(done)); });
    if (!leased) return failure(leased.error());
    disposition = decide();
  }
  if (disposition.all_refused()) return failure(Exit::failed, disposition.fates.at(0).refusal->oneline());
  Json answer = success(request);
  answer["list"] = found->address();
  if (request.dry_run) return answer;
  const auto accepted = await_result<store::Accepted>(
      [&](auto callback) { request.store.accept(std::move(disposition.acceptance), std::move(callback)); });
  if (!accepted) return failure(accepted.error());
  request.lanes.wake(accepted->routes);
  answer["id"] = store::id_text(accepted->ids.at(0));
  answer["recipients"] = accepted->recipients.at(0);
  log::event(log::Level::info, "accepted",
             {{"qid", store::id_text(accepted->ids[0])},
              {"list", found->address()},
              {"client", "spoolctl"},
              {"who", request.who},
              {"recipients", accepted->recipients[0]}});
  return answer;
}

}  // namespace spoold::server::admin
