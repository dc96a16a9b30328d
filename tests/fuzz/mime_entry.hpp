// What the fuzzer of mime/ and the replay of its corpus run: any octets as a message. Its parts lie in each other and in
// order; what is decoded is no longer than allowed; what is converted to 7 bits is ASCII. What a list's filter leaves of it is
// restored from it and the way back.
#pragma once
#include <string>
#include <string_view>

#include "protocol/list/filter.hpp"
#include "protocol/mail/ascii.hpp"
#include "protocol/mime/parts.hpp"
#include "protocol/mime/seven_bit.hpp"
#include "protocol/mime/transfer.hpp"
#include "tests/fuzz/input.hpp"

namespace spoold::tests {

inline void fuzz_filter(std::string_view data, const list::FilterRules& rules) {
  list::List list;
  list.settings.filter = rules;
  const auto header = mail::Header::scan(data);
  if (!header) return;
  const mail::Scanned scanned = mail::scan(data);
  mail::Draft draft(*header, scanned);
  list::apply(list::filtered(list, data, mime::parts_of(data)), draft);
  const mail::Outgoing out = draft.outgoing();
  std::string copy = out.head, restored;
  for (const mail::Splice& piece : out.body)
    copy.append(data.substr(piece.offset, piece.length)).append(piece.own);
  must(copy.size() == out.size);
  for (const mail::Restored& one : draft.way_back(data)) {
    must(one.offset + one.length <= copy.size());
    restored.append(copy, one.offset, one.length).append(one.removed);
  }
  must(restored == data);
}

inline void fuzz_mime(std::string_view data) {
  const auto parts = mime::parts_of(data, {100, 8});
  if (parts) {
    must(!parts->empty() && parts->size() <= 100);
    for (std::size_t i = 0; i < parts->size(); ++i) {
      const mime::Part& part = (*parts)[i];
      must(part.begin <= part.body && part.body <= part.end && part.end <= data.size() && part.depth <= 8);
      if (i == 0) continue;
      const mime::Part& parent = (*parts)[part.parent];
      must(part.parent < i && part.depth == parent.depth + 1);
      must(part.begin >= parent.body && part.end <= parent.end && part.begin >= (*parts)[i - 1].begin);
      const std::string_view body = data.substr(part.body, part.end - part.body);
      must(mime::decoded(body, part.encoding, 1000).size() <= 1000);
      (void)mime::parameter(part.type, "boundary");
    }
    for (const mail::Field& field : parts->front().header.fields())
      must(mime::decoded_words(field.value, 200).size() <= 200);
  }
  for (const char* encoding : {"base64", "quoted-printable", "7bit"})
    must(mime::decoded(data, encoding, 100).size() <= 100);
  list::FilterRules some, most;
  some.types = {"text/html", "image/*"};
  some.extensions = {"exe"};
  some.collapse_alternatives = true;
  most.pass = {"text/plain"};
  fuzz_filter(data, some);
  fuzz_filter(data, most);
  if (const auto seven = mime::to_seven_bit(data)) must(mail::is_ascii(*seven));
}

}  // namespace spoold::tests
