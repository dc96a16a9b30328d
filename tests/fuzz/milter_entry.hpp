// What the fuzzer and the replay of its corpus run: any octets as what a filter sends, in a session with two messages. Pieces give the
// same as the whole; a refusal is a reply of 4xx or 5xx; a header that was edited is still one header, with as many fields.
#pragma once
#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

#include "protocol/milter/conversation.hpp"
#include "tests/fuzz/input.hpp"

namespace spoold::tests {

/// What became of the session, in words. `piece`: so many octets are fed at once.
inline std::string milter_session(std::string_view data, std::size_t piece) {
  using Got = milter::Conversation::Got;
  milter::Conversation filter;
  milter::Macros macros;
  macros.set("j", "mx.example");
  std::string out, told, body;
  const auto header = mail::Header::scan("Subject: one\r\n two\r\nTo: x@y\r\nsubject:again\r\n\r\n");
  const auto waits = [&](bool answer) {
    while (answer) {
      const Got got = filter.next();
      if (got == Got::answered) {
        if (filter.refusal() || filter.discards()) body.clear();
        told += filter.refusal() ? filter.refusal()->oneline() + ";" : filter.discards() ? "discard;" : "ok;";
        if (filter.refusal()) {
          must(filter.refusal()->temporary() || filter.refusal()->permanent());
          must(std::ranges::count(filter.refusal()->wire(), '\n') ==
               1 + std::ranges::count(filter.refusal()->text, '\n'));
        }
        return true;
      }
      if (got == Got::failed) {
        told += "failed: " + filter.fault();
        return false;
      }
      if (got == Got::progress) {
        told += "progress;";
        continue;
      }
      body += filter.take_body();
      if (data.empty()) {
        told += "end";
        return false;
      }
      filter.feed(data.substr(0, piece));
      data.remove_prefix(std::min(piece, data.size()));
    }
    return true;
  };
  if (!waits(filter.negotiate(out))) return told;
  const milter::Client client{.name = "c.example", .family = '4', .port = 25, .address = "192.0.2.1"};
  if (!waits(filter.connect(client, macros, out)) || !waits(filter.helo("c.example", macros, out)))
    return told;
  for (int message = 0; message < 2; ++message) {
    filter.abort(out);
    if (!waits(filter.mail("<a@b>", "SIZE=9", macros, out)) || !waits(filter.rcpt("<c@d>", {}, macros, out)))
      return told;
    milter::EditedHeader edited(*header);
    if (!waits(filter.data(macros, out))) return told;
    for (const auto& line : edited.lines())
      if (!waits(filter.field(line.field, out))) return told;
    if (!waits(filter.end_of_header(macros, out)) || !waits(filter.body("Hello\r\n", out)) ||
        !waits(filter.end(macros, out)))
      return told;
    told += std::exchange(body, {}) + filter.take_body();
    for (const milter::Edit& edit : filter.edits()) edited.apply(edit);
    const std::string text = edited.text([](const mail::Field&) { return false; });
    const auto again = mail::Header::scan(text, {.octets = 1 << 24, .fields = 1 << 16});
    must(again.has_value() && again->complete() && again->end() == text.size());
    must(again->fields().size() == edited.lines().size());
    told += text;
  }
  return told;
}

/// The first octet is the size of the pieces.
inline void fuzz_milter(std::string_view data) {
  if (data.empty()) return;
  const std::size_t piece = 1 + static_cast<unsigned char>(data[0]);
  data.remove_prefix(1);
  std::string whole = milter_session(data, data.size() + 1), pieces = milter_session(data, piece);
  must(whole == pieces);
}

}  // namespace spoold::tests
