// Whose signatures hold in a copy: told by what verified on arrival and what the draft changes.
#include "protocol/auth/alignment.hpp"

#include <doctest/doctest.h>

#include <optional>

using namespace spoold;
using namespace spoold::auth;

namespace {

const std::string signature =
    "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=a.example; s=s;\r\n h=from:subject:to:to; "
    "bh=AAAA; b=BBBB\r\n";
const std::string post =
    signature +
    "From: Anna <anna@a.example>\r\nSubject: hello\r\nTo: test@lists.example\r\nX-Other: 1\r\n\r\nHello\r\n";

struct Judged {
  explicit Judged(const std::string& text)
      : octets(text),
        header(*mail::Header::scan(octets)),
        scanned(mail::scan(octets)),
        draft(header, scanned) {
    found.dmarc.emplace();
    found.dmarc->domain = "a.example";
    for (const mail::Field& field : header.fields()) {
      if (field.name != "DKIM-Signature") continue;
      DkimVerdict& one = found.dkim.emplace_back();
      const DkimSignature read = DkimSignature::parse(field.value, {});
      one.domain = read.domain;
      one.result = DkimResult::pass;
    }
  }
  bool aligned() const { return Alignment(header, &found).aligned(draft); }
  std::size_t broken() const { return Alignment(header, &found).broken(draft).size(); }

  const std::string octets;
  const mail::Header header;
  const mail::Scanned scanned;
  mail::Draft draft;
  Verified found;
};

}  // namespace

TEST_CASE("alignment: what a signature does not cover may change") {
  Judged one(post);
  CHECK(one.aligned());
  one.draft.prepend("Received: by us\r\n");
  one.draft.append("List-Id: <test.lists.example>\r\n");
  one.draft.remove([](const mail::Field& field) { return field.name == "X-Other"; });
  one.draft.append("Subject2: x\r\n");
  CHECK(one.aligned());
  CHECK(one.broken() == 0);
}

TEST_CASE("alignment: a change of what it covers breaks it") {
  const auto aligned = [](auto change) {
    Judged one(post);
    change(one.draft);
    CHECK(one.broken() == (one.aligned() ? 0 : 1));
    return one.aligned();
  };
  CHECK(!aligned([](mail::Draft& d) { d.replace("Subject", "Subject: [Test] hello\r\n"); }));
  CHECK(!aligned([](mail::Draft& d) { d.replace("From", "From: test@lists.example\r\n"); }));
  CHECK(!aligned(
      [](mail::Draft& d) { d.append("To: second@lists.example\r\n"); }));  // signed twice, there once
  CHECK(!aligned([](mail::Draft& d) { d.prepend("To: second@lists.example\r\n"); }));
  CHECK(!aligned(
      [](mail::Draft& d) { d.append("Subject: second\r\n"); }));  // the lowest is the one that is signed
  CHECK(aligned([](mail::Draft& d) { d.prepend("Subject: second\r\n"); }));
  CHECK(!aligned(
      [](mail::Draft& d) { d.remove([](const mail::Field& f) { return f.name == "DKIM-Signature"; }); }));
  CHECK(!aligned([](mail::Draft& d) { d.insert(d.content().size, {{"footer\r\n", 0}}); }));
  // relaxed: case and blanks do not count.
  CHECK(aligned([](mail::Draft& d) { d.replace("Subject", "SUBJECT:   hello \r\n"); }));
}

TEST_CASE("alignment: whose signature counts") {
  Judged one(post);
  one.found.dkim.front().result = DkimResult::fail;
  CHECK(!one.aligned());
  CHECK(one.broken() == 1);
  one.found.dkim.front().result = DkimResult::pass;
  one.found.dkim.front().domain = "other.example";
  CHECK(!one.aligned());
  // By the record of the author's domain (relaxed alignment).
  one.found.dmarc->alignments.push_back({{Identifier::By::spf, "other.example"}, true, {}});
  CHECK(!one.aligned());
  one.found.dmarc->alignments.push_back({{Identifier::By::dkim, "other.example"}, true, {}});
  CHECK(one.aligned());
  CHECK(!Alignment(one.header, nullptr).aligned(one.draft));
  CHECK(Alignment(one.header, nullptr).broken(one.draft).empty());
  one.draft.replace("Subject", "Subject: other\r\n");
  CHECK(Alignment(one.header, nullptr).broken(one.draft).size() == 1);
}

TEST_CASE("alignment: the policy that counts; what is not known counts as reject") {
  using Policy = list::Authenticity::Policy;
  Judged one(post);
  const auto policy = [&] { return Alignment(one.header, &one.found).policy(); };
  CHECK(Alignment(one.header, nullptr).policy() == Policy::reject);
  CHECK(policy() == Policy::none);
  one.found.dmarc->result = DmarcResult::temperror;
  CHECK(policy() == Policy::reject);
  one.found.dmarc->policy = DmarcPolicy::quarantine;
  CHECK(policy() == Policy::quarantine);
  one.found.dmarc->record.emplace();
  CHECK(policy() == Policy::quarantine);
  one.found.dmarc->record->testing = true;
  CHECK(policy() == Policy::none);
  one.found.dmarc.reset();
  CHECK(policy() == Policy::reject);
}

TEST_CASE(
    "alignment: a copy that we sign for its author is aligned, whatever is done to it and was verified") {
  Judged one(post);
  one.draft.replace("Subject", "Subject: other\r\n");
  CHECK(!one.aligned());
  CHECK(Alignment(one.header, &one.found, true).aligned(one.draft));
  CHECK(Alignment(one.header, nullptr, true).aligned(one.draft));
  CHECK(Alignment(one.header, &one.found, true).broken(one.draft).size() == 1);  // his own signature
}

TEST_CASE("alignment: over-signed and signed names") {
  Judged one(post);
  const Alignment alignment(one.header, &one.found);
  CHECK(alignment.over_signed("To"));
  CHECK(!alignment.over_signed("Subject"));
  CHECK(!alignment.over_signed("X-Other"));
  CHECK(alignment.is_signed("SUBJECT"));
  CHECK(!alignment.is_signed("X-Other"));
  CHECK(alignment.author_domain() == "a.example");
}

TEST_CASE("alignment: what filters changed before lists see it") {
  const Judged came(post);
  const auto after = [&](const std::string& text, bool body = false) {
    const auto now = mail::Header::scan(text);
    return after_changes(came.found, came.header, *now, body).dkim;
  };
  CHECK(after("X-Spam: no\r\n" + post).at(0).result == DkimResult::pass);
  CHECK(after(post, true).at(0).result == DkimResult::fail);
  CHECK(after("Subject: second\r\n" + post).at(0).result == DkimResult::pass);  // the lowest one is signed
  std::string changed = post;
  changed.replace(changed.find("hello"), 5, "spam!");
  CHECK(after(changed).at(0).result == DkimResult::fail);
  // A filter's own signature stands in front: each verdict stays with its field.
  const auto both = after("DKIM-Signature: v=1; d=other.example\r\n" + post);
  REQUIRE(both.size() == 2);
  CHECK((both[0].result == DkimResult::neutral && both[1].result == DkimResult::pass));
  CHECK(after(post.substr(signature.size())).empty());
}
