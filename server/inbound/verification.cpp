#include "server/inbound/verification.hpp"

#include <utility>

#include "protocol/auth/results.hpp"
#include "server/auth/crypto.hpp"

namespace spoold::server {

Verification::Verification(Means means, auth::SpfQuery query)
    : Inquiry(means.resolver, means.stats, means.executor),
      means_(std::move(means)),
      now_(query.now),
      mail_from_(query.mail_from) {
  found_.client = dns::text(query.client);
  found_.helo = query.mail_from.empty();
  spf_.check.emplace(std::move(query));
}

Verification::Verification(Means means, TimePoint now, bool policy, std::string mail_from)
    : Inquiry(means.resolver, means.stats, means.executor),
      means_(std::move(means)),
      now_(now),
      policy_(policy),
      mail_from_(std::move(mail_from)) {
  found_.handed_over = true;
}

Verification::~Verification() {
  if (header_whole_) means_.memory->add(-static_cast<std::int64_t>(header_.size()));
}

void Verification::begin() {
  spf_.until = Resolver::Clock::now() + limit;
  ask_all();
}

void Verification::content(std::string_view bytes, const smtp::DataReader& reader,
                           const std::vector<smtp::Recipient>& recipients) {
  if (means_.proofs == nullptr || reader.refused()) return;
  std::string_view unseen = bytes.substr(bytes.size() - static_cast<std::size_t>(reader.size() - seen_));
  seen_ = reader.size();
  if (!header_whole_) {
    const auto of_header = static_cast<std::size_t>(reader.header_size()) - header_.size();
    header_ += unseen.substr(0, of_header);
    unseen.remove_prefix(of_header);
    if (unseen.empty()) return;
    header_ended(unseen, recipients);
  } else {
    body(unseen);
  }
}

void Verification::body(std::string_view octets) {
  if (dkim_.check) dkim_.check->body(octets);
  if (dkim2_.check) dkim2_.check->body(octets);
}

/// What is behind the last field belongs to the body, also where no blank line ends the header.
void Verification::header_ended(std::string_view first_of_body,
                                const std::vector<smtp::Recipient>& recipients) {
  header_whole_ = true;
  means_.memory->add(static_cast<std::int64_t>(header_.size()));
  auto header = mail::Header::scan(header_);
  if (!header) return;  // the message will be refused for it
  parsed_ = std::move(*header);
  const bool dkim2 = auth::has_dkim2_fields(*parsed_);
  if (found_.handed_over && !policy_ && !dkim2 && !auth::has_signatures(*parsed_)) return;
  dkim_.until = dkim2_.until = walk_.until = Resolver::Clock::now() + limit;
  dkim_.check.emplace(*parsed_, now_, new_sha256);
  if (dkim2) {
    auth::Dkim2Check::Session session{now_, mail_from_, {}};
    for (const smtp::Recipient& recipient : recipients) session.rcpt_to.push_back(recipient.address);
    dkim2_.check.emplace(*parsed_, session, new_sha256, new_sha512);
  }
  body(std::string_view(header_).substr(parsed_->end()));
  body(first_of_body);
  auth::DmarcQuery author;
  author.author_domain = auth::author_domain(*parsed_);
  walk_.check.emplace(std::move(author));
  ask_all();
}

void Verification::ask_all() {
  ask(spf_);
  ask(dkim_);
  ask(dkim2_);
  ask(walk_);
  ask(dmarc_);
}

// ---- the end

template <class Check>
Awaitable<> Verification::proofs(Check& check) {
  while (std::optional<auth::Proof> proof = check.next_proof()) {
    auto work = [proof = *std::move(proof)] { return verify(proof); };
    const auth::Proved proved =
        co_await means_.proofs->run(means_.executor, std::move(work), auth::Proved::unavailable);
    check.proved(proved);
  }
}

Awaitable<auth::Verified*> Verification::result(const std::vector<smtp::Recipient>& recipients) {
  const bool whole = means_.proofs != nullptr;
  if (whole && !header_whole_) header_ended({}, recipients);
  if (dkim_.check) dkim_.check->body_end();
  if (dkim2_.check) dkim2_.check->body_end();
  dmarc_.until = Resolver::Clock::now() + limit;
  co_await answers();
  if (spf_.check) found_.spf = spf_.check->verdict();
  if (!whole) co_return &found_;
  if (found_.handed_over && !dkim_.check) co_return nullptr;
  if (dkim_.check) {
    co_await proofs(*dkim_.check);
    found_.dkim = dkim_.check->verdicts();
  }
  if (dkim2_.check) {
    co_await proofs(*dkim2_.check);
    found_.dkim2 = dkim2_.check->verdict();
  }
  auth::DmarcQuery query;
  if (parsed_) query.author_domain = auth::author_domain(*parsed_);
  query.identifiers = auth::identifiers(found_.spf, found_.dkim);
  dmarc_.check.emplace(std::move(query));
  ask_all();
  co_await answers();
  found_.dmarc = dmarc_.check->verdict();
  co_return &found_;
}

}  // namespace spoold::server
