// Signatures on the way out: who makes them, how often, over what; and that a transaction waits for its own.
#include "server/delivery/signing.hpp"

#include <doctest/doctest.h>

#include <fcntl.h>
#include <unistd.h>

#include <future>
#include <thread>

#include "protocol/auth/dkim.hpp"
#include "protocol/auth/dkim2.hpp"
#include "protocol/auth/dkim2_make.hpp"
#include "protocol/dns/zone_file.hpp"
#include "protocol/list/personal.hpp"
#include "server/auth/crypto.hpp"
#include "server/office/signing.hpp"
#include "store/spool/spool.hpp"
#include "tests/server/workshop.hpp"

using namespace spoold;
using namespace spoold::server;

namespace {

struct Keys {
  Keys() {
    const SigningKey key = SigningKey::make(auth::KeyType::ed25519);
    const std::string path = folder.path() + "/k.pem", pem = key.pem();
    const int file = ::open(path.c_str(), O_CREAT | O_WRONLY, 0600);
    REQUIRE(::write(file, pem.data(), pem.size()) == static_cast<ssize_t>(pem.size()));
    ::close(file);
    settings.dkim_keys.push_back({"here.example", "s", path, {}});
    keys = SigningKeys::read(settings, "t").value();
    zone = "s._domainkey.here.example. TXT \"" + auth::key_record(key.type(), key.public_key()) + "\"\n";
  }
  /// A key of another domain, in the configuration and in the DNS.
  void also(const std::string& domain) {
    settings.dkim_keys.push_back({domain, "s", settings.dkim_keys.front().key, {}});
    keys = SigningKeys::read(settings, "t").value();
    const std::string record = zone.substr(0, zone.find('\n') + 1);
    zone += "s._domainkey." + domain + record.substr(record.find(". TXT"));
  }
  std::string result(const std::string& mail) const {
    const auto header = mail::Header::scan(mail);
    const auto answers = dns::ZoneFile::parse(zone);
    auth::DkimCheck check(*header, store::noon, new_sha256);
    check.body(std::string_view(mail).substr(header->end()));
    check.body_end();
    for (const auto& question : check.ask()) check.answered(question, answers->answer(question));
    prove(check);
    std::string all;
    for (const auto& one : check.verdicts()) all += std::string(auth::text(one.result)) + one.reason;
    return all;
  }
  /// What DKIM2 says of it, for this envelope.
  std::string dkim2(const std::string& mail, const std::string& from, const std::string& to) const {
    const auto header = mail::Header::scan(mail);
    const auto answers = dns::ZoneFile::parse(zone);
    auth::Dkim2Check check(*header, {store::noon, from, {to}}, new_sha256, new_sha512);
    check.body(std::string_view(mail).substr(header->end()));
    check.body_end();
    for (const auto& question : check.ask()) check.answered(question, answers->answer(question));
    while (const auto proof = check.next_proof()) check.proved(verify(*proof));
    return auth::text(check.verdict().result) + check.verdict().reason;
  }
  /// To these recipients, with a place for signatures in front; `blanks`: further ones, behind the text that is named.
  store::Acceptance mail(std::vector<std::string> to, const std::string& text,
                         const std::vector<std::string>& blanks_behind = {}, bool dkim2 = false) const {
    store::Acceptance mail = store::plain(std::move(to), "");
    store::NewMessage& made = mail.messages[0];
    made.message.leading_dots = true;
    std::size_t from = 0;
    for (const std::string& marker : blanks_behind) {
      const std::size_t at = text.find(marker, from) + marker.size();
      if (from == 0)
        made.head = text.substr(0, at);
      else
        made.body.push_back({.own = text.substr(from, at - from)});
      made.body.push_back({.own = {}, .blank = list::blank(list::Value::user_delivered_to)});
      from = at;
    }
    if (from == 0)
      made.head = text;
    else if (from < text.size())
      made.body.push_back({.own = text.substr(from)});
    made.message.reverse_path = "news@here.example";
    if (dkim2) made.message.size = text.size();  // as put() does; else the store counts
    place_signatures(settings, "HERE.example", made, {},
                     dkim2 ? auth::instance_field(1, R"({"b":null})") : std::string());
    return mail;
  }

  store::Folder folder;
  conf::Settings settings;
  std::shared_ptr<const SigningKeys> keys;
  std::string zone;
};

const std::string letter = "From: anne@here.example\r\nSubject: x\r\nX-For: <\r\n\r\nbody of <\r\n.\r\n";

}  // namespace

TEST_CASE("signing: a transaction waits for its signature; the size is exact, and all copies are the same") {
  Keys keys;
  Workshop shop;
  shop.start();
  shop.delivery->use(keys.keys);
  const auto accepted =
      shop.opened.accept(keys.mail({"a@dest.example", "b@dest.example", "c@dest.example"}, letter)).value();
  shop.delivery->wake(accepted.routes);
  REQUIRE(shop.until([&] { return shop.delivered(accepted.ids[0]); }));
  REQUIRE(!shop.peer.got.empty());
  for (const auto& got : shop.peer.got) {
    CHECK(keys.result(got.content) == "pass");
    CHECK(got.content.ends_with(letter));
    CHECK(got.content == shop.peer.got.front().content);
  }
}

TEST_CASE("signing: values at several places, at the end, and far from the end of the body") {
  Keys keys;
  const std::string lines = [] {
    std::string all;
    while (all.size() < 70'000) all += "a line of the body  \t with blanks \r\n";
    return all;
  }();
  const std::string head = "From: anne@here.example\r\nSubject: x\r\nX-For: <\r\n\r\n";
  struct Case {
    std::string text;
    std::vector<std::string> blanks;
  };
  const Case cases[] = {{head + "one <\r\ntwo <\r\n\r\n", {"X-For: <", "one <", "two <"}},
                        {head + lines + "one <\r\ntwo <\r\n", {"one <", "two <"}},
                        {head + "one <" + lines + "two <\r\n", {"one <", "two <"}},
                        {head + lines + "the end <", {"the end <"}},
                        {head + " <\r\n", {"\r\n\r\n"}}};
  for (std::size_t i = 0; i < std::size(cases); ++i) {
    CAPTURE(i);
    Workshop shop;
    shop.start();
    shop.delivery->use(keys.keys);
    for (const char* to : {"a@dest.example", "bb@dest.example"}) {
      const auto accepted = shop.opened.accept(keys.mail({to}, cases[i].text, cases[i].blanks)).value();
      shop.delivery->wake(accepted.routes);
      REQUIRE(shop.until([&] { return shop.delivered(accepted.ids[0]); }));
    }
    REQUIRE(shop.peer.got.size() == 2);
    for (const auto& got : shop.peer.got) {
      std::string expected = cases[i].text;
      std::size_t from = 0;
      for (const std::string& marker : cases[i].blanks) {
        from = expected.find(marker, from) + marker.size();
        expected.insert(from, got.rcpts.front());
      }
      if (!expected.ends_with("\r\n")) expected += "\r\n";  // as DATA ends it
      CHECK(keys.result(got.content) == "pass");
      CHECK(got.content.ends_with(expected));
    }
  }
}

TEST_CASE("signing: with DKIM2 each copy is signed for its recipient, wherever copies differ besides") {
  Keys keys;
  const std::string lines(70'000, 'y');
  const std::string head = "From: anne@here.example\r\nSubject: x\r\nX-For: <\r\nFor: <\r\n\r\n";
  struct Case {
    std::string text;
    std::vector<std::string> blanks;
  };
  const Case cases[] = {{head + "body\r\n.\r\n\r\n", {}},
                        {head, {}},
                        {head + "one\r\n", {"\nFor: <"}},
                        {head + "one <\r\n", {"\nFor: <", "one <"}},
                        {head + lines + "one <\r\ntwo <\r\n", {"one <", "two <"}},
                        {head + "one <" + lines + "two <\r\n", {"one <", "two <"}}};
  for (std::size_t i = 0; i < std::size(cases); ++i) {
    CAPTURE(i);
    Workshop shop;
    shop.start();
    shop.delivery->use(keys.keys);
    for (const char* to : {"a@dest.example", "bb@dest.example"}) {
      const auto accepted = shop.opened.accept(keys.mail({to}, cases[i].text, cases[i].blanks, true)).value();
      shop.delivery->wake(accepted.routes);
      REQUIRE(shop.until([&] { return shop.delivered(accepted.ids[0]); }));
    }
    REQUIRE(shop.peer.got.size() == 2);
    for (const auto& got : shop.peer.got) {
      const std::string& to = got.rcpts.front();
      CHECK(keys.result(got.content) == "pass");
      CHECK(keys.dkim2(got.content, "news@here.example", to) == "pass");
      CHECK(keys.dkim2(got.content, "news@here.example", "c@dest.example") ==
            "permerrorDKIM2-Signature i=1 RCPT TO <c@dest.example> did not match");
      CHECK(keys.dkim2(got.content + "more\r\n", "news@here.example", to) ==
            "failMessage Instance m=1 body hash sha256 mismatch");
    }
  }
}

TEST_CASE("signing: copies that differ, in the header or in the body, are signed each for itself") {
  Keys keys;
  for (const char* where : {"X-For: <", "body of <"}) {
    Workshop shop;
    shop.start();
    shop.delivery->use(keys.keys);
    std::vector<store::Id> ids;
    for (const char* to : {"a@dest.example", "bb@dest.example", "ccc@dest.example"}) {
      const auto accepted = shop.opened.accept(keys.mail({to}, letter, {where})).value();
      ids.push_back(accepted.ids[0]);
      shop.delivery->wake(accepted.routes);
    }
    REQUIRE(shop.until(
        [&] { return std::ranges::all_of(ids, [&](store::Id id) { return shop.delivered(id); }); }));
    REQUIRE(shop.peer.got.size() == 3);
    for (const auto& got : shop.peer.got) {
      CHECK(keys.result(got.content) == "pass");
      CHECK(got.content.find(std::string(where) + got.rcpts.front() + "\r\n") != std::string::npos);
    }
  }
}

TEST_CASE(
    "signing: one form for all that ask, on another thread; another one after other keys came; none without "
    "keys") {
  Keys keys;
  store::Folder folder;
  store::Opened opened(folder.path());
  REQUIRE(opened.open());
  Signing signing(*opened.store, 2);
  signing.use(keys.keys);
  const auto message = *opened.message(opened.accept(keys.mail({"a@dest.example"}, letter)).value().ids[0]);
  std::vector<store::BlankAt> blanks;
  {
    const store::Read read(*opened.store);
    blanks = store::spool::blanks(read, message.id);
  }
  REQUIRE(blanks.size() == 1);
  CHECK(is_signed(blanks));
  CHECK(!is_individual(blanks));
  CHECK(message.size == letter.size());
  auto copy = std::make_shared<Copy>();
  copy->values.resize(1);
  const auto form = [&] {
    const auto ready = std::make_shared<std::promise<std::thread::id>>();
    auto made = signing.of(message, blanks, copy, [ready] { ready->set_value(std::this_thread::get_id()); });
    if (!made->ready()) CHECK(ready->get_future().get() != std::this_thread::get_id());
    return made;
  };
  const auto first = form();
  REQUIRE(first->copy);
  CHECK(form() == first);
  CHECK(first->size == message.size + first->copy->size());
  CHECK(keys.result(first->copy->values[0] + letter) == "pass");
  CHECK(first->copy->values[0].find("t=" + std::to_string(store::noon.time_since_epoch().count() / 1000) +
                                    ";") != std::string::npos);

  signing.use(keys.keys);
  const auto second = form();
  CHECK(second != first);
  CHECK(second->copy->values == first->copy->values);  // deterministic
  signing.use(std::make_shared<const SigningKeys>());
  CHECK(form()->copy->values[0] == "");
}

TEST_CASE("signing: of list mail by the list's domain; also by its author's, where the place says so") {
  Keys keys;
  keys.also("author.example");
  store::Folder folder;
  store::Opened opened(folder.path());
  REQUIRE(opened.open());
  Signing signing(*opened.store, 1);
  signing.use(keys.keys);
  store::Message message;
  message.id = 1;
  message.list = 1;
  message.list_address = "list@here.example";
  message.arrived = store::noon;
  const auto domains = [&](const std::string& from, list::Value place) {
    const std::string mail = "From: " + from + "\r\nSubject: x\r\n\r\nbody\r\n",
                      signed_one = signing.converted(message, {{0, list::blank(place)}}, {}, mail),
                      fields = signed_one.substr(0, signed_one.size() - mail.size());
    std::string found;
    for (std::size_t at = 0; (at = fields.find(" d=", at)) != fields.npos; ++at)
      found += fields.substr(at + 3, fields.find(';', at) - at - 3) + " ";
    return found + keys.result(fields + mail);
  };
  using list::Value;
  CHECK(domains("a@author.example", Value::signatures) == "here.example pass");
  CHECK(domains("a@author.example", Value::signatures_and_author) == "author.example here.example passpass");
  CHECK(domains("a@AUTHOR.example", Value::signatures_and_author) == "author.example here.example passpass");
  CHECK(domains("list@here.example", Value::signatures_and_author) == "here.example pass");
  CHECK(domains("a@other.example", Value::signatures_and_author) == "here.example pass");
  CHECK(domains("a@author.example, b@other.example", Value::signatures_and_author) == "here.example pass");
  message.list_address = "list@keyless.example";
  CHECK(domains("a@author.example", Value::signatures_and_author) == "author.example pass");
}

TEST_CASE(
    "signing: a place for the author's signature only where his domain has keys, and is not the list's") {
  Keys keys;
  const auto place = [&](std::string_view domain, std::string_view author) {
    store::NewMessage made;
    place_signatures(keys.settings, domain, made, author);
    return made.body.empty() ? 0 : made.body.front().blank;
  };
  constexpr int list_alone = list::blank(list::Value::signatures),
                both = list::blank(list::Value::signatures_and_author);
  CHECK(place("here.example", "") == list_alone);
  CHECK(place("here.example", "Here.Example") == list_alone);
  CHECK(place("here.example", "other.example") == list_alone);
  CHECK(place("other.example", "here.example") == both);
  CHECK(place("other.example", "other.example") == 0);
  CHECK(place("other.example", "") == 0);
}

TEST_CASE("signing: a content that is gone is an exception in the form, and the next one tries again") {
  Keys keys;
  store::Folder folder;
  store::Opened opened(folder.path());
  REQUIRE(opened.open());
  Signing signing(*opened.store, 1);
  signing.use(keys.keys);
  auto message = *opened.message(opened.accept(keys.mail({"a@dest.example"}, letter)).value().ids[0]);
  const std::vector<store::BlankAt> blanks{{0, list::blank(list::Value::signatures)}};
  auto copy = std::make_shared<Copy>();
  copy->values.resize(1);
  const auto form = [&](const store::Message& of) {
    const auto ready = std::make_shared<std::promise<void>>();
    auto made = signing.of(of, blanks, copy, [ready] { ready->set_value(); });
    if (!made->ready()) ready->get_future().wait();
    return made;
  };
  store::Message longer = message;
  ++longer.size;
  CHECK(form(longer)->failed);
  CHECK(!form(message)->failed);
}

TEST_CASE("signing: the end waits for what is being made, and calls nobody else") {
  Keys keys;
  store::Folder folder;
  store::Opened opened(folder.path());
  REQUIRE(opened.open());
  auto signing = std::make_unique<Signing>(*opened.store, 1);
  signing->use(keys.keys);
  std::atomic<int> called{0};
  std::vector<std::shared_ptr<const Form>> forms;
  auto copy = std::make_shared<Copy>();
  copy->values.resize(1);
  const std::vector<store::BlankAt> blanks{{0, list::blank(list::Value::signatures)}};
  for (int i = 0; i < 50; ++i) {
    const auto id =
        opened.accept(keys.mail({"a@dest.example"}, letter + std::string(200'000, 'x'))).value().ids[0];
    forms.push_back(signing->of(*opened.message(id), blanks, copy, [&] { ++called; }));
  }
  signing.reset();
  int ready = 0;
  for (const auto& form : forms) ready += form->ready() ? 1 : 0;
  CHECK(called == ready);
}
