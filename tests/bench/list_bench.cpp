// What the life of a list costs, by the office and the store, without a daemon: a line of JSON.
//   list_bench rules            a post judged by 10,000 header rules, 10,000 bans and 10,000 senders
//   list_bench bounces FOLDER   100,000 bounces of as many members: read, scored, committed, 100 callers
//   list_bench digest FOLDER    a digest of 20 posts for 100,000 members: made, accepted, expanded
//   list_bench year FOLDER      a year of a list of 10,000 by a clock of its own: a post a day, each copy settled, 1 % of the members
//                               dead: scored, disabled, warned, removed
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <future>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "protocol/list/policy.hpp"
#include "protocol/list/settings_table.hpp"
#include "server/office/acceptance.hpp"
#include "server/office/address_book.hpp"
#include "server/office/digests.hpp"
#include "server/office/report.hpp"
#include "tests/store/lists.hpp"

using namespace spoold;
using namespace spoold::server;
namespace directory = spoold::store::directory;
using Clock = std::chrono::steady_clock;

namespace {

[[noreturn]] void fail(const std::string& text) {
  std::fprintf(stderr, "list_bench: %s\n", text.c_str());
  std::exit(1);
}

template <class T>
T good(store::Result<T> result) {
  if (!result) fail(result.error().text);
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

double since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

std::array<std::uint8_t, 32> no_hmac(std::string_view) {
  return {};
}

void rules() {
  constexpr int count = 10'000, posts = 2'000;
  list::RuleTexts texts;
  for (int i = 0; i < count; ++i) {
    const std::string n = std::to_string(i);
    texts.header_rules += "hold X-Spam-" + std::to_string(i % 100) + ": ^(yes|maybe)[0-9]+ word" + n + "$\n";
    texts.bans += "spammer" + n + "@far" + n + ".example\n";
    texts.hold_these +=
        (i % 10 == 0 ? "^[a-z]+" + n + "@host[0-9]+\\.example$" : "@domain" + n + ".example") + "\n";
  }
  auto begin = Clock::now();
  const list::Rules compiled(texts);
  const double compile = since(begin);
  list::List list;
  list.local = "test", list.domain = "lists.example";
  std::string head = "From: Anne <anne@near.example>\r\nTo: test@lists.example\r\nSubject: hello\r\n";
  for (int i = 0; i < 30; ++i)
    head += "X-Spam-" + std::to_string(3 * i) + ": no, score=" + std::to_string(i) + " required=5\r\n";
  head += "\r\n";
  const auto header = mail::Header::scan(head);
  const list::MemberOf nobody = [](const std::string&) {
    return std::optional<list::Membership>(list::Membership{});
  };
  begin = Clock::now();
  for (int i = 0; i < posts; ++i) {
    const auto made = list::judge(list, compiled, list::Post(*header, "anne@near.example"), nobody);
    if (made.outcome != list::Outcome::accept) fail("the post was not accepted: " + made.reason);
  }
  std::printf("{\"compile ms\":%.1f,\"us a post\":%.1f}\n", 1000 * compile, 1e6 * since(begin) / posts);
}

/// A store with a list, and what the daemon gives to it.
struct Site : store::Opened {
  std::shared_ptr<conf::Settings> settings = std::make_shared<conf::Settings>();
  std::shared_ptr<const AddressBook> book;
  std::unique_ptr<Reports> reports;
  list::List list;

  Site(const std::string& folder, std::size_t members, directory::Texts texts) : Opened(folder) {
    settings->hostname = "mx.example";
    book = std::make_shared<const AddressBook>(settings, &no_hmac);
    reports = std::make_unique<Reports>(book);
    options.max_size = 8ull << 30;
    options.failed = [this](const store::Read& read, const store::spool::Failures& failures) {
      return reports->failed(read, failures);
    };
    options.notices = [this](const store::Read& read, const directory::Applied& applied,
                             std::string_view evidence) { return reports->notices(read, applied, evidence); };
    good(open());
    list = store::make_list(*this, "test", members);
    if (!texts.empty()) good(change(directory::SetList{list.id, std::move(texts)}));
  }

  store::Acceptance arrival(const std::string& text, const std::string& sender, const std::string& address,
                            smtp::Resolved to) {
    smtp::Transaction transaction;
    transaction.open = true;
    transaction.reverse_path = sender;
    transaction.recipients.push_back({address, std::move(to)});
    Arrival arrival{.transaction = transaction,
                    .header = std::string_view(text).substr(0, text.find("\r\n\r\n") + 4),
                    .content = {},
                    .scanned = mail::scan(text),
                    .client = "client.example ([192.0.2.1])",
                    .protocol = "ESMTP",
                    .at = now(),
                    .numbers = &store->post_numbers(),
                    .addresses = book.get()};
    arrival.content.bytes = std::make_shared<const std::string>(text);
    arrival.content.size = text.size();
    if (std::holds_alternative<smtp::to::Post>(transaction.recipients.front().to)) good(post_number(list.id));
    Disposition made = dispose(*settings, *store, arrival);
    if (made.all_refused()) fail("refused: " + made.fates.front().refusal->oneline());
    return std::move(made.acceptance);
  }
  store::Accepted post(int number) {
    const std::string n = std::to_string(number);
    return good(
        accept(arrival("From: <eve@x.example>\r\nTo: test@lists.example\r\nSubject: post " + n +
                           "\r\nMessage-ID: <" + n + "@x.example>\r\n\r\n" + std::string(4000, 'w') + "\r\n",
                       "eve@x.example", list.address(), smtp::to::Post{list.id})));
  }
};

std::string bounce_of(const std::string& address) {
  return "From: MAILER-DAEMON@far.example\r\nTo: test-bounces@lists.example\r\nSubject: Undelivered "
         "Mail\r\nMIME-Version: 1.0\r\n"
         "Content-Type: multipart/report; report-type=delivery-status; "
         "boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\n"
         "Your message could not be delivered.\r\n--b\r\nContent-Type: "
         "message/delivery-status\r\n\r\nReporting-MTA: dns; far.example\r\n\r\n"
         "Final-Recipient: rfc822; " +
         address + "\r\nAction: failed\r\nStatus: 5.1.1\r\nDiagnostic-Code: smtp; 550 5.1.1 <" + address +
         ">: user unknown\r\n\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nFrom: "
         "<eve@x.example>\r\nSubject: hello\r\n\r\nhello\r\n--b--\r\n";
}

std::string member(std::size_t i) {
  return "member" + std::to_string(i) + "@domain" + std::to_string(i % 100) + ".example";
}

void bounces(const std::string& folder) {
  constexpr std::size_t count = 100'000, callers = 100;
  Site site(folder, count, {});
  std::atomic<std::size_t> begun{0};
  std::vector<std::thread> threads;
  const auto begin = Clock::now();
  for (std::size_t n = 0; n < callers; ++n)
    threads.emplace_back([&] {
      for (std::size_t i = begun++; i < count; i = begun++) {
        auto made = site.arrival(bounce_of(member(i)), "", "test-bounces+x@lists.example",
                                 smtp::to::Bounce{site.list.id, member(i)});
        good(store::await<store::Accepted>([&](auto cb) { site.store->accept(std::move(made), cb); }));
      }
    });
  for (std::thread& thread : threads) thread.join();
  const double seconds = since(begin);
  std::printf("{\"bounces/s\":%.0f,\"100,000 s\":%.1f}\n", count / seconds, seconds);
}

void digest(const std::string& folder) {
  constexpr std::size_t count = 100'000;
  Site site(folder, count, {{"nonmembers", "accept"}});
  for (std::size_t i = 0; i < count; ++i) {
    directory::SetMember set;
    set.list = site.list.id;
    set.address = member(i);
    set.delivery = list::Delivery::digest;
    site.store->change({directory::new_operation_id(), "bench", set},
                       [](store::Result<directory::Applied> done) { good(std::move(done)); });
  }
  for (int i = 0; i < 20; ++i) site.post(i);
  const auto begin = Clock::now();
  auto made = digest_of(*site.settings, *site.store, site.list.id, site.now());
  if (!made) fail("there is no digest");
  const double making = since(begin);
  const auto accepted = good(site.accept(std::move(*made)));
  std::printf("{\"made ms\":%.1f,\"accepted ms\":%.1f,\"recipients\":%u}\n", 1000 * making,
              1000 * since(begin), site.message(accepted.ids[0])->originals);
}

void year(const std::string& folder) {
  constexpr std::size_t count = 10'000, every = 100;
  Site site(folder, count, {{"nonmembers", "accept"}, {"bounce_probe", "false"}});
  std::uint64_t copies = 0;
  const auto begin = Clock::now();
  for (int day = 0; day < 365; ++day) {
    site.post(day);
    for (auto claims = site.claim(500); !claims.empty(); claims = site.claim(500))
      for (const store::Claim& claim : claims) {
        store::Settlement settled = store::outcome_of(claim, Verdict::delivered);
        for (std::size_t i = 0; i < claim.recipients.size(); ++i) {
          const std::string& address = claim.recipients[i].address;
          if (std::strtoul(address.c_str() + 6, nullptr, 10) % every != 0 || !address.starts_with("Member"))
            continue;
          settled.outcomes[i].verdict = Verdict::failed;
          settled.outcomes[i].last.reply = {550, {5, 1, 1}, "user unknown"};
          settled.outcomes[i].last.stage = Stage::rcpt;
          settled.outcomes[i].last.at = site.now();
        }
        copies += claim.recipients.size();
        good(site.settle(std::move(settled)));
      }
    site.pass(std::chrono::hours(24));
    good(store::await<void>([&](auto cb) { site.store->tick_scores(site.now(), cb); }));
    good(store::await<void>([&](auto cb) { site.store->sweep(site.now(), cb); }));
  }
  const double seconds = since(begin);
  const auto list = directory::list(store::Read(*site.store), site.list.id);
  if (list->members != count - count / every)
    fail("the dead are members still: " + std::to_string(list->members));
  if (site.problems() != "") fail(site.problems());
  std::printf("{\"s\":%.1f,\"copies\":%llu,\"members left\":%llu}\n", seconds,
              static_cast<unsigned long long>(copies), static_cast<unsigned long long>(list->members));
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view what = argc > 1 ? argv[1] : "";
  const std::string folder = argc > 2 ? argv[2] : "";
  if (what == "rules") return rules(), 0;
  if (folder.empty() || (what != "bounces" && what != "digest" && what != "year")) {
    std::fprintf(stderr, "usage: list_bench rules | list_bench bounces|digest|year FOLDER\n");
    return 2;
  }
  if (what == "bounces") bounces(folder);
  if (what == "digest") digest(folder);
  if (what == "year") year(folder);
}
