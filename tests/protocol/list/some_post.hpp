// Posts and lists of all kinds, for properties (rapidcheck).
#pragma once
#include <rapidcheck.h>

#include <string>
#include <vector>

#include "protocol/list/settings.hpp"

namespace spoold::tests {

using namespace spoold::list;

inline std::string one_of(std::vector<std::string> texts) {
  return *rc::gen::elementOf(std::move(texts));
}

inline std::string some_of(const std::vector<std::string>& texts, int most) {
  std::string out;
  for (int n = *rc::gen::inRange(0, most); n > 0; --n) out += one_of(texts);
  return out;
}

inline std::string some_post() {
  std::string post = one_of({"", "", "", "From a@b Sun\r\n"});
  post += some_of({"From: Anna <anna@a.example>\r\n",
                   "From: Staff: anna@a.example (a,b), Bert <b@b.example>;\r\n",
                   "From: \"=?utf-8?q?x?=, bad@evil.example\" <a@a.example>\r\n",
                   "From: =?utf-8?q?a=0D=0ABcc=3A_x=40y?= <a@a.example>\r\n",
                   "From: =?x?q?=FF?= =?utf-8?b?8J+YgA==?=\r\n <test@lists.example>\r\n",
                   "From: \xff\r\n",
                   "DKIM-Signature: v=1; d=a.example; h=from:to; b=x\r\n",
                   "Subject: Re: =?utf-8?q?=5BTest_3=5D?=\r\n =?utf-8?q?x?=\r\n",
                   "Subject: Re: x\r\n",
                   "Subject:\r\n",
                   "Reply-To: bert@b.example,\r\n\ttest@lists.example\r\n",
                   "MIME-Version: 1.0\r\n",
                   "Date: Mon, 1 Jun 2026 09:00:00 +0000\r\n",
                   "Sender: bert@b.example\r\n",
                   "To: test@lists.example\r\n",
                   "Content-Type: text/plain; charset=iso-8859-1\r\n",
                   "Content-Type: text/plain; charset=\"utf-8\"; format=flowed\r\n",
                   "Content-Type: text/html\r\n",
                   "Content-Type: multipart/alternative; boundary=b\r\n",
                   "Content-Type: multipart/signed; boundary=b\r\n",
                   "Content-Type: multipart/mixed; boundary=b\r\n",
                   "Content-Transfer-Encoding: base64\r\n",
                   "Content-Transfer-Encoding: quoted-printable\r\n",
                   "Content-Transfer-Encoding: 8bit\r\n",
                   "Content-Disposition: attachment\r\n",
                   "X-Odd : x\r\n",
                   "List-Id: <other>\r\n",
                   "Bcc: hidden\r\n",
                   "Message-ID: <a@b>\r\n"},
                  9);
  post += one_of({"\r\n", "\r\n", "\r\n", "", "no field\r\n"});
  post += some_of({"Hello\r\n", ".dot\r\n", "\r\n", "x=\r\n", "SGVsbG8=\r\n", "SGVsbG8h\r\n", "\xc3\xa4\r\n",
                   "\xff\r\n", "--b\r\n", "--b--\r\n", "no end", "\r", "\n",
                   "--b\r\nContent-Type: image/png\r\n\r\nPNG\r\n", "--b\r\nContent-Type: text/html\r\n",
                   "--b\r\nContent-Type: multipart/alternative; boundary=c\r\n\r\n--c\r\n\r\nx\r\n",
                   "--c\r\n", "--c--\r\n",
                   "--b\r\nContent-Type: message/rfc822\r\n\r\nContent-Type: multipart/signed; "
                   "boundary=c\r\n\r\n--c\r\n"},
                  12);
  return post;
}

inline List some_list() {
  List list;
  list.local = "test";
  list.domain = "lists.example";
  Settings& s = list.settings;
  const std::vector<std::string> texts = {"", "-- \nfooter\n", "\xc3\xa4 $list_name", "$user_name\n",
                                          "to $user_address, $user_delivered_to\n.\n"};
  s.header = one_of(texts);
  s.footer = one_of(texts);
  s.subject_prefix = one_of({"", "[Test]", "[Test %d]", "[T\xc3\xa4st]"});
  s.reply_to = *rc::gen::element(ReplyTo::poster, ReplyTo::list);
  s.sender_header = *rc::gen::arbitrary<bool>();
  s.anonymous = *rc::gen::inRange(0, 5) == 0;
  s.align.dmarc = *rc::gen::element(Dmarc::accept, Dmarc::munge, Dmarc::wrap, Dmarc::reject);
  s.align.when = *rc::gen::element(DmarcWhen::unaligned, DmarcWhen::always);
  s.align.signatures =
      *rc::gen::element(AuthorSignatures::keep, AuthorSignatures::remove, AuthorSignatures::rename);
  s.align.transparent = *rc::gen::inRange(0, 5) == 0;
  if (*rc::gen::arbitrary<bool>()) s.remove_headers = {"X-*", "Subject"};
  if (*rc::gen::arbitrary<bool>()) s.filter.types = {"image/*"};
  if (*rc::gen::inRange(0, 4) == 0) s.filter.pass = {"text/plain"};
  s.filter.collapse_alternatives = *rc::gen::arbitrary<bool>();
  s.one_click = *rc::gen::arbitrary<bool>();
  s.personalize = *rc::gen::element(Personalize::none, Personalize::full);
  return list;
}

}  // namespace spoold::tests
