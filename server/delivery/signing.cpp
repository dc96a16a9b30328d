#include "server/delivery/signing.hpp"

#include <algorithm>
#include <utility>

#include "protocol/auth/canonical.hpp"
#include "protocol/auth/results.hpp"
#include "protocol/list/personal.hpp"
#include "protocol/mail/ascii.hpp"
#include "protocol/mail/mailbox.hpp"
#include "server/auth/crypto.hpp"
#include "server/crash_notes.hpp"
#include "server/log.hpp"
#include "store/store.hpp"

namespace spoold::server {
namespace {

constexpr std::size_t most_known = 1000, most_octets = 8 << 20, most_behind = 64 << 10;
// A header as it came in is smaller (mail::HeaderLimits); what we added stands in it, too.
constexpr mail::HeaderLimits limits{512 * 1024, 8192};
constexpr mail::Blank place = list::blank(list::Value::signatures),
                      place_of_author = list::blank(list::Value::signatures_and_author);

}  // namespace

bool is_signed(const std::vector<store::BlankAt>& blanks) {
  return !blanks.empty() && (blanks.front().blank == place || blanks.front().blank == place_of_author);
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
                                  std::shared_ptr<const Copy> copy, std::function<void()> on_ready) {
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
  asio::post(pool_, [this, form, message, blanks, copy = std::move(copy)] {
    const crash::Handling handling(message.id);
    try {
      make(*form, message, blanks, *copy);
    } catch (...) {
      form->failed = std::current_exception();
    }
    form->made();
  });
  return form;
}

void Signing::make(Form& form, const store::Message& message, const std::vector<store::BlankAt>& blanks,
                   const Copy& copy) {
  auto made = std::make_shared<Copy>(copy);
  made->values.front() = fields_for(message, blanks, hashed_of(message, blanks, copy));
  form.size = message.size + made->size();
  form.copy = std::move(made);
}

std::shared_ptr<const Signing::Shared> Signing::shared(const store::Message& message,
                                                       const std::vector<store::BlankAt>& blanks) {
  {
    const std::lock_guard lock(mutex_);
    if (auto shared = known(message.id).shared) return shared;
  }
  auto shared = std::make_shared<const Shared>(read(message, nullptr, blanks));
  const std::lock_guard lock(mutex_);
  Known& one = known(message.id);
  if (!one.shared) one.shared = shared, size_ += shared->size();
  return shared;
}

Signing::Hashed Signing::hashed_of(const store::Message& message, const std::vector<store::BlankAt>& blanks,
                                   const Copy& copy) {
  const auto whole = [&](std::shared_ptr<const Copy> of) {
    Shared read_once = read(message, std::move(of), {});
    return Hashed{std::move(read_once.header), std::move(read_once.body_hash)};
  };
  if (!is_individual(blanks)) return whole(nullptr);
  const std::shared_ptr<const Shared> shared = this->shared(message, blanks);
  const bool in_body = blanks.back().at >= shared->header.size();
  if (in_body && !shared->before) return whole(std::make_shared<const Copy>(copy));
  Hashed own{{}, shared->body_hash};
  std::size_t from = 0, i = 0;
  for (; i < blanks.size() && i < copy.values.size() && blanks[i].at < shared->header.size(); ++i) {
    own.header.append(shared->header, from, blanks[i].at - from).append(copy.values[i]);
    from = blanks[i].at;
  }
  own.header.append(shared->header, from);
  if (!in_body) return own;
  auth::BodyHash body = shared->before->copy();
  const std::string_view behind = shared->behind;
  for (from = 0; i < blanks.size() && i < copy.values.size(); ++i) {
    const std::size_t at = blanks[i].at - shared->from;
    body.update(behind.substr(from, at - from));
    body.update(copy.values[i]);
    from = at;
  }
  body.update(behind.substr(from));
  own.body_hash = *body.finish();
  return own;
}

// The message once, slice by slice. The header is in memory; of the body only what is behind the first value in it (`blanks`).
Signing::Shared Signing::read(const store::Message& message, std::shared_ptr<const Copy> copy,
                              const std::vector<store::BlankAt>& blanks) const {
  WireStream stream(store_, message, true, std::move(copy));
  Shared out;
  auth::BodyHash body(true, std::nullopt, new_sha256);
  std::uint64_t at = 0;
  std::optional<std::uint64_t> first;  // the first value in the body
  const auto take = [&](std::string_view octets) {
    if (first && !out.before && at + octets.size() > *first) {
      const auto before = static_cast<std::size_t>(*first - at);
      body.update(octets.substr(0, before));
      octets.remove_prefix(before);
      at = *first;
      body.hash_now();
      out.before.emplace(body.copy());
      out.from = at;
    }
    if (out.before) out.behind += octets;
    body.update(octets);
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
    body.hash_now();
    out.before.emplace(body.copy());
    out.from = at;
  }
  out.body_hash = *body.finish();
  return out;
}

std::string Signing::signatures(const store::Message& message, const std::vector<store::BlankAt>& blanks,
                                std::string_view mail) {
  const auto header = mail::Header::scan(mail, limits);
  if (!header) return {};
  auth::BodyHash body(true, std::nullopt, new_sha256);
  body.update(mail.substr(header->end()));
  return fields_for(message, blanks, {std::string(mail.substr(0, header->end())), *body.finish()});
}

std::string Signing::fields_for(const store::Message& message, const std::vector<store::BlankAt>& blanks,
                                const Hashed& hashed) {
  const auto header = mail::Header::scan(hashed.header, limits);
  if (!header) return {};
  const std::string domain = mail::lower(message.list != 0 ? std::string(domain_of(message.list_address))
                                                           : auth::author_domain(*header));
  const auto keys = keys_.get();
  std::string fields = keys->signatures(domain, header->fields(), hashed.body_hash, message.arrived);
  if (!blanks.empty() && blanks.front().blank == place_of_author) {
    const std::string author = mail::lower(auth::author_domain(*header));
    if (author != domain)
      fields.insert(0, keys->signatures(author, header->fields(), hashed.body_hash, message.arrived));
  }
  if (!fields.empty()) return fields;
  const std::lock_guard lock(mutex_);
  if (unsigned_.insert(domain).second)
    log::event(
        log::Level::warning, "unsigned",
        {{"qid", store::id_text(message.id)},
         {"reply", "mail of " + domain +
                       " goes out without a signature: its [[dkim]] tables are gone since it was accepted"}});
  return fields;
}

}  // namespace spoold::server
