// The rows of the table of settings that say what becomes of From and of authors' signatures (settings_table.hpp, align.hpp).
#include <algorithm>

#include "protocol/list/setting_words.hpp"
#include "protocol/list/settings_table.hpp"
#include "protocol/mail/ascii.hpp"
#include "protocol/mail/domain.hpp"

namespace spoold::list {
namespace {

using Done = tl::expected<void, std::string>;

constexpr std::array<Word<Dmarc>, 4> dmarc_words = {
    {{"accept", Dmarc::accept}, {"munge", Dmarc::munge}, {"wrap", Dmarc::wrap}, {"reject", Dmarc::reject}}};
constexpr std::array<Word<DmarcWhen>, 4> when_words = {{{"unaligned", DmarcWhen::unaligned},
                                                        {"reject", DmarcWhen::reject},
                                                        {"quarantine", DmarcWhen::quarantine},
                                                        {"always", DmarcWhen::always}}};
constexpr std::array<Word<AuthorSignatures>, 3> signature_words = {{{"keep", AuthorSignatures::keep},
                                                                    {"remove", AuthorSignatures::remove},
                                                                    {"rename", AuthorSignatures::rename}}};

/// Domains with commas or blanks between them; "*.example.com" stands for those below.
Done read_domains(std::vector<std::string>& value, std::string_view text) {
  std::vector<std::string> domains;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find_first_of(", \n", at), text.size());
    const std::string domain = mail::lower(text.substr(at, end - at));
    at = end + 1;
    if (domain.empty()) continue;
    const std::string_view bare = std::string_view(domain).substr(domain.starts_with("*.") ? 2 : 0);
    if (const auto wrong = mail::mail_domain_fault(bare))
      return tl::unexpected("'" + domain + "' is not a domain such as example.com or *.example.com");
    if (std::find(domains.begin(), domains.end(), domain) == domains.end()) domains.push_back(domain);
  }
  value = std::move(domains);
  return {};
}

std::string print_domains(const std::vector<std::string>& domains) {
  std::string text;
  for (const std::string& domain : domains) text += (text.empty() ? "" : ", ") + domain;
  return text;
}

}  // namespace

const std::vector<SettingKey>& align_setting_keys() {
  static const std::vector<SettingKey> keys = {
      {"dmarc", "accept | munge | wrap | reject",
       "a post whose author's domain vouches for no copy: From is the list, the post is wrapped, or refused",
       [](Settings& s, std::string_view t) { return read_word(s.align.dmarc, t, dmarc_words); },
       [](const Settings& s) { return print_word(s.align.dmarc, dmarc_words); }},
      {"dmarc_when", "unaligned | reject | quarantine | always",
       "when: no signature of the author's domain holds in the copy; and that domain's policy is such; "
       "always",
       [](Settings& s, std::string_view t) { return read_word(s.align.when, t, when_words); },
       [](const Settings& s) { return print_word(s.align.when, when_words); }},
      {"dmarc_domains", "domains", "authors of these domains: always; *.example.com stands for those below",
       [](Settings& s, std::string_view t) { return read_domains(s.align.domains, t); },
       [](const Settings& s) { return print_domains(s.align.domains); }},
      {"dmarc_exempt", "domains", "authors of these domains: never, whatever the other settings say",
       [](Settings& s, std::string_view t) { return read_domains(s.align.exempt, t); },
       [](const Settings& s) { return print_domains(s.align.exempt); }},
      {"author_signatures", "keep | remove | rename",
       "DKIM signatures of a post that do not hold in the copy",
       [](Settings& s, std::string_view t) { return read_word(s.align.signatures, t, signature_words); },
       [](const Settings& s) { return print_word(s.align.signatures, signature_words); }},
      {"transparent", "true | false",
       "posts stay as they are, so that all signatures hold: fields are only added, at the top",
       [](Settings& s, std::string_view t) { return read_flag(s.align.transparent, t); },
       [](const Settings& s) { return print_flag(s.align.transparent); }},
      {"dkim2", "true | false",
       "each copy has a DKIM2 signature of its own by the list's domain, and says how to undo what the list "
       "changed",
       [](Settings& s, std::string_view t) { return read_flag(s.dkim2, t); },
       [](const Settings& s) { return print_flag(s.dkim2); }},
  };
  return keys;
}

}  // namespace spoold::list
