#include "server/delivery/lane.hpp"

#include <algorithm>
#include <utility>

#include "conf/load.hpp"
#include "protocol/mail/ascii.hpp"
#include "protocol/mail/mailbox.hpp"
#include "server/log.hpp"
#include "store/spool/spool.hpp"
#include "store/txn.hpp"

namespace spoold::server {
namespace {

delivery::Limits limits_of(const conf::Settings& settings, const Way& way) {
  const conf::Delivery& conf = settings.delivery;
  const conf::Destination* own = way.destination();
  delivery::Limits limits;
  limits.recipients_per_transaction = static_cast<std::uint32_t>(conf.recipients_per_transaction);
  limits.lmtp = way.lmtp();
  limits.configured_next_hop = !way.by_mx();
  limits.retry = conf.retry;
  limits.lifetime = conf.lifetime;
  limits.isolation_waits = conf.isolation_waits;
  limits.isolation_budget = static_cast<std::uint32_t>(conf.isolation_budget);
  limits.isolation_window = conf.isolation_window;
  const bool of_group = way.group() && way.group()->rate > 0;
  if (own != nullptr && own->rate && !of_group) {
    limits.rate = own->rate->count;
    limits.rate_per = own->rate->per;
  }
  return limits;
}

}  // namespace

Lane::Lane(DeliveryContext& context, asio::io_context& io, WireCache& wires, std::shared_ptr<TlsClient> tls,
           Keeper& keeper, std::shared_ptr<const conf::Settings> settings, std::string route,
           std::uint64_t seed)
    : context_(context),
      io_(io),
      wires_(wires),
      tls_(std::move(tls)),
      route_(std::move(route)),
      settings_(std::move(settings)),
      way_(context.resolver, io, settings_, route_, [this] { guarded([this] { way_changed(); }); }),
      planner_(limits_of(*settings_, way_), seed),
      random_(static_cast<unsigned>(seed)),
      hand_(route_),
      timer_(io),
      keeper_(keeper) {
  const store::Read read(context_.store);
  if (auto row = store::spool::host(read, route_)) {
    written_ = std::move(row->memory);
    planner_ = make_planner(written_);
  }
  for (store::Suspect& row : store::spool::suspects(read, route_)) {
    std::string key = mail::lower(row.address);
    suspects_.emplace(std::move(key), std::move(row));
  }
}

Lane::~Lane() {
  *alive_ = false;
  for (const auto& session : std::exchange(sessions_, {})) session->abort();
}

delivery::Planner Lane::make_planner(const delivery::HostMemory& memory) {
  return delivery::Planner(limits_of(*settings_, way_), random_(), memory, now());
}

// What applies to it may depend on its MX hosts.
void Lane::way_changed() {
  planner_.reconfigure(limits_of(*settings_, way_));
  group_ = way_.group() ? context_.groups.of(*way_.group(), now()) : nullptr;
  group_until_ = {};
  planner_.join(group_);
  soon();
}

std::uint32_t Lane::connection_limit() const {
  const conf::Destination* own = way_.destination();
  const int limit = own != nullptr && own->connections ? *own->connections
                                                       : settings_->delivery.connections_per_destination;
  return static_cast<std::uint32_t>(std::max(limit, 1));
}

// ---- turns

void Lane::soon() {
  if (std::exchange(turn_asked_, true)) return;
  asio::post(io_, [this, alive = alive_] {
    if (*alive) guarded([this] { turn(); });
  });
}

void Lane::wake() {
  next_due_ = std::min(next_due_, now());
  soon();
}

void Lane::turn() {
  turn_asked_ = false;
  const TimePoint at = now();
  const bool trouble = settle_failed_ || !context_.store.trouble().empty();
  if (trouble_ && !trouble) poke_ = true;
  trouble_ = trouble;
  if (planner_.wake_at() <= at) {
    planner_.tick(at);
    poke_ = true;
  }
  collect();
  settle();
  if (claim_read_) take_claims();
  if (!claiming_) answer_withdrawals();
  if (stopping_) {
    release_all();
  } else {
    claim_more();
    open_connections();
  }
  feed_idle();
  return_grant();
  release_in_line();
  collect();
  settle();
  set_timer();
  if (at_rest()) {
    planner_.shrink();
    const TimePoint host = planner_.receptive(at) ? TimePoint{} : planner_.health(at).until;
    Keeper::Rest rest{next_due_, host, planner_.forgettable(at)};
    if (group_) rest.group = group_->name();
    if (waits_for_group()) rest.host = std::max(rest.host, group_until_);
    return keeper_.idle(*this, rest);
  }
  if (stopping_ && stopped_ && sessions_.empty() && !claiming_ && hand_.empty() && settling_.empty())
    std::exchange(stopped_, nullptr)();
}

void Lane::set_timer() {
  TimePoint at = planner_.wake_at();
  const bool room = hand_.open() <= hand_target() * 3 / 4;
  if (!stopping_ && !claiming_ && !trouble_ && room && planner_.receptive(now()))
    at = std::min(at, next_due_);
  if (settle_at_ != TimePoint{}) at = std::min(at, settle_at_);
  if (trouble_) at = std::min(at, now() + std::chrono::seconds(1));
  if (group_until_ > now()) at = std::min(at, group_until_);
  if (claim_read_) at = std::min(at, read_at_);
  if (connect_at_ > now()) at = std::min(at, connect_at_);
  if (look_again_) at = std::min(at, now() + std::chrono::milliseconds(200));
  // Only idle sessions are asked again by the clock; one with a content unanswered would make every turn the
  // next one's cause.
  for (const auto& session : sessions_)
    if (session->idle()) at = std::min(at, session->ask_at);
  if (at == TimePoint::max()) return;
  const Duration wait = std::clamp<Duration>(at - now(), Duration(1), std::chrono::hours(1));
  const Clock::time_point when = Clock::now() + wait;
  if (timer_at_ > Clock::now() && timer_at_ <= when) return;  // it comes earlier: that turn sets it again
  timer_at_ = when;
  timer_.expires_at(when);
  timer_.async_wait([this, alive = alive_](std::error_code error) {
    if (error || !*alive) return;
    timer_at_ = Clock::time_point::max();
    soon();
  });
}

// ---- connections

void Lane::open_connections() {
  look_again_ = false;
  const TimePoint at = now();
  if (!may_begin() || at < connect_at_) return;
  std::uint32_t wanted = planner_.connections_wanted(static_cast<std::uint32_t>(sessions_.size()), at);
  if (wanted == 0 || !way_is_known(at)) return;
  const auto login = credentials();
  if (login && !login->fault.empty()) return pause(login->fault);
  const conf::Settings& settings = *settings_;
  const conf::Destination* own = way_.destination();
  for (; wanted > 0 && sessions_.size() < connection_limit(); --wanted) {
    std::unique_ptr<Seat> seat;
    if (group_ && !(seat = take_seat(at))) return return_grant();
    if (!std::exchange(granted_, false) && !context_.connections.take()) {
      if (sessions_.empty() && !std::exchange(in_line_, true)) keeper_.stand_in_line(*this);
      return;
    }
    smtp::ClientDialog::Options options;
    options.lmtp = way_.lmtp();
    options.hostname = settings.hostname;
    options.timeouts = settings.delivery.timeouts;
    if (own != nullptr && own->pipelining) options.pipelining = *own->pipelining;
    options.credentials = login;
    auto session = std::make_shared<OutboundSession>(*this, io_.get_executor(),
                                                     way_.targets(random_(), context_.turn++, at),
                                                     std::move(options), security(own));
    session->seat = std::move(seat);
    sessions_.push_back(session);
    ++context_.stats.sessions_out;
    ++context_.stats.open_out;
    session->start();
  }
}

void Lane::forget(OutboundSession& session) {
  const auto at =
      std::find_if(sessions_.begin(), sessions_.end(), [&](const auto& s) { return s.get() == &session; });
  if (at == sessions_.end()) return;
  context_.stats.bytes_out += session.bytes_out();
  if (session.overlap_refused()) planner_.overlap_refused(now());
  context_.connections.give(session.yields);
  gave_way_ = gave_way_ || (session.seat && session.seat->yields());
  session.seat.reset();
  group_until_ = {};
  --context_.stats.open_out;
  asio::post(io_, [keep = std::move(*at)] {});  // it may be on the stack below us
  sessions_.erase(at);
  poke_ = true;
  soon();
}

// Sessions that have nothing to do ask again when there may be something, and at the time the planner named.
void Lane::feed_idle() {
  const TimePoint at = now();
  const bool poke = std::exchange(poke_, false) || stopping_;
  const auto all = sessions_;
  for (const auto& session : all)
    if (session->idle() && (poke || session->ask_at <= at)) session->pump();
}

void Lane::connected(OutboundSession& session) {
  const smtp::Capabilities& offered = session.offered();
  const delivery::PeerLimits limits{offered.rcpt_max.value_or(0), offered.rcpt_domain_max.value_or(0)};
  session.connection = planner_.connected(session.remote(), now(), limits, session.tls());
  way_.unreached(session.passed_over(), now());
  pause_ = {};
  pause_why_.clear();
  log_plain_text(session);
  soon();
}

void Lane::failed(OutboundSession& session, const LastReply& why) {
  LastReply last = why;
  last.at = now();
  if (!stopping_) {  // else it was our own stop that ended the attempt
    if (session.refused_by_all() && way_.all_hosts_in(session.targets()))
      planner_.no_host_takes_mail(last, now());
    else
      planner_.connect_failed(last.stage, last, now());
    memory_stale_ = true;
    log::event(log::Level::warning, "unreachable",
               {{"relay", last.remote}, {"stage", label(last.stage)}, {"reply", last.reply.oneline()}});
  }
  forget(session);
}

std::optional<smtp::ClientDialog::Mail> Lane::next(OutboundSession& session) {
  session.ask_at = TimePoint::max();
  if (stopping_) {
    give_back_unready(session);
    session.quit();
    return std::nullopt;
  }
  if (session.unready) return take_converted(session);
  if (!may_begin() || gives_way(session, false)) return std::nullopt;
  delivery::Next next = planner_.next(session.connection, now());
  if (next.what == delivery::Next::Do::wait) {
    const bool nothing_due = !claiming_ && next_due_ > now();
    if (gives_way(session, session.idle() && nothing_due)) return std::nullopt;
    session.ask_at = next.until;
    return std::nullopt;
  }
  if (next.what == delivery::Next::Do::quit) {
    session.quit();
    return std::nullopt;
  }
  smtp::ClientDialog::Mail mail;
  mail.plan = std::move(next.transaction);
  Hand::Held* held = hand_.find(mail.plan.message);
  mail.size = held->message.size;
  mail.eight_bit = held->message.eight_bit;
  mail.addresses.reserve(mail.plan.recipients.size());
  for (const std::uint32_t number : mail.plan.recipients) {
    const store::Recipient* recipient = hand_.recipient(mail.plan.message, number);
    if (mail.addresses.empty()) mail.sender = sender_of(*held, *recipient);
    mail.addresses.push_back(recipient->address);
  }
  request_reports(session, *held, mail);
  if (!needs_conversion(session, held->message)) return mail;
  begin_conversion(session, held->message, std::move(mail));
  return take_converted(session);
}

// lists.md A2: what the post decided when it was accepted, for this recipient.
std::string Lane::sender_of(Hand::Held& held, const store::Recipient& recipient) {
  const store::Message& message = held.message;
  if (message.list == 0) return message.reverse_path;
  const mail::Address address(message.list_address);
  list::List list;
  list.id = message.list;
  list.local = address.local;
  list.domain = address.domain;
  if (message.copies != list::Copies::each_verp)
    return message.reverse_path.empty() ? list::bounces_address(list) : message.reverse_path;
  if (!held.verp)  // of the epoch it arrived in: each try uses the same sender (greylisting, callouts)
    held.verp.emplace(list, message.verp_format, settings_->verp.delimiter, list::verp_epoch(message.arrived),
                      context_.hmac);
  std::string sender;
  held.verp->append(sender, recipient.address, recipient.member);
  return sender;
}

bool Lane::sending(OutboundSession& session, delivery::MessageId message, std::uint32_t number) {
  return planner_.sending(session.connection, message, number, now());
}

OutboundSession::Content Lane::content(OutboundSession&, delivery::MessageId message, bool chunk) {
  const store::Message& m = hand_.find(message)->message;
  if (Wire wire = wires_.get(m, chunk)) return wire;
  return std::make_unique<WireStream>(context_.store, m, chunk);
}

void Lane::heard(OutboundSession& session, delivery::Observation seen) {
  planner_.report(session.connection, seen, now());
  poke_ = true;
  soon();
}

void Lane::gone(OutboundSession& session, bool in_order, const delivery::Drop& drop,
                std::vector<delivery::Observation> open) {
  if (in_order) {
    planner_.closed(session.connection, now());
  } else {
    log::event(log::Level::info, "dropped",
               {{"relay", session.remote()}, {"stage", label(drop.oldest)}, {"reply", drop.text}});
    planner_.dropped(session.connection, drop, open, now());
    name_in_doubt(session);
    memory_stale_ = true;
  }
  forget(session);
}

// ---- the operator

void Lane::withdraw(store::Id message, std::vector<std::uint32_t> numbers,
                    std::function<void(std::vector<delivery::Withdrawal>)> done) {
  withdrawals_.push_back({message, std::move(numbers), std::move(done)});
  soon();
}

// With no claim in flight: what the planner does not know is not in this lane's hand.
void Lane::answer_withdrawals() {
  for (Withdraw& asked : std::exchange(withdrawals_, {})) {
    std::vector<delivery::Withdrawal> answers;
    Hand::Held* held = hand_.find(asked.message);
    for (const std::uint32_t number : asked.numbers) {
      const auto answer =
          held == nullptr ? delivery::Withdrawal::idle : planner_.withdraw(asked.message, number);
      if (answer == delivery::Withdrawal::withdrawn) held->withdrawn.insert(number);
      answers.push_back(answer);
    }
    asked.done(std::move(answers));
  }
}

void Lane::give_back(store::Id message, const std::vector<std::uint32_t>& numbers) {
  for (const std::uint32_t number : numbers) {
    Hand::Held* held = hand_.find(message);
    if (held == nullptr || !held->withdrawn.contains(number)) continue;
    release(message, number, now());
  }
  soon();
}

void Lane::release(store::Id message, std::uint32_t number, TimePoint next) {
  Outcome outcome;
  outcome.number = number;
  outcome.charged = false;
  outcome.next_attempt = next;
  hand_.close(message, std::move(outcome));
}

void Lane::retry_now(store::Id message) {
  planner_.retry_now(message, now());
  wished_ = now();
  poke_ = true;
  wake();
}

// ---- the end

void Lane::stop(std::function<void()> stopped) {
  stopping_ = true;
  stopped_ = std::move(stopped);
  for (const auto& session : std::vector(sessions_)) {
    if (!session->established()) session->abort();
  }
  soon();
}

void Lane::abort() {
  for (const auto& session : std::vector(sessions_)) session->abort();
  soon();
}

// What is not on the wire goes back to the queue, so that the next start need not take it for a possible
// duplicate.
void Lane::release_all() {
  for (const auto& [message, number] : hand_.all_open(stopping_)) {
    const auto answer = planner_.withdraw(message, number);
    if (answer != delivery::Withdrawal::committed) release(message, number, now());
  }
}

}  // namespace spoold::server
