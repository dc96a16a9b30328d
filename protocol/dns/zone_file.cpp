#include "protocol/dns/zone_file.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "protocol/mail/ascii.hpp"

namespace spoold::dns {
namespace {

constexpr std::size_t longest_chain = 16, longest_string = 255;
constexpr std::uint16_t type_spf = 99;
constexpr std::array<std::pair<std::string_view, std::uint16_t>, 27> types = {
    {{"A", 1},       {"NS", 2},         {"CNAME", 5},       {"SOA", 6},    {"PTR", 12},   {"HINFO", 13},
     {"MX", 15},     {"TXT", 16},       {"RP", 17},         {"AAAA", 28},  {"LOC", 29},   {"SRV", 33},
     {"NAPTR", 35},  {"DNAME", 39},     {"DS", 43},         {"SSHFP", 44}, {"RRSIG", 46}, {"NSEC", 47},
     {"DNSKEY", 48}, {"NSEC3", 50},     {"NSEC3PARAM", 51}, {"TLSA", 52},  {"CDS", 59},   {"CDNSKEY", 60},
     {"HTTPS", 65},  {"SPF", type_spf}, {"CAA", 257}}};

template <class T>
std::optional<T> number(std::string_view text, int base = 10) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<std::uint16_t> type_of(std::string_view word) {
  for (const auto& [name, type] : types)
    if (mail::same(word, name)) return type;
  if (mail::starts_with(word, "TYPE")) return number<std::uint16_t>(word.substr(4));  // RFC 3597 5
  return std::nullopt;
}

/// Seconds, or what other servers write: "1h30m".
std::optional<Duration> ttl_of(std::string_view word) {
  std::uint64_t seconds = 0;
  if (word.empty() || word.size() > 20 || !mail::is_digit(word.front())) return std::nullopt;
  while (!word.empty()) {
    const auto digits = std::min(word.find_first_not_of("0123456789"), word.size());
    const auto count = number<std::uint32_t>(word.substr(0, digits));
    if (!count) return std::nullopt;
    word.remove_prefix(digits);
    std::uint64_t unit = 1;
    if (!word.empty()) {
      constexpr std::string_view letters = "smhdw";
      constexpr std::array<std::uint64_t, 5> lengths = {1, 60, 3600, 86400, 604800};
      const auto at = letters.find(mail::lower(word.front()));
      if (at == std::string_view::npos) return std::nullopt;
      unit = lengths[at];
      word.remove_prefix(1);
    }
    seconds += *count * unit;
  }
  return std::chrono::seconds(std::min<std::uint64_t>(seconds, 0x7fffffff));
}

/// The octets of a word with its escapes undone: \. and \065 (RFC 1035 5.1).
std::optional<std::string> plain(std::string_view word) {
  std::string out;
  for (std::size_t i = 0; i < word.size(); ++i) {
    if (word[i] != '\\') {
      out += word[i];
    } else if (i + 1 < word.size() && !mail::is_digit(word[i + 1])) {
      out += word[++i];
    } else {
      const auto octet =
          number<std::uint8_t>(word.substr(i + 1, std::min<std::size_t>(3, word.size() - i - 1)));
      if (i + 3 >= word.size() || !octet) return std::nullopt;
      out += static_cast<char>(*octet);
      i += 3;
    }
  }
  return out;
}

std::string wire(const std::vector<std::string>& labels) {
  std::string out;
  for (const std::string& label : labels) (out += static_cast<char>(label.size())) += label;
  return out += '\0';
}

std::string joined(const std::vector<std::string>& labels) {
  std::string out;
  for (const std::string& label : labels) (out += out.empty() ? "" : ".") += label;
  return out;
}

/// As resolvers' callers write names: labels between dots, nothing is escaped.
std::vector<std::string> labels_of(std::string_view name) {
  std::vector<std::string> labels;
  while (!name.empty()) {
    const auto dot = name.find('.');
    labels.push_back(mail::lower(name.substr(0, dot)));
    name.remove_prefix(dot == std::string_view::npos ? name.size() : dot + 1);
  }
  return labels;
}

}  // namespace

class ZoneFile::Reader {
 public:
  Reader(ZoneFile& zone, std::string_view text) : zone_(zone), text_(text) {}

  std::optional<Fault> read() {
    while (next_entry()) {
      if (fault_.empty() && !entry_.empty()) take_entry();
      if (!fault_.empty()) return Fault{entry_line_, std::move(fault_)};
    }
    return std::nullopt;
  }

 private:
  struct Word {
    std::string text;  // escapes still in it
    bool quoted = false;
  };

  bool fail(std::string what) {
    if (fault_.empty()) fault_ = std::move(what);
    return false;
  }

  /// The words of the next line, or of the lines that parentheses make one.
  bool next_entry() {
    if (text_.empty()) return false;
    entry_.clear();
    entry_line_ = line_;
    same_owner_ = text_.front() == ' ' || text_.front() == '\t';
    int depth = 0;
    while (!text_.empty()) {
      const char c = text_.front();
      if (c == '\n') {
        ++line_;
        text_.remove_prefix(1);
        if (depth == 0) return true;
        continue;
      }
      if (c == ';') {
        text_.remove_prefix(std::min(text_.find('\n'), text_.size()));
      } else if (c == '"') {
        text_.remove_prefix(1);
        if (!take_word("\"\n", true)) return true;
        if (text_.empty() || text_.front() != '"')
          return fail("a quoted text is not closed on its line"), true;
        text_.remove_prefix(1);
      } else if (c == '(' || c == ')') {
        depth += c == '(' ? 1 : -1;
        if (depth < 0) return fail("')' without '('"), true;
        text_.remove_prefix(1);
      } else if (mail::is_space(c)) {
        text_.remove_prefix(1);
      } else if (!take_word(" \t\r\n;()\"", false)) {
        return true;
      }
    }
    if (depth > 0) fail("'(' is not closed");
    return true;
  }

  bool take_word(std::string_view ends, bool quoted) {
    std::size_t size = 0;
    while (size < text_.size() && ends.find(text_[size]) == std::string_view::npos)
      size += text_[size] == '\\' && size + 1 < text_.size() && text_[size + 1] != '\n' ? 2u : 1u;
    entry_.push_back({std::string(text_.substr(0, size)), quoted});
    text_.remove_prefix(size);
    return true;
  }

  std::optional<Name> name(const Word& word) {
    if (word.text == "@" && !word.quoted) return origin_;
    if (word.text == ".") return Name{};
    Name labels;
    std::size_t octets = 1;
    std::string_view rest = word.text;
    bool absolute = false;
    while (!rest.empty()) {
      std::size_t size = 0;
      while (size < rest.size() && rest[size] != '.')
        size += rest[size] == '\\' && size + 1 < rest.size() ? 2u : 1u;
      const auto label = plain(rest.substr(0, size));
      if (!label || label->empty() || label->size() > 63)
        return fail("'" + word.text + "' is not a name"), std::nullopt;
      octets += label->size() + 1;
      labels.push_back(mail::lower(*label));
      absolute = size < rest.size();
      rest.remove_prefix(std::min(size + 1, rest.size()));
    }
    if (!absolute)
      for (const std::string& label : origin_) {
        octets += label.size() + 1;
        labels.push_back(label);
      }
    if (labels.empty() || octets > 255) return fail("'" + word.text + "' is not a name"), std::nullopt;
    return labels;
  }

  void take_entry() {
    const std::string first = entry_.front().quoted ? "" : entry_.front().text;
    if (!same_owner_ && first.starts_with('$')) return take_directive(mail::lower(first));
    std::size_t at = 0;
    if (!same_owner_) {
      auto owner = name(entry_[at++]);
      if (!owner) return;
      owner_ = std::move(*owner);
    } else if (!owner_) {
      fail("no name stands before this record");
      return;
    }
    Duration ttl = ttl_;
    for (; at < entry_.size(); ++at) {
      const std::string_view word = entry_[at].text;
      if (const auto given = ttl_of(word))
        ttl = *given;
      else if (!mail::same(word, "IN") && !mail::same(word, "CH") && !mail::same(word, "HS"))
        break;
    }
    const auto type = at < entry_.size() ? type_of(entry_[at].text) : std::nullopt;
    if (!type) {
      fail(at < entry_.size() ? "'" + entry_[at].text + "' is not a type of records" : "the type is missing");
      return;
    }
    entry_.erase(entry_.begin(), entry_.begin() + static_cast<std::ptrdiff_t>(at) + 1);
    if (auto rdata = rdata_of(*type))
      zone_.add(*owner_, *type, std::move(*rdata), ttl);
    else
      fail("this is not a record of its type");
  }

  void take_directive(const std::string& directive) {
    if (entry_.size() != 2) {
      fail(directive + " is followed by one word");
      return;
    }
    if (directive == "$ttl") {
      const auto ttl = ttl_of(entry_[1].text);
      if (ttl)
        ttl_ = *ttl;
      else
        fail("'" + entry_[1].text + "' is not a time to live");
      return;
    }
    const bool servfail = directive == "$servfail";
    if (!servfail && directive != "$timeout" && directive != "$origin") {
      fail(directive + " is not one of $ORIGIN, $TTL, $SERVFAIL, $TIMEOUT");
      return;
    }
    auto named = name(entry_[1]);
    if (!named) return;
    if (directive == "$origin")
      origin_ = std::move(*named);
    else
      zone_.failing_[std::move(*named)] = servfail ? Answer::Status::failed : Answer::Status::timeout;
  }

  /// Of the words behind the type.
  std::optional<std::string> rdata_of(std::uint16_t type) {
    if (!entry_.empty() && entry_[0].text == "\\#") return generic();
    const auto words = [this](std::size_t count) { return entry_.size() == count; };
    switch (type) {
      case 1:
      case 28: {
        const auto address = words(1) ? parse_ip(entry_[0].text) : std::nullopt;
        if (!address || address->v6 != (type == 28)) return std::nullopt;
        return std::string(address->octets.begin(), address->octets.begin() + (address->v6 ? 16 : 4));
      }
      case 5:
      case 12: {
        const auto target = words(1) ? name(entry_[0]) : std::nullopt;
        return target ? std::optional(wire(*target)) : std::nullopt;
      }
      case 15: {
        const auto preference = words(2) ? number<std::uint16_t>(entry_[0].text) : std::nullopt;
        const auto host = preference ? name(entry_[1]) : std::nullopt;
        if (!host) return std::nullopt;
        return std::string{static_cast<char>(*preference >> 8), static_cast<char>(*preference & 255)} +
               wire(*host);
      }
      case 16:
      case type_spf:
        return strings();
      case 52:
        return tlsa();
      default:
        return std::string();
    }
  }

  std::optional<std::string> strings() {
    std::string rdata;
    for (const Word& word : entry_) {
      const auto octets = plain(word.text);
      if (!octets) return std::nullopt;
      std::string_view rest = *octets;  // one that is too long is written as several
      do {
        const auto piece = rest.substr(0, longest_string);
        (rdata += static_cast<char>(piece.size())) += piece;
        rest.remove_prefix(piece.size());
      } while (!rest.empty());
    }
    return entry_.empty() ? std::string(1, '\0') : rdata;  // not even one string: as an empty one
  }

  std::optional<std::string> hexadecimal(std::size_t from) {
    std::string digits, octets;
    for (; from < entry_.size(); ++from) digits += entry_[from].text;
    if (digits.size() % 2 != 0) return std::nullopt;
    for (std::size_t i = 0; i < digits.size(); i += 2) {
      const auto octet = number<std::uint8_t>(std::string_view(digits).substr(i, 2), 16);
      if (!octet) return std::nullopt;
      octets += static_cast<char>(*octet);
    }
    return octets;
  }

  std::optional<std::string> tlsa() {
    if (entry_.size() < 4) return std::nullopt;
    std::string rdata;
    for (std::size_t i = 0; i < 3; ++i) {
      const auto octet = number<std::uint8_t>(entry_[i].text);
      if (!octet) return std::nullopt;
      rdata += static_cast<char>(*octet);
    }
    const auto data = hexadecimal(3);
    return data ? std::optional(rdata + *data) : std::nullopt;
  }

  /// RFC 3597 5: \# LENGTH HEX
  std::optional<std::string> generic() {
    const auto length = entry_.size() > 1 ? number<std::uint16_t>(entry_[1].text) : std::nullopt;
    auto octets = length ? hexadecimal(2) : std::nullopt;
    return octets && octets->size() == *length ? octets : std::nullopt;
  }

  ZoneFile& zone_;
  std::string_view text_;
  std::size_t line_ = 1, entry_line_ = 1;
  bool same_owner_ = false;
  std::vector<Word> entry_;
  std::optional<Name> owner_;
  Name origin_;
  Duration ttl_ = std::chrono::hours(1);
  std::string fault_;
};

tl::expected<ZoneFile, ZoneFile::Fault> ZoneFile::parse(std::string_view text) {
  ZoneFile zone;
  zone.nodes_.try_emplace(Name{});
  if (auto fault = Reader(zone, text).read()) return tl::unexpected(std::move(*fault));
  return zone;
}

void ZoneFile::add(const Name& owner, std::uint16_t type, std::string rdata, Duration ttl) {
  for (Name above = owner; !above.empty(); above.erase(above.begin()))
    if (!nodes_.try_emplace(above).second) break;
  Node& node = nodes_[owner];
  if (type == static_cast<std::uint16_t>(Type::cname)) {
    Name target;
    for (std::string_view rest = rdata; rest.size() > 1; rest.remove_prefix(1 + target.back().size()))
      target.emplace_back(rest.substr(1, static_cast<unsigned char>(rest[0])));
    node.alias = std::move(target);
  }
  node.records[type].push_back(std::move(rdata));
  node.ttl =
      node.records.size() == 1 && node.records.begin()->second.size() == 1 ? ttl : std::min(node.ttl, ttl);
}

/// The name itself, or the wildcard at the closest name above it that exists (RFC 4592 3.3.1); nullptr: NXDOMAIN.
const ZoneFile::Node* ZoneFile::find(const Name& name) const {
  if (const auto here = nodes_.find(name); here != nodes_.end()) return &here->second;
  Name encloser = name;
  while (!nodes_.contains(encloser)) encloser.erase(encloser.begin());
  encloser.insert(encloser.begin(), "*");
  const auto wildcard = nodes_.find(encloser);
  return wildcard == nodes_.end() ? nullptr : &wildcard->second;
}

Answer ZoneFile::answer(const Question& question) const {
  Answer answer;
  Name name = labels_of(question.name);
  for (std::size_t followed = 0; followed <= longest_chain; ++followed) {
    if (const auto failing = failing_.find(name); failing != failing_.end()) {
      answer.status = failing->second;
      answer.why = answer.status == Answer::Status::timeout ? "no answer in time" : "SERVFAIL";
      return answer;
    }
    const Node* node = find(name);
    if (node == nullptr) {
      answer.status = Answer::Status::nxdomain;
      return answer;
    }
    answer.ttl = followed == 0 ? node->ttl : std::min(answer.ttl, node->ttl);
    if (const auto found = node->records.find(static_cast<std::uint16_t>(question.type));
        found != node->records.end()) {
      answer.status = Answer::Status::ok;
      answer.records = found->second;
      return answer;
    }
    if (!node->alias) {
      answer.status = Answer::Status::nodata;
      return answer;
    }
    name = *node->alias;
    answer.canonical = joined(name);
  }
  answer.status = Answer::Status::failed;
  answer.why = "a chain of CNAME records without an end";
  return answer;
}

}  // namespace spoold::dns
