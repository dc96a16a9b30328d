#include "server/delivery/lane.hpp"

#include <algorithm>
#include <utility>

#include "conf/load.hpp"
#include "protocol/mail/ascii.hpp"
#include "server/delivery/dsn_of_hop.hpp"
#include "server/delivery/lane_log.hpp"
#include "server/log.hpp"
#include "server/office/replies.hpp"
#include "store/spool/spool.hpp"
#include "store/txn.hpp"

namespace spoold::server {
namespace {

delivery::Limits limits_of(const conf::Settings& settings, const Way& way, bool lifetimes) {
  const conf::Delivery& conf = settings.delivery;
  const conf::Destination* own = way.destination();
  delivery::Limits limits;
  limits.recipients_per_transaction = static_cast<std::uint32_t>(conf.recipients_per_transaction);
  limits.lmtp = way.lmtp();
  limits.configured_next_hop = !way.by_mx();
  limits.retry = conf.retry;
  if (lifetimes) limits.lifetime = conf.lifetime;
  limits.isolation_waits = conf.isolation_waits;
  limits.isolation_budget = static_cast<std::uint32_t>(conf.isolation_budget);
  limits.isolation_window = conf.isolation_window;
  if (way.group()) limits.messages = way.group()->messages;
  limits.replies = reply_table(settings);
  const bool of_group = way.group() && way.group()->rate > 0;
  if (own != nullptr && own->rate && !of_group) {
    limits.rate = own->rate->count;
    limits.rate_per = own->rate->per;
  }
  return limits;
}

Outbox outbox_of(store::Store& store, const std::string& route) {
  const store::Read read(store);
  auto row = store::spool::host(read, route);
  return Outbox(route, row ? std::move(row->memory) : delivery::HostMemory{},
                store::spool::suspects(read, route));
}

}  // namespace

Lane::Lane(DeliveryContext& context, LaneThread& thread, Keeper& keeper, std::string route,
           std::uint64_t seed)
    : context_(context),
      thread_(thread),
      keeper_(keeper),
      route_(std::move(route)),
      settings_(thread.settings),
      way_(context.resolver, thread.io, settings_, route_, [this] { guarded([this] { way_changed(); }); }),
      outbox_(outbox_of(context.store, route_)),
      random_(static_cast<unsigned>(seed)),
      planner_(make_planner(outbox_.written())),
      claiming_(static_cast<std::size_t>(settings_->delivery.recipients_per_transaction)),
      claims_(route_),
      place_(context.connections, keeper, route_),
      alarm_(thread.io, [this] { soon(); }) {}

Lane::~Lane() {
  *alive_ = false;
  for (const auto& session : std::exchange(sessions_, {})) {
    session->abort();
    session->ticket.reset();  // a session may outlive what its ticket belongs to
  }
}

delivery::Planner Lane::make_planner(const delivery::HostMemory& memory) {
  return delivery::Planner(limits_of(*settings_, way_, context_.lifetimes), random_(), memory, now());
}

// What applies to it may depend on its MX hosts.
void Lane::way_changed() {
  planner_.reconfigure(limits_of(*settings_, way_, lifetimes_));
  place_.join(way_.group() ? context_.groups.of(*way_.group(), now()) : nullptr,
              way_.group() ? way_.group()->connections : 0);
  planner_.join(place_.group());
  soon();
}

// ---- turns

void Lane::soon() {
  if (std::exchange(turn_asked_, true)) return;
  asio::post(thread_.io, [this, alive = alive_] {
    if (*alive) guarded([this] { turn(); });
  });
}

void Lane::wake() {
  claiming_.due(now());
  soon();
}

// The order is the rule. Outcomes are settled first: what was answered is safe before anything new begins, and a
// claim made in this turn sees a hand without them. The claim comes before the connections: it reserves the one
// that it needs. Sessions ask for work last, when all that may have brought work has been done.
void Lane::turn() {
  turn_asked_ = false;
  const TimePoint at = now();
  const bool trouble = outbox_.failed() || !context_.store.trouble().empty();
  if (trouble_ && !trouble) poke_ = true;
  trouble_ = trouble;
  if (const bool lifetimes = context_.lifetimes; lifetimes != lifetimes_) {
    lifetimes_ = lifetimes;
    planner_.reconfigure(limits_of(*settings_, way_, lifetimes_));
  }
  if (planner_.wake_at() <= at) {
    planner_.tick(at);
    poke_ = true;
  }
  collect();
  settle();
  if (claiming_.has_come()) take_claims();
  if (!claiming_.busy()) answer_withdrawals();
  if (stopping_) {
    release_all();
  } else {
    claim_more();
    open_connections();
  }
  feed_idle();
  return_grant();
  release_in_line();
  // Sessions and the release of the hand made outcomes: in this turn, so that a stop needs no further one.
  collect();
  settle();
  set_alarm();
  if (at_rest()) {
    planner_.shrink();
    const TimePoint host = planner_.receptive(at) ? TimePoint{} : planner_.health(at).until;
    Keeper::Rest rest{claiming_.next_due(), host, planner_.forgettable(at)};
    if (place_.group()) rest.group = place_.group()->name();
    if (waits_for_group()) rest.host = std::max(rest.host, place_.group_until());
    return keeper_.idle(*this, rest);
  }
  if (stopping_ && stopped_ && sessions_.empty() && !claiming_.busy() && claims_.empty() && !outbox_.waits())
    std::exchange(stopped_, nullptr)();
}

void Lane::set_alarm() {
  TimePoint at = planner_.wake_at();
  if (!stopping_ && !claiming_.busy() && !trouble_ && claiming_.has_room(load()) && planner_.receptive(now()))
    at = std::min(at, claiming_.next_due());
  if (outbox_.again_at() != TimePoint{}) at = std::min(at, outbox_.again_at());
  if (trouble_) at = std::min(at, now() + std::chrono::seconds(1));
  if (place_.group_until() > now()) at = std::min(at, place_.group_until());
  if (claiming_.has_come()) at = std::min(at, claiming_.read_at());
  if (pause_.until() > now()) at = std::min(at, pause_.until());
  if (look_again_) at = std::min(at, now() + std::chrono::milliseconds(200));
  // Only idle sessions are asked again by the clock; one with a content unanswered would make every turn the
  // next one's cause.
  for (const auto& session : sessions_)
    if (session->idle()) at = std::min(at, session->ask_at);
  if (at != TimePoint::max())
    alarm_.set(std::clamp<Duration>(at - now(), Duration(1), std::chrono::hours(1)));
}

// ---- sessions

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
  pause_.ends();
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
    outbox_.look_at_memory();
    log::event(log::Level::warning, "unreachable",
               {{"relay", last.remote}, {"stage", label(last.stage)}, {"reply", last.reply.oneline()}});
  }
  forget(session);
}

// While the content of a transaction is being made, those behind it are planned, so that theirs are made at the same time.
// A conversion is in memory whole: nothing is planned behind it.
std::optional<smtp::ClientDialog::Mail> Lane::next(OutboundSession& session) {
  session.ask_at = TimePoint::max();
  if (stopping_) {
    give_back_unready(session);
    session.quit();
    return std::nullopt;
  }
  if (!may_begin()) return std::nullopt;
  while (session.unready.empty() || !session.unready.back().converted) {
    auto mail = plan(session);
    if (!mail) break;
    OutboundSession::Unready one = formed(session, std::move(*mail));
    if (!one.form && session.unready.empty()) return std::move(one.mail);
    session.unready.push_back(std::move(one));
  }
  return take_ready(session);
}

// The planner's transaction counts as begun, for its limits and its rate: so whatever keeps the session from a new
// one is asked before the planner.
std::optional<smtp::ClientDialog::Mail> Lane::plan(OutboundSession& session) {
  const auto leaves = [&](bool idle) {
    const bool gone = gives_way(session, idle);
    if (gone) give_back_unready(session);
    return gone;
  };
  if (leaves(false)) return std::nullopt;
  delivery::Next next = planner_.next(session.connection, now());
  if (next.what == delivery::Next::Do::wait) {
    const bool nothing_due = !claiming_.busy() && claiming_.next_due() > now();
    if (leaves(session.idle() && session.unready.empty() && nothing_due)) return std::nullopt;
    session.ask_at = next.until;
    return std::nullopt;
  }
  if (next.what == delivery::Next::Do::quit) {
    session.quit();
    return std::nullopt;
  }
  smtp::ClientDialog::Mail mail = mail_of(session, std::move(next.transaction));
  if (mail.require_tls && !protected_by(session, mail)) return std::nullopt;
  return mail;
}

smtp::ClientDialog::Mail Lane::mail_of(OutboundSession& session, delivery::Transaction plan) {
  smtp::ClientDialog::Mail mail;
  mail.plan = std::move(plan);
  Claims::Held* held = claims_.find(mail.plan.message);
  if (!held->sender) held->sender.emplace(held->message, settings_->verp.delimiter, context_.hmac);
  mail.size = held->message.size;
  mail.eight_bit = held->message.eight_bit;
  mail.utf8 = held->message.utf8;
  mail.binary = held->message.binary;
  mail.require_tls = held->message.require_tls;
  mail.addresses.reserve(mail.plan.recipients.size());
  for (const std::uint32_t number : mail.plan.recipients) {
    const store::Recipient* recipient = claims_.recipient(mail.plan.message, number);
    if (mail.addresses.empty()) mail.sender = held->sender->of(*recipient);
    mail.addresses.push_back(recipient->address);
  }
  request_reports(session.offered().dsn, claims_, mail);
  if (held->message.personal) {
    mail.copy = copy_for(*held, *claims_.recipient(mail.plan.message, mail.plan.recipients.front()));
    mail.size += mail.copy->size();
    mail.eight_bit = mail.eight_bit || !std::ranges::all_of(mail.copy->values, mail::is_ascii);
  }
  return mail;
}

// REQUIRETLS (RFC 8689 4.2.1). False: the transaction is in hand again, for a connection that is made for such mail. A report is
// not lost because its next hop lacks the extension (section 5).
bool Lane::protected_by(OutboundSession& session, smtp::ClientDialog::Mail& mail) {
  if (session.protects()) {
    mail.require_tls = session.offered().require_tls;
    return true;
  }
  if (!session.unprotected()) {
    give_back(session, std::move(mail.plan));
    give_back_unready(session);
    session.quit();
    return false;
  }
  mail.require_tls = false;
  if (!mail.sender.empty()) mail.refused = session.unprotected();
  return true;
}

bool Lane::sending(OutboundSession& session, delivery::MessageId message, std::uint32_t number) {
  return planner_.sending(session.connection, message, number, now());
}

OutboundSession::Content Lane::content(OutboundSession&, delivery::MessageId message, bool chunk,
                                       const std::shared_ptr<const Copy>& copy) {
  const store::Message& m = claims_.find(message)->message;
  if (Wire wire = thread_.wires.get(m, chunk)) return Gather::Rope{std::move(wire), copy};
  return std::make_unique<WireStream>(context_.store, m, chunk, copy);
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
    outbox_.look_at_memory();
  }
  forget(session);
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
  for (const auto& [message, number] : claims_.all_open(stopping_)) {
    const auto answer = planner_.withdraw(message, number);
    if (answer != delivery::Withdrawal::committed) release(message, number, now());
  }
}

void Lane::release(store::Id message, std::uint32_t number, TimePoint next) {
  Outcome outcome;
  outcome.number = number;
  outcome.charged = false;
  outcome.next_attempt = next;
  claims_.close(message, std::move(outcome));
}

}  // namespace spoold::server
