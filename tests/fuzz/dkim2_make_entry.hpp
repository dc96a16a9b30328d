// What the fuzzer of DKIM2's making runs: any octets as a message, any edits of it. The recipes lead back to the message, what is
// read of its chain does not crash, and the fields of our own are fields that can be read.
#pragma once
#include <string>
#include <string_view>

#include "protocol/auth/dkim2.hpp"
#include "protocol/auth/dkim2_make.hpp"
#include "protocol/mail/draft.hpp"
#include "tests/fuzz/dkim2_entry.hpp"
#include "tests/fuzz/input.hpp"

namespace spoold::tests {

/// The octets that are hashed.
class Collected : public auth::Digest {
 public:
  void update(std::string_view octets) override { all_ += octets; }
  std::string finish() override { return all_; }
  std::unique_ptr<auth::Digest> copy() const override { return std::make_unique<Collected>(*this); }

 private:
  std::string all_;
};

inline std::string simple_form(std::string_view body) {
  auth::BodyHash hash(false, std::nullopt, [] { return std::make_unique<Collected>(); });
  hash.update(body);
  return *hash.finish();
}

inline void fuzz_chain_of(const mail::Header& header) {
  const auth::Dkim2Came came = auth::dkim2_came(header);
  (void)came.leads_to("b.example", TimePoint(std::chrono::seconds(1'700'000'000)));
  (void)auth::dkim2_requests(header.fields());
  const auto chain = auth::dkim2_chain(header.fields());
  const auto made = auth::dkim2_to_sign(
      chain, "sha256:x:y",
      {.domain = "d.example", .selector = "s", .mail_from = "a@d.example", .rcpt_to = "c@e.example"});
  const std::string field = auth::dkim2_signed_field(made, std::string(64, '\x81'));
  const auto fields = mail::Header::scan(field);
  must(fields && fields->fields().size() == 1);
  // Our Message-Instance is always there, and nobody has counted to a million before.
  if (chain.instances != 0 && chain.signatures < 1'000'000)
    must(auth::Dkim2Signature::parse(fields->fields().front()).has_value());
  if (const auto copy = auth::dkim2_returned(header.fields()))
    must(!copy->domain.empty() && !copy->signature.empty());
}

/// How many edits and what they are, then the message, whose lines may end with LF.
inline void fuzz_dkim2_make(std::string_view data) {
  Input in{data};
  const unsigned fields = in.octet(), edits = in.octet() % 8;
  std::string plan = in.take(edits * 3), mail;
  for (const char c : in.take(data.size())) {
    if (c == '\n' && !mail.ends_with('\r')) mail += '\r';
    mail += c;
  }
  const auto header = mail::Header::scan(mail);
  if (!header) return;
  fuzz_chain_of(*header);
  const mail::Scanned scanned = mail::scan(mail);
  mail::Draft draft(*header, scanned);
  unsigned number = 0;
  draft.prepend("Received: by us\r\n");
  draft.remove([&](const mail::Field& field) {
    return (fields >> (number++ % 7) & 1) != 0 || auth::is_instance(field) || auth::is_signature(field);
  });
  if ((fields & 128) != 0) draft.append("Subject: ours\r\n");
  // Places are where lines begin, as a list has them.
  std::vector<std::uint64_t> begins = {header->end()};
  for (std::size_t at = header->end(); (at = mail.find("\r\n", at)) != mail.npos;) begins.push_back(at += 2);
  std::uint64_t behind = 0;
  for (Input steps{plan}; !steps.data.empty();) {
    const std::uint64_t from = behind + steps.octet() % 16, to = from + steps.octet() % 4;
    const unsigned own = steps.octet();
    if (to >= begins.size()) break;
    std::vector<mail::Own> pieces;
    if ((own & 1) != 0) pieces.push_back({(own & 2) != 0 ? "ours\r\n" : "ours", 0});
    if ((own & 4) != 0) pieces.push_back({"for ", static_cast<mail::Blank>((own & 8) != 0 ? 0x81 : 1)});
    draft.cut(begins[from], begins[to], std::move(pieces));
    behind = to;
    if (from == to) ++behind;
  }
  const auth::MadeRecipes made = auth::recipes_of(draft, mail);
  must(made.json.size() <= 2 * auth::most_recipes * 6);
  const mail::Outgoing out = draft.outgoing();
  std::string copy = auth::instance_field(1, made.json) + auth::hash_value("h", "b") + ";\r\n" + out.head;
  for (const mail::Splice& piece : out.body) {
    copy.append(mail, piece.offset, piece.length).append(piece.own);
    if (piece.blank != 0) copy += (piece.blank & 0x80) != 0 ? "=\r\nvalue=\r\nx=\r\n" : "value";
  }
  const auto now = mail::Header::scan(copy, {1 << 20, 10'000});
  if (!now) return;
  const auto before = auth::instance_of(*now, std::string_view(copy).substr(now->end()), 0);
  must(before.has_value() == !made.body_lost);
  if (before) must(simple_form(before->body) == simple_form(std::string_view(mail).substr(header->end())));
  if (auth::only_adds(draft)) must(made.json.find("\"d\"") == made.json.npos);
}

}  // namespace spoold::tests
