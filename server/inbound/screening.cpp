#include "server/inbound/screening.hpp"

#include <utility>

#include "server/inbound/blocklists.hpp"

namespace spoold::server {

Screening::Screening(Resolver& resolver, Stats& stats, asio::any_io_executor executor, Blocklists& lists,
                     std::shared_ptr<const conf::Settings> settings, const dns::Address& client)
    : Inquiry(resolver, stats, std::move(executor)),
      stats_(stats),
      lists_(lists),
      settings_(std::move(settings)),
      client_(client) {}

void Screening::begin() {
  const auto until = Resolver::Clock::now() + limit;
  for (const conf::Dnsbl& list : settings_->dnsbls) {
    if (!lists_.works(list.zone)) continue;
    auto& running = asked_.emplace_back(&list, Running<auth::DnsblCheck>()).second;
    running.check.emplace(list, client_);
    running.until = until;
  }
  if (settings_->smtp.fcrdns != conf::Smtp::Fcrdns::off) {
    iprev_.check.emplace(client_);
    iprev_.until = until;
  }
  ask_all();
}

void Screening::ask_all() {
  for (auto& [list, running] : asked_) ask(running);
  ask(iprev_);
}

const std::optional<smtp::Reply>& Screening::refusal() {
  if (!std::exchange(judged_, true)) judge();
  return refusal_;
}

void Screening::judge() {
  const std::string client = dns::text(client_);
  for (const auto& [list, running] : asked_) {
    const auth::DnsblVerdict& verdict = running.check->verdict();
    if (!verdict.error.empty()) lists_.failed(list->zone, verdict.error);
    if (!verdict.listed) continue;
    listed_.push_back(list->zone);
    if (list->action == conf::Dnsbl::Action::weigh) weight_ += list->weight;
    if (list->action != conf::Dnsbl::Action::reject || refusal_) continue;
    ++stats_.dnsbl_refused;
    refusal_ = smtp::Reply{550,
                           {5, 7, 1},
                           client + " is on the DNS list " + list->zone +
                               (verdict.text.empty() ? "" : ": " + verdict.text) +
                               "; have it taken off there, or ask postmaster@" + settings_->hostname};
  }
  if (weight_ >= settings_->smtp.dnsbl_threshold && !refusal_) {
    std::string zones;
    for (const std::string& zone : listed_) zones += (zones.empty() ? "" : ", ") + zone;
    ++stats_.dnsbl_refused;
    refusal_ = smtp::Reply{550,
                           {5, 7, 1},
                           client + " is on these DNS lists: " + zones +
                               "; have it taken off there, or ask postmaster@" + settings_->hostname};
  }
  if (!iprev_.check || settings_->smtp.fcrdns != conf::Smtp::Fcrdns::reject || refusal_) return;
  if (iprev_.check->result() == auth::Iprev::pass) return;
  ++stats_.fcrdns_refused;
  if (iprev_.check->result() == auth::Iprev::temperror)
    refusal_ = smtp::Reply{451, {4, 7, 25}, "reverse DNS: " + iprev_.check->problem() + "; try again later"};
  else
    refusal_ = smtp::Reply{550,
                           {5, 7, 25},
                           "reverse DNS: " + iprev_.check->problem() +
                               "; a mail server needs a PTR record whose name has its address"};
}

bool Screening::is_good() {
  (void)refusal();
  return weight_ < 0;
}

void Screening::mark(auth::Verified& verified) {
  (void)refusal();
  verified.listed = listed_;
  if (iprev_.check) verified.iprev = iprev_.check->result();
}

}  // namespace spoold::server
