// Store::change: an operation on the directory through the writer, with its audit event.
#include <doctest/doctest.h>

#include <future>

#include "store/blocking.hpp"
#include "store/directory/directory.hpp"
#include "tests/store/opened.hpp"

using namespace spoold;
using namespace spoold::store;
namespace dir = spoold::store::directory;

TEST_CASE("the audit event is in the commit of the change; a repeated operation leaves none") {
  Fresh s;
  const auto made = s.change(dir::CreateList{"test", "lists.example", {{"owner", "o@x.example"}}}, "create");
  REQUIRE(made);
  const auto commits = s.store->figures().commits;
  REQUIRE(s.change(dir::Subscribe{made->list.id, {{0, "anne@a.example", "", list::Delivery::regular, {}}}},
                   "subscribe"));
  CHECK(s.store->figures().commits == commits + 1);
  REQUIRE(s.change(dir::Subscribe{made->list.id, {{0, "anne@a.example", "", list::Delivery::regular, {}}}},
                   "subscribe"));
  const auto page = spool::history(Read(*s.store), noon, s.now(), 0, 100);
  REQUIRE(page.events.size() == 2);
  CHECK(page.events[1].event == "edited");
  CHECK(page.events[1].who == "test");
  CHECK(page.events[1].list == made->list.id);
  CHECK(page.events[1].detail == "added anne@a.example to test@lists.example");
}

TEST_CASE("no answer in time is `unavailable`, and the same operation again tells what became of it") {
  Fresh s;
  std::promise<void> go;
  s.store->submit({Job::Kind::change,
                   [gone = go.get_future().share()](Write&) -> Result<void> {
                     gone.wait();
                     return {};
                   },
                   nullptr});
  const dir::Operation operation{"op", "test",
                                 dir::CreateList{"test", "lists.example", {{"owner", "o@x.example"}}}};
  const auto none = dir::change(*s.store, operation, std::chrono::milliseconds(10));
  REQUIRE_FALSE(none);
  CHECK(none.error().kind == Error::Kind::unavailable);
  go.set_value();
  const auto answer = dir::change(*s.store, operation);
  REQUIRE(answer);
  CHECK(answer->repeated);
  CHECK(dir::lists(Read(*s.store), 0, 10).size() == 1);
  s.store.reset();
  s.options.open = Options::Open::read_only;
  REQUIRE(s.open());
  CHECK(dir::change(*s.store, operation).error().kind == Error::Kind::unavailable);
}
