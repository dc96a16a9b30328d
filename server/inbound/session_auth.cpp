// AUTH of a session: who has failed too often is refused, a name is looked up, a password is judged on a thread of its own.
#include <algorithm>

#include "server/inbound/session.hpp"
#include "store/directory/changes.hpp"

namespace spoold::server {
namespace {

namespace sasl = smtp::sasl;
using Verdict = PasswordLine::Verdict;

const smtp::Reply too_often{454, {4, 7, 0}, "too many failed logins; try again in some minutes"};
const smtp::Reply no_time{454, {4, 7, 0}, "too many logins at a time; try again later"};

std::optional<std::uint32_t> last_login(const store::directory::User& user, const std::string& network) {
  const auto here = std::ranges::find(user.networks, network, &store::directory::KnownNetwork::network);
  return here == user.networks.end() ? std::nullopt : std::optional(here->day);
}

}  // namespace

// Nobody waits for it. When it fails, the next login writes it.
void Session::know(const std::string& user, store::directory::KnownNetwork network) {
  store::directory::Operation operation;
  operation.who = "login";
  operation.change = store::directory::KnowNetwork{user, std::move(network)};
  reception_.store.change(std::move(operation), [](const store::Result<store::directory::Applied>&) {});
}

sasl::Answer Session::login_failed(const std::string& user, smtp::Reply reply) {
  log_.login_failed(user, reply);
  return reply;
}

// Everything but a password takes microseconds, and is done here.
Awaitable<smtp::ServerDialog::Answer> Session::log_in() {
  sasl::Question question = std::get<sasl::Question>(dialog_.asked());
  // What is longer than a name can be is cut: it goes to the log, and into tables.
  const auto name_in = [](const auto& asked) {
    return asked.user.substr(0, store::directory::longest_user_name + 1);
  };
  const std::string user = std::visit(name_in, question);
  const std::string network = peer_.counted_by().front();
  // The Read ends with the expression: none may live while something is awaited.
  std::optional<store::directory::User> found =
      store::directory::find_user(store::Read(reception_.store), user);
  const std::uint32_t today = store::directory::day_of(reception_.store.now());
  const auto last = found ? last_login(*found, network) : std::nullopt;
  if (last && *last <= today)
    reception_.penalties.remember(network, user, std::chrono::days(today - *last), Penalties::Clock::now());
  if (reception_.penalties.refuses(network, user, Penalties::Clock::now()))
    co_return login_failed(user, too_often);
  const PasswordJudge& judge = reception_.passwords->judge;
  if (std::holds_alternative<sasl::ScramKeys>(question)) co_return sasl::Answer(judge.salt(user, found));
  Verdict verdict = Verdict::wrong;
  sasl::Answer right = sasl::Right();
  if (const auto* proof = std::get_if<sasl::ScramProof>(&question)) {
    if (auto signature = judge.signature(found, *proof)) {
      verdict = Verdict::right;
      right = *std::move(signature);
    }
  } else {
    std::string password = std::move(std::get<sasl::Password>(question).password);
    verdict = co_await reception_.passwords->right(executor(), std::move(found), std::move(password));
  }
  if (verdict == Verdict::unavailable) co_return login_failed(user, no_time);
  if (verdict == Verdict::wrong) {
    reception_.penalties.failed(network, user, Penalties::Clock::now());
    co_return login_failed(user, sasl::wrong_credentials());
  }
  reception_.penalties.succeeded(network, user, Penalties::Clock::now());
  if (last != today) know(user, {network, today});
  ++reception_.stats.logins;
  co_return right;
}

}  // namespace spoold::server
