#include "protocol/dns/resolution.hpp"

#include <algorithm>
#include <utility>

namespace spoold::dns {
namespace {

using Status = Answer::Status;

constexpr Duration shortest = std::chrono::minutes(1), longest = std::chrono::hours(1);
constexpr std::size_t addresses_of_host = 4, addresses_in_all = 16, most_records = 100;

/// splitmix64: reproducible, and good enough to share load.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  template <class T>
  void shuffle(std::vector<T>& all) {
    for (std::size_t left = all.size(); left > 1; --left) std::swap(all[left - 1], all[next() % left]);
  }

 private:
  std::uint64_t next() {
    state_ += 0x9e3779b97f4a7c15ull;
    std::uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
  }
  std::uint64_t state_;
};

/// What the answers said may not stand in a log or a report as it is.
std::string printable(std::string_view text) {
  std::string out;
  for (const char c : text.substr(0, 200)) out += c < ' ' || c > '~' ? '?' : c;
  return out;
}

std::string of(const Question& q) {
  return std::string(text(q.type)) + " of " + q.name;
}

}  // namespace

Resolution::Resolution(Options options) : options_(std::move(options)), ttl_(longest) {
  if (options_.by_mx) {
    want(options_.name, Type::mx);
  } else {
    implicit_ = true;
    mx_secure_ = true;
    add(options_.name, 0);
    cut_ourselves();
  }
}

void Resolution::add(std::string name, std::uint16_t preference) {
  Candidate candidate;
  candidate.host.name = std::move(name);
  candidate.host.preference = preference;
  candidates_.push_back(std::move(candidate));
}

std::vector<Question> Resolution::ask() {
  return std::exchange(new_questions_, {});
}

void Resolution::want(std::string name, Type type) {
  Question question{std::move(name), type};
  if (answers_.emplace(question, std::nullopt).second) new_questions_.push_back(std::move(question));
}

const Answer& Resolution::answer(const std::string& name, Type type) const {
  return *answers_.at({name, type});
}

bool Resolution::owed() const {
  return std::any_of(answers_.begin(), answers_.end(), [](const auto& a) { return !a.second; });
}

void Resolution::answered(const Question& question, Answer given) {
  const auto found = answers_.find(question);
  if (found == answers_.end() || found->second || done()) return;
  found->second = std::move(given);
  const Answer& kept = *found->second;
  if (kept.temporary()) {
    if (!failed_) failed_ = question;
  } else {
    ttl_ = std::min(ttl_, kept.ttl);
  }
  while (!done() && !owed()) next_round();
}

void Resolution::next_round() {
  switch (round_) {
    case Round::mx:
      round_ = Round::addresses;
      return take_mx();
    case Round::addresses:
      round_ = Round::aliases;
      return take_addresses();
    case Round::aliases:
      round_ = Round::tlsa;
      return take_aliases();
    case Round::tlsa:
      if (!want_tlsa()) finish();
      return;
  }
}

// ---- MX

void Resolution::take_mx() {
  if (!options_.by_mx) return;
  const Question question{options_.name, Type::mx};
  const Answer& mx = answer(options_.name, Type::mx);
  if (mx.temporary()) return refuse_for(mx, question);
  if (mx.status == Status::nxdomain)
    return refuse(true, {5, 1, 2}, "DNS: " + options_.name + " does not exist (NXDOMAIN)");
  mx_secure_ = mx.secure;
  if (mx.status == Status::nodata) {
    implicit_ = true;
    add(options_.name, 0);
    return cut_ourselves();
  }
  bool null_mx = false;
  for (const std::string& rdata : mx.records) {
    if (candidates_.size() == most_records) break;
    const auto record = parse_mx(rdata);
    if (!record) continue;
    if (record->host.empty())
      null_mx = true;
    else
      add(record->host, record->preference);
  }
  if (candidates_.empty() && null_mx)  // RFC 7505 3; beside other records it means nothing
    return refuse(true, {5, 1, 10}, "DNS: " + options_.name + " accepts no mail (null MX)");
  if (candidates_.empty())
    return refuse(false, {4, 4, 3}, "DNS: no MX record of " + options_.name + " names a host");
  Random(options_.seed).shuffle(candidates_);
  std::stable_sort(candidates_.begin(), candidates_.end(), [](const Candidate& a, const Candidate& b) {
    return a.host.preference < b.host.preference;
  });
  std::vector<Candidate> once;
  for (Candidate& c : candidates_)
    if (std::none_of(once.begin(), once.end(),
                     [&c](const Candidate& o) { return o.host.name == c.host.name; }))
      once.push_back(std::move(c));
  candidates_ = std::move(once);
  cut_ourselves();
}

// RFC 5321 5.1: a relay that finds itself among the MX hosts looks at better ones only.
void Resolution::cut_ourselves() {
  if (options_.by_mx) {
    const auto own = std::find_if(candidates_.begin(), candidates_.end(),
                                  [this](const Candidate& c) { return c.host.name == options_.own_name; });
    if (own != candidates_.end()) {
      const auto preference = own->host.preference;
      std::erase_if(candidates_, [&](const Candidate& c) { return c.host.preference >= preference; });
    }
    if (candidates_.empty())
      return refuse(true, {5, 4, 6},
                    "DNS: this server itself is the best MX host of " + options_.name +
                        ", but does not know the domain: mail for it would go round in circles");
  }
  if (candidates_.size() > most_hosts) {
    candidates_.resize(most_hosts);
    whole_ = false;
  }
  for (Candidate& c : candidates_) {
    if (options_.port) c.host.port = options_.port(c.host.name);
    want(c.host.name, Type::a);
    want(c.host.name, Type::aaaa);
  }
}

// ---- addresses

void Resolution::take_addresses() {
  std::optional<std::uint16_t> own;
  for (Candidate& c : candidates_) {
    bool secure = mx_secure_;
    std::string canonical;
    for (const Type type : {Type::aaaa, Type::a}) {
      const Answer& given = answer(c.host.name, type);
      if (given.temporary()) continue;
      secure = secure && given.secure;
      if (!given.canonical.empty() && given.canonical != c.host.name) canonical = given.canonical;
      if (given.status != Status::ok) continue;
      for (std::size_t i = 0; i < std::min(given.records.size(), most_records); ++i)
        if (const auto address = parse_address(type, given.records[i]); address && usable(*address))
          c.host.addresses.push_back(*address);
    }
    c.host.secure = secure;
    if (secure && !canonical.empty()) c.tlsa_names.push_back(canonical);
    if (secure) c.tlsa_names.push_back(c.host.name);
    // RFC 7672 2.2.2: the alias may be signed where what it stands for is not.
    if (options_.tlsa && !secure && mx_secure_ && !canonical.empty()) want(c.host.name, Type::cname);
    if (options_.by_mx && options_.own_address &&
        std::any_of(c.host.addresses.begin(), c.host.addresses.end(),
                    [&](const Address& a) { return options_.own_address(a, c.host.port); }))
      own = std::min(own.value_or(c.host.preference), c.host.preference);
  }
  if (!own) return;
  std::erase_if(candidates_, [&](const Candidate& c) { return c.host.preference >= *own; });
  if (candidates_.empty())
    refuse(true, {5, 4, 6},
           "DNS: the best MX host of " + options_.name +
               " has an address of this server, which does not know the domain: mail for it would go round "
               "in circles");
}

void Resolution::take_aliases() {
  for (Candidate& c : candidates_) {
    const auto asked = answers_.find({c.host.name, Type::cname});
    if (asked == answers_.end() || !asked->second) continue;
    const Answer& alias = *asked->second;
    if (alias.temporary()) {
      c.dead = true;
    } else if (alias.secure && alias.status == Status::ok) {
      c.host.secure = true;
      c.tlsa_names = {c.host.name};
    }
  }
}

// ---- TLSA

// Asks for the next name of each host that has no records yet; false: nothing is left to ask.
bool Resolution::want_tlsa() {
  if (!options_.tlsa) return false;
  bool asked = false;
  for (Candidate& c : candidates_) {
    const std::string prefix = "_" + std::to_string(c.host.port) + "._tcp.";
    while (!c.dead && !c.host.addresses.empty() && c.host.tlsa.empty() && !c.tlsa_names.empty()) {
      const std::string base = c.tlsa_names.front(), name = prefix + base;
      const auto known = answers_.find({name, Type::tlsa});
      if (known == answers_.end()) {
        want(name, Type::tlsa);
        asked = true;
        break;
      }
      c.tlsa_names.erase(c.tlsa_names.begin());
      const Answer& given = *known->second;
      if (given.temporary()) c.dead = true;  // RFC 7672 2.1.2: as if it could not be reached
      if (given.status != Status::ok || !given.secure) continue;
      for (std::size_t i = 0; i < std::min(given.records.size(), most_records); ++i)
        if (auto record = parse_tlsa(given.records[i])) c.host.tlsa.push_back(std::move(*record));
      if (!c.host.tlsa.empty()) c.host.tlsa_base = base;
    }
  }
  return asked;
}

// ---- the end

void Resolution::finish() {
  Found found;
  for (Candidate& c : candidates_)
    if (!c.dead && !c.host.addresses.empty()) found.hosts.push_back(std::move(c.host));
  if (found.hosts.empty()) {
    if (failed_) return refuse_for(*answers_.at(*failed_), *failed_);
    if (!options_.by_mx)
      return refuse(false, {4, 4, 4}, "DNS: the next hop " + options_.name + " has no address");
    if (implicit_)
      return refuse(true, {5, 1, 2}, "DNS: " + options_.name + " has neither MX hosts nor an address");
    return refuse(true, {5, 4, 4}, "DNS: no MX host of " + options_.name + " has an address");
  }
  if (failed_) ttl_ = std::min<Duration>(ttl_, std::chrono::minutes(5));  // what is missing may come back
  found.whole = whole_ && !failed_;
  found.ttl = std::clamp(ttl_, shortest, longest);
  found_ = std::move(found);
}

void Resolution::refuse_for(const Answer& given, const Question& question) {
  const std::string why = given.why.empty() ? "" : ": " + printable(given.why);
  if (given.status == Status::bogus)
    return refuse(false, {4, 7, 0}, "DNS: the signature of " + of(question) + " is not valid (DNSSEC)" + why);
  refuse(false, {4, 4, 3},
         "DNS: " + of(question) + ": " +
             (given.status == Status::timeout ? "no answer in time" : "the name servers failed") + why);
}

void Resolution::refuse(bool final, smtp::EnhancedStatus status, std::string text) {
  Found found;
  found.verdict = Verdict{final, status, std::move(text)};
  found.ttl = std::clamp(ttl_, shortest, longest);
  found_ = std::move(found);
  candidates_.clear();
  new_questions_.clear();
}

std::vector<Place> in_order(const Found& found, std::uint64_t seed) {
  Random random(seed);
  std::vector<const Host*> hosts;
  for (const Host& host : found.hosts) hosts.push_back(&host);
  random.shuffle(hosts);
  std::stable_sort(hosts.begin(), hosts.end(),
                   [](const Host* a, const Host* b) { return a->preference < b->preference; });
  std::vector<Place> places;
  for (const Host* host : hosts) {
    std::vector<Address> lines[2];  // IPv6, IPv4
    for (const Address& address : host->addresses) lines[address.v6 ? 0 : 1].push_back(address);
    for (auto& line : lines) random.shuffle(line);
    std::size_t taken = 0;
    for (std::size_t i = 0; i < std::max(lines[0].size(), lines[1].size()); ++i)
      for (const auto& line : lines)
        if (i < line.size() && taken < addresses_of_host && places.size() < addresses_in_all)
          places.push_back({host, line[i]}), ++taken;
  }
  return places;
}

}  // namespace spoold::dns
