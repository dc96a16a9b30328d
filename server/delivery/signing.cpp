#include "server/delivery/signing.hpp"

#include <algorithm>
#include <utility>

#include "protocol/auth/canonical.hpp"
#include "protocol/auth/results.hpp"
#include "protocol/list/personal.hpp"
#include "protocol/mail/ascii.hpp"
#include "protocol/mail/mailbox.hpp"
#include "server/auth/crypto.hpp"
#include "server/auth/signed_mail.hpp"
#include "server/crash_notes.hpp"
#include "server/log.hpp"
#include "store/store.hpp"

namespace spoold::server {
namespace {

constexpr std::size_t most_known = 1000, most_octets = 8 << 20, most_behind = 64 << 10;
// A header as it came in is smaller (mail::HeaderLimits); what we added stands in it, too.
constexpr mail::HeaderLimits limits{512 << 10, 8192};

using list::Value;

mail::Blank front_of(const std::vector<store::BlankAt>& blanks) {
  return blanks.empty() ? list::blank(Value::none) : blanks.front().blank;
}
bool by_author(const std::vector<store::BlankAt>& blanks) {
  return front_of(blanks) == list::blank(Value::signatures_and_author) ||
         front_of(blanks) == list::blank(Value::dkim2_and_author);
}
/// In nothing but the signatures of DKIM2.
bool differ_in_dkim2_alone(const std::vector<store::BlankAt>& blanks) {
  return has_dkim2(blanks) && blanks.size() == 2;
}

std::string domain_for(const store::Message& message, const mail::Header& header) {
  return mail::lower(message.list != 0 ? std::string(domain_of(message.list_address))
                                       : auth::author_domain(header));
}

/// When its signatures are made for the first time: a post that was held has the id of its release.
TimePoint made_at(const store::Message& message) {
  return std::max(message.arrived, TimePoint(Duration(message.id >> 22)));
}

}  // namespace

bool has_dkim2(const std::vector<store::BlankAt>& blanks) {
  return front_of(blanks) == list::blank(Value::dkim2) ||
         front_of(blanks) == list::blank(Value::dkim2_and_author);
}

bool is_signed(const std::vector<store::BlankAt>& blanks) {
  return has_dkim2(blanks) || front_of(blanks) == list::blank(Value::signatures) ||
         front_of(blanks) == list::blank(Value::signatures_and_author);
}

bool is_individual(const std::vector<store::BlankAt>& blanks) {
  return blanks.size() > (is_signed(blanks) ? 1u : 0u);
}

Signing::Signing(store::Store& store, int threads)
    : store_(store),
      keys_(std::make_shared<const SigningKeys>()),
      pool_(static_cast<std::size_t>(std::max(threads, 1))) {}

Signing::~Signing() {
  pool_.stop();
  pool_.join();
}

void Signing::use(std::shared_ptr<const SigningKeys> keys) {
  keys_.set(std::move(keys));
  const std::lock_guard lock(mutex_);
  // Lanes keep the forms that they have; what is asked for from now on is signed by the new keys.
  order_.clear();
  known_.clear();
  size_ = 0;
  unsigned_.clear();
}

// Under the lock. What it answers is good until the next call.
Signing::Known& Signing::known(store::Id message) {
  const auto [at, added] = known_.try_emplace(message);
  if (!added) {
    order_.splice(order_.begin(), order_, at->second);
    return order_.front();
  }
  order_.push_front({message, nullptr, nullptr});
  at->second = order_.begin();
  while (order_.size() > 1 && (order_.size() > most_known || size_ > most_octets)) {
    if (order_.back().shared) size_ -= order_.back().shared->size();
    known_.erase(order_.back().message);
    order_.pop_back();
  }
  return order_.front();
}

std::shared_ptr<Form> Signing::of(const store::Message& message, const std::vector<store::BlankAt>& blanks,
                                  std::shared_ptr<const Copy> copy, std::function<void()> on_ready,
                                  Envelope envelope) {
  std::shared_ptr<Form> form;
  if (!is_individual(blanks)) {
    const std::lock_guard lock(mutex_);
    Known& one = known(message.id);
    // One that failed is made again.
    if (one.form && !(one.form->ready() && one.form->failed)) {
      one.form->when_ready(std::move(on_ready));
      return one.form;
    }
    form = one.form = std::make_shared<Form>(message.id);
  } else {
    form = std::make_shared<Form>(message.id);
  }
  form->when_ready(std::move(on_ready));
  asio::post(pool_, [this, form, message, blanks, copy = std::move(copy), envelope = std::move(envelope)] {
    const crash::Handling handling(message.id);
    try {
      make(*form, message, blanks, *copy, envelope);
    } catch (...) {
      form->failed = std::current_exception();
    }
    form->made();
  });
  return form;
}

void Signing::make(Form& form, const store::Message& message, const std::vector<store::BlankAt>& blanks,
                   const Copy& copy, const Envelope& envelope) {
  auto made = std::make_shared<Copy>(copy);
  if (has_dkim2(blanks))
    sign_dkim2(*made, message, blanks, envelope);
  else
    made->values.front() = fields_for(message, blanks, hashed_of(message, blanks, copy));
  form.size = message.size + made->size();
  form.copy = std::move(made);
}

void Signing::sign_dkim2(Copy& copy, const store::Message& message, const std::vector<store::BlankAt>& blanks,
                         const Envelope& envelope) {
  std::shared_ptr<const Shared> known;
  Shared own;
  if (differ_in_dkim2_alone(blanks)) {
    known = shared(message, blanks);
  } else {
    const Hashed hashed = hashed_of(message, blanks, copy);
    describe(own, message, blanks, hashed);
  }
  const Shared& of = known ? *known : own;
  copy.values.front() = of.signatures + keys_.get()->dkim2_signature(of.domain, of.chain, of.instance_value,
                                                                     {.domain = {},
                                                                      .selector = {},
                                                                      .mail_from = envelope.mail_from,
                                                                      .rcpt_to = envelope.rcpt_to,
                                                                      .at = made_at(message)});
  const auto hashes = std::ranges::find(blanks, list::blank(Value::instance_hashes), &store::BlankAt::blank);
  if (hashes != blanks.end())
    copy.values[static_cast<std::size_t>(hashes - blanks.begin())] = of.instance_value;
}

/// What DKIM2 signs of a copy.
void Signing::describe(Shared& out, const store::Message& message, const std::vector<store::BlankAt>& blanks,
                       const Hashed& hashed) {
  const auto header = mail::Header::scan(hashed.header, limits);
  if (!header) return;
  out.domain = domain_for(message, *header);
  out.signatures = fields_for(message, blanks, hashed);
  out.instance_value = instance_value(header->fields(), hashed.simple_hash);
  out.chain = auth::dkim2_chain(header->fields());
}

std::shared_ptr<const Signing::Shared> Signing::shared(const store::Message& message,
                                                       const std::vector<store::BlankAt>& blanks) {
  {
    const std::lock_guard lock(mutex_);
    if (auto shared = known(message.id).shared) return shared;
  }
  auto made = std::make_shared<Shared>(read(message, nullptr, blanks, has_dkim2(blanks)));
  if (differ_in_dkim2_alone(blanks))
    describe(*made, message, blanks, {made->header, made->body_hash, made->simple_hash});
  std::shared_ptr<const Shared> shared = std::move(made);
  const std::lock_guard lock(mutex_);
  Known& one = known(message.id);
  if (!one.shared) one.shared = shared, size_ += shared->size();
  return shared;
}

Signing::Hashed Signing::hashed_of(const store::Message& message, const std::vector<store::BlankAt>& blanks,
                                   const Copy& copy) {
  const auto whole = [&](std::shared_ptr<const Copy> of) {
    Shared read_once = read(message, std::move(of), {}, has_dkim2(blanks));
    return Hashed{std::move(read_once.header), std::move(read_once.body_hash),
                  std::move(read_once.simple_hash)};
  };
  if (!is_individual(blanks)) return whole(nullptr);
  const std::shared_ptr<const Shared> shared = this->shared(message, blanks);
  const bool in_body = blanks.back().at >= shared->header.size();
  if (in_body && !shared->before) return whole(std::make_shared<const Copy>(copy));
  Hashed own{{}, shared->body_hash, shared->simple_hash};
  std::size_t from = 0, i = 0;
  for (; i < blanks.size() && i < copy.values.size() && blanks[i].at < shared->header.size(); ++i) {
    own.header.append(shared->header, from, blanks[i].at - from).append(copy.values[i]);
    from = blanks[i].at;
  }
  own.header.append(shared->header, from);
  if (!in_body) return own;
  const auto first = i;
  const auto hash = [&](auth::BodyHash body) {
    const std::string_view behind = shared->behind;
    from = 0;
    for (i = first; i < blanks.size() && i < copy.values.size(); ++i) {
      const std::size_t at = blanks[i].at - shared->from;
      body.update(behind.substr(from, at - from));
      body.update(copy.values[i]);
      from = at;
    }
    body.update(behind.substr(from));
    return *body.finish();
  };
  own.body_hash = hash(shared->before->copy());
  if (shared->simple_before) own.simple_hash = hash(shared->simple_before->copy());
  return own;
}

// The message once, slice by slice. The header is in memory; of the body only what is behind the first value in it (`blanks`).
Signing::Shared Signing::read(const store::Message& message, std::shared_ptr<const Copy> copy,
                              const std::vector<store::BlankAt>& blanks, bool dkim2) const {
  WireStream stream(store_, message, true, std::move(copy));
  Shared out;
  auth::BodyHash body(true, std::nullopt, new_sha256);
  std::optional<auth::BodyHash> simple;
  if (dkim2) simple.emplace(false, std::nullopt, new_sha256);
  const auto update = [&](std::string_view octets) {
    body.update(octets);
    if (simple) simple->update(octets);
  };
  const auto first_value = [&] {
    body.hash_now();
    out.before.emplace(body.copy());
    if (!simple) return;
    simple->hash_now();
    out.simple_before.emplace(simple->copy());
  };
  std::uint64_t at = 0;
  std::optional<std::uint64_t> first;  // the first value in the body
  const auto take = [&](std::string_view octets) {
    if (first && !out.before && at + octets.size() > *first) {
      const auto before = static_cast<std::size_t>(*first - at);
      update(octets.substr(0, before));
      octets.remove_prefix(before);
      at = *first;
      first_value();
      out.from = at;
    }
    if (out.before) out.behind += octets;
    update(octets);
    at += octets.size();
  };
  bool in_header = true;
  for (;;) {
    const std::string_view slice = stream.next();
    if (!in_header) {
      take(slice);
    } else {
      out.header += slice;
      // Whole lines only: of a field that is cut off nobody knows that it is one.
      const std::size_t lines = slice.empty() ? out.header.size() : out.header.rfind('\n') + 1;
      const auto header = mail::Header::scan(std::string_view(out.header).substr(0, lines), limits);
      // A header beyond all limits has no end here: then nothing is body, and nothing is signed.
      if (header && (header->complete() || slice.empty())) {
        in_header = false;
        at = header->end();
        const auto in_body = std::ranges::find_if(blanks, [&](const auto& blank) { return blank.at >= at; });
        if (in_body != blanks.end() && message.size - in_body->at <= most_behind) first = in_body->at;
        take(std::string_view(out.header).substr(header->end()));
        out.header.resize(static_cast<std::size_t>(header->end()));
      }
    }
    if (slice.empty()) break;
  }
  if (first && !out.before) {  // it stands at the very end
    first_value();
    out.from = at;
  }
  out.body_hash = *body.finish();
  if (simple) out.simple_hash = *simple->finish();
  return out;
}

std::string Signing::converted(const store::Message& message, const std::vector<store::BlankAt>& blanks,
                               const Envelope& envelope, std::string mail) {
  const auto header = mail::Header::scan(mail, limits);
  if (!header) return mail;
  SignMail how;
  how.domain = domain_for(message, *header);
  if (by_author(blanks)) how.author = mail::lower(auth::author_domain(*header));
  how.at = message.arrived;
  if (has_dkim2(blanks)) {
    how.instance = auth::instance_field(1, {});
    how.mail_from = envelope.mail_from;
    how.rcpt_to = envelope.rcpt_to;
    how.now = made_at(message);
    std::string others;
    std::size_t size = 0;
    for (const mail::Field& field : header->fields()) {
      size += field.raw.size();
      if (!auth::is_instance(field) && !auth::is_signature(field)) others += field.raw;
    }
    mail.replace(0, size, others);
  }
  const auto keys = keys_.get();
  if (!keys->has(how.domain) && !keys->has(how.author)) note_unsigned(message.id, how.domain);
  return signed_mail(*keys, how, std::move(mail));
}

std::string Signing::fields_for(const store::Message& message, const std::vector<store::BlankAt>& blanks,
                                const Hashed& hashed) {
  const auto header = mail::Header::scan(hashed.header, limits);
  if (!header) return {};
  const std::string domain = domain_for(message, *header);
  const auto keys = keys_.get();
  std::string fields = keys->signatures(domain, header->fields(), hashed.body_hash, message.arrived);
  if (by_author(blanks)) {
    const std::string author = mail::lower(auth::author_domain(*header));
    if (author != domain)
      fields.insert(0, keys->signatures(author, header->fields(), hashed.body_hash, message.arrived));
  }
  if (fields.empty()) note_unsigned(message.id, domain);
  return fields;
}

void Signing::note_unsigned(store::Id message, const std::string& domain) {
  const std::lock_guard lock(mutex_);
  if (unsigned_.insert(domain).second)
    log::event(
        log::Level::warning, "unsigned",
        {{"qid", store::id_text(message)},
         {"reply", "mail of " + domain +
                       " goes out without a signature: its [[dkim]] tables are gone since it was accepted"}});
}

}  // namespace spoold::server
