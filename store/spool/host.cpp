#include "store/spool/host.hpp"

#include "store/spool/spool.hpp"

namespace spoold::store::spool {
namespace {

using delivery::HostMemory;

constexpr std::size_t rows_a_step = 64;
constexpr std::size_t longest_error = 500;  // octets of the host's last words

void pack(Packer& p, const HostMemory::Fact& fact) {
  p.num(fact.value).time(fact.since);
}

HostMemory::Fact unpack_fact(Unpacker& u) {
  HostMemory::Fact fact;
  fact.value = u.num();
  fact.since = u.time();
  return fact;
}

}  // namespace

HostRow unpack_host(std::string_view key, std::string_view value) {
  HostRow row;
  row.route = std::string(KeyReader(key).str());
  Unpacker u(value, "host", key);
  row.written = u.time();
  HostMemory& m = row.memory;
  m.until = u.time();
  m.failures = u.num32();
  m.half_open = u.flag();
  m.last_error = u.text();
  m.error_at = u.time();
  m.connections = u.num32();
  m.wide_window = u.flag();
  m.last_commit = u.time();
  m.last_drop = u.time();
  m.overlap_off_until = u.time();
  for (HostMemory::Fact* fact : {&m.rcpts, &m.rcpts_of_connection, &m.messages, &m.age, &m.rejects})
    *fact = unpack_fact(u);
  m.reject_limit = u.flag();
  if (u.at_end()) return row;  // a version before this wrote no more
  m.slow = unpack_fact(u);
  m.silences = unpack_fact(u);
  return row;
}

void put_host(Write& write, std::string_view route, const HostMemory& m) {
  Packer p;
  p.time(write.now()).time(m.until).num(m.failures).flag(m.half_open);
  p.str(std::string_view(m.last_error).substr(0, longest_error)).time(m.error_at);
  p.num(m.connections).flag(m.wide_window).time(m.last_commit).time(m.last_drop).time(m.overlap_off_until);
  for (const HostMemory::Fact* fact : {&m.rcpts, &m.rcpts_of_connection, &m.messages, &m.age, &m.rejects})
    pack(p, *fact);
  p.flag(m.reject_limit);
  pack(p, m.slow);
  pack(p, m.silences);
  write.put(Table::host, Key().str(route), p.bytes());
}

std::optional<HostRow> host(const Read& read, std::string_view route) {
  const Key key = Key().str(route);
  const auto value = read.get(Table::host, key);
  if (!value) return std::nullopt;
  return unpack_host(key, *value);
}

std::vector<HostRow> hosts(const Read& read, const std::string& after, std::size_t limit) {
  std::vector<HostRow> out;
  Cursor c = read.cursor(Table::host);
  const auto behind = after + '\x01';
  for (bool more = after.empty() ? c.first() : c.seek(behind); more && out.size() < limit; more = c.next())
    out.push_back(unpack_host(c.key(), c.value()));
  return out;
}

bool clear_host(Write& write, std::string_view route) {
  auto row = host(write, route);
  if (!row) return false;
  delivery::HostMemory& m = row->memory;
  const bool slow = m.slow.since + Duration(m.slow.value) > write.now();
  if (m.until <= write.now() && !slow) return false;
  m.until = {};
  m.slow = m.silences = {};
  put_host(write, route, row->memory);
  return true;
}

bool sweep_hosts(Write& write, TimePoint cutoff, std::string& after, const Enough& enough) {
  for (;;) {
    const auto some = hosts(write, after, rows_a_step);
    for (const HostRow& row : some) {
      after = row.route;
      if (row.written < cutoff) write.del(Table::host, Key().str(row.route));
    }
    if (some.size() < rows_a_step) return true;
    if (enough()) return false;
  }
}

}  // namespace spoold::store::spool
