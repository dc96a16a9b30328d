// Conversion to seven bits: who makes a form, how often, who is called; and what a lane does meanwhile.
#include "server/delivery/seven_bit.hpp"

#include <doctest/doctest.h>

#include <future>
#include <thread>

#include "server/delivery/signing.hpp"
#include "tests/server/workshop.hpp"

using namespace spoold;
using namespace spoold::server;

namespace {

struct Converting {
  Converting() : opened(folder.path()) {
    if (auto ok = opened.open(); !ok) throw std::runtime_error(ok.error().text);
    signing = std::make_unique<Signing>(*opened.store, 1);
    seven_bit = std::make_unique<SevenBit>(*opened.store, *signing);
  }
  store::Message message(const std::string& body) {
    store::Acceptance mail = store::plain({"a@dest.example"}, "Subject: x\r\n\r\n" + body);
    mail.messages[0].message.eight_bit = true;
    return *opened.message(opened.accept(std::move(mail))->ids[0]);
  }
  /// The form when it is ready, and the thread that said so where it was not ready at once.
  std::shared_ptr<const Form> form(const store::Message& about) {
    const auto ready =
        std::make_shared<std::promise<std::thread::id>>();  // set_value() may outlast the wait for it
    auto form = seven_bit->of(about, nullptr, [ready] { ready->set_value(std::this_thread::get_id()); });
    called_by = form->ready() ? std::thread::id() : ready->get_future().get();
    return form;
  }
  store::Folder folder;
  store::Opened opened;
  std::unique_ptr<Signing> signing;
  std::unique_ptr<SevenBit> seven_bit;
  std::thread::id called_by;
};

}  // namespace

TEST_CASE("a form is made on another thread, once for all that ask") {
  Converting it;
  const store::Message large = it.message(std::string(3'000'000, '\xfc') + "\r\n");
  std::atomic<int> called{0};
  std::promise<void> all;
  std::shared_ptr<const Form> forms[3];
  for (auto& form : forms)
    form = it.seven_bit->of(large, nullptr, [&] {
      if (++called == 3) all.set_value();
    });
  CHECK(forms[0] == forms[1]);
  CHECK(forms[0] == forms[2]);
  all.get_future().wait();
  REQUIRE(forms[0]->ready());
  CHECK(forms[0]->why_not == "");
  CHECK(forms[0]->size ==
        forms[0]->copy->chunk->octets.size() - (forms[0]->copy->chunk == forms[0]->copy->data ? 3 : 0));
  CHECK(it.form(large) == forms[0]);
  CHECK(it.called_by == std::thread::id());
  CHECK(called == 3);
}

TEST_CASE("the form for DATA has its dots stuffed, the form for BDAT has not") {
  Converting it;
  const auto dots = it.form(it.message("." + std::string(40, 'z') + "\xc3\xbc\r\n"));
  CHECK(it.called_by != std::this_thread::get_id());
  CHECK(dots->copy->data->octets.ends_with("\r\n\r\n.." + std::string(40, 'z') + "=C3=BC\r\n.\r\n"));
  CHECK(dots->copy->chunk->octets.ends_with("\r\n\r\n." + std::string(40, 'z') + "=C3=BC\r\n"));
  CHECK(dots->size == dots->copy->chunk->octets.size());
  const auto none = it.form(it.message("\xc3\xbc\r\n"));
  CHECK(none->copy->data == none->copy->chunk);
  CHECK(none->size == none->copy->data->octets.size() - 3);
}

TEST_CASE("what cannot be converted has a reason; what cannot be read is an exception, and tried again") {
  Converting it;
  CHECK(it.form(it.message(std::string(10 << 20, '\xfc')))->why_not.find("larger than the 10485760") !=
        std::string::npos);
  const store::Message message = it.message(std::string(100'000, '\xfc') + "\r\n");
  const store::Key chunk = store::Key().u64(message.content).u32(2);
  const std::string was(*store::Read(*it.opened.store).get(store::Table::content, chunk));
  const auto make = [&](bool there) {
    REQUIRE(it.opened.change([&](store::Write& write) -> store::Result<void> {
      if (there)
        write.put(store::Table::content, chunk, was);
      else
        write.del(store::Table::content, chunk);
      return {};
    }));
  };
  make(false);
  const auto failed = it.form(message);
  CHECK(failed->failed);
  CHECK_FALSE(failed->copy);
  make(true);
  const auto made = it.form(message);
  CHECK(made != failed);
  CHECK_FALSE(made->failed);
  CHECK(made->copy);
}

TEST_CASE("the end waits for the conversion that runs, and calls nobody for those that have not begun") {
  Converting it;
  int called = 0;
  std::vector<std::shared_ptr<const Form>> forms;
  for (int i = 0; i < 20; ++i)
    forms.push_back(it.seven_bit->of(it.message(std::string(1'000'000, '\xfc') + std::to_string(i) + "\r\n"),
                                     nullptr, [&] { ++called; }));
  it.seven_bit.reset();
  int ready = 0;
  for (const auto& form : forms) ready += form->ready() ? 1 : 0;
  CHECK(called == ready);
}

namespace {

/// 9 MB with octets above 127, for a next hop that takes none.
store::Acceptance large_eight_bit() {
  std::string bytes = "Subject: x\r\n\r\n";
  while (bytes.size() < 9'000'000) bytes += std::string(69, 'z') + "\xc3\xbc\r\n";
  store::Acceptance mail = store::plain({"a@dest.example"}, std::move(bytes));
  mail.messages[0].message.eight_bit = true;
  return mail;
}

/// Runs on the loop as often as the loop has turns.
struct Turns {
  explicit Turns(asio::io_context& io) : io_(io) { next(); }
  void next() {
    asio::post(io_, [this] {
      ++count;
      if (counting) next();
    });
  }
  asio::io_context& io_;
  std::size_t count = 0;
  bool counting = true;
};

}  // namespace

TEST_CASE("a content of 9 MB is converted off the loop: everybody else has his turns meanwhile") {
  Workshop shop;
  shop.peer.eight_bit = false;
  Turns turns(shop.io);
  std::size_t at_ehlo = 0, at_mail = 0;
  shop.peer.script = [&](const std::string& stage, const std::string&) -> std::string {
    if (stage == "ehlo") at_ehlo = turns.count;
    if (stage == "mail") at_mail = turns.count;
    return "";
  };
  shop.start();
  const auto accepted = shop.opened.accept(large_eight_bit()).value();
  shop.delivery->wake(accepted.routes);
  REQUIRE(shop.until([&] { return at_mail > 0; }));
  CHECK(at_mail - at_ehlo > 200);  // on the loop it was a handful
  REQUIRE(shop.until([&] { return shop.delivered(accepted.ids[0]); }));
  turns.counting = false;
  REQUIRE(shop.peer.got.size() == 1);
  const std::string& copy = shop.peer.got[0].content;
  CHECK(std::all_of(copy.begin(), copy.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; }));
  shop.rest(std::chrono::milliseconds(10));
}

TEST_CASE(
    "stop while a content is being converted: its recipients are in the queue again, and nothing was sent") {
  Workshop shop;
  shop.peer.eight_bit = false;
  bool connected = false;
  shop.peer.script = [&](const std::string& stage, const std::string&) -> std::string {
    connected = connected || stage == "ehlo";
    return "";
  };
  shop.start();
  const auto accepted = shop.opened.accept(large_eight_bit()).value();
  shop.delivery->wake(accepted.routes);
  REQUIRE(shop.until([&] { return connected; }));
  shop.rest(std::chrono::milliseconds(5));
  bool stopped = false;
  shop.delivery->stop(std::chrono::hours(1), [&] { stopped = true; });
  REQUIRE(shop.until([&] { return stopped; }));
  CHECK(shop.waits(accepted.ids[0]));
  CHECK(shop.all(accepted.ids[0], [](const auto& r) { return r.attempts == 0 && !r.possible_duplicate; }));
  for (const std::string& line : shop.peer.log) CHECK(line.find("MAIL") == std::string::npos);
  CHECK(shop.thrown.empty());
  shop.delivery.reset();
}
