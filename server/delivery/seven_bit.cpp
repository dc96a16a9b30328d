#include "server/delivery/seven_bit.hpp"

#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "protocol/mime/seven_bit.hpp"
#include "protocol/smtp/data_writer.hpp"
#include "server/crash_notes.hpp"
#include "server/delivery/signing.hpp"
#include "server/delivery/wire.hpp"
#include "server/log.hpp"
#include "store/spool/spool.hpp"
#include "store/store.hpp"
#include "store/txn.hpp"

namespace spoold::server {
namespace {
constexpr std::size_t budget = 32 << 20;
constexpr std::size_t most_kept = 1000;

std::size_t octets(const Form& form) {
  if (!form.copy) return 0;
  return form.copy->data->octets.size() +
         (form.copy->chunk == form.copy->data ? 0 : form.copy->chunk->octets.size());
}
}  // namespace

SevenBit::SevenBit(store::Store& store, Signing& signing) : store_(store), signing_(signing) {
  asio::post(thread_, [] {
    pthread_setname_np(pthread_self(), "convert");
    [[maybe_unused]] const int now = ::nice(10);  // after the loops, where there is not enough for all
  });
}

SevenBit::~SevenBit() {
  thread_.stop();
  thread_.join();
}

std::shared_ptr<Form> SevenBit::of(const store::Message& message, const std::shared_ptr<const Copy>& personal,
                                   std::function<void()> on_ready, Envelope envelope) {
  const std::lock_guard lock(mutex_);
  if (personal) {
    auto form = std::make_shared<Form>(message.id);
    form->when_ready(std::move(on_ready));
    asio::post(thread_, [this, form, message, personal, envelope = std::move(envelope)] {
      make(form, message, personal.get(), envelope);
    });
    return form;
  }
  auto found =
      std::find_if(kept_.begin(), kept_.end(), [&](const auto& form) { return form->message == message.id; });
  if (found != kept_.end()) {
    kept_.splice(kept_.begin(), kept_, found);
  } else {
    const auto& form = kept_.emplace_front(std::make_shared<Form>(message.id));
    asio::post(thread_, [this, form, message] { make(form, message, nullptr, {}); });
  }
  kept_.front()->when_ready(std::move(on_ready));
  return kept_.front();
}

void SevenBit::make(const std::shared_ptr<Form>& form, const store::Message& message, const Copy* personal,
                    const Envelope& envelope) {
  const crash::Handling handling(message.id);
  try {
    convert(*form, message, personal, envelope);
  } catch (...) {
    form->failed = std::current_exception();
  }
  const std::lock_guard lock(mutex_);
  form->made();
  const auto at = std::find(kept_.begin(), kept_.end(), form);
  if (at != kept_.end() && form->failed)
    kept_.erase(at);
  else if (at != kept_.end())
    size_ += octets(*form);
  // A form that is still being made counts nothing and may leave too: its lanes hold it.
  while (kept_.size() > 1 && (size_ > budget || kept_.size() > most_kept)) {
    if (kept_.back()->ready()) size_ -= octets(*kept_.back());
    kept_.pop_back();
  }
}

void SevenBit::convert(Form& form, const store::Message& message, const Copy* personal,
                       const Envelope& envelope) const {
  if (message.size > mime::most_converted) {
    form.why_not =
        "it is larger than the " + std::to_string(mime::most_converted) + " octets that are converted";
    return;
  }
  std::string bytes;
  std::vector<store::BlankAt> blanks;
  {
    const store::Read read(store_);
    bytes = store::spool::outgoing(read, message, 0, mime::most_converted + 1);
    if (message.personal) blanks = store::spool::blanks(read, message.id);
  }
  // Else a part of a message would be converted, and accepted as a whole.
  must_be_whole(message, bytes.size());
  for (std::size_t i = blanks.size(); personal != nullptr && i-- > 0;)
    if (i < personal->values.size()) bytes.insert(blanks[i].at, personal->values[i]);
  auto converted = mime::to_seven_bit(bytes);
  if (!converted) {
    form.why_not = std::move(converted.error());
    return;
  }
  std::string mail = *std::move(converted);
  if (is_signed(blanks)) mail = signing_.converted(message, blanks, envelope, std::move(mail));
  form.converted = true;
  form.size = mail.size();
  log::event(log::Level::info, "converted",
             {{"qid", store::id_text(message.id)}, {"size", message.size}, {"octets", form.size}});
  smtp::DataWriter writer(true);
  std::string stuffed;
  stuffed = writer.write(mail, bytes);
  const bool dots = stuffed.size() != mail.size();
  stuffed += writer.finish();
  auto copy = std::make_shared<Copy>();
  copy->data = std::make_shared<const WireForm>(WireForm{std::move(stuffed)});
  copy->chunk = dots ? std::make_shared<const WireForm>(WireForm{std::move(mail)}) : copy->data;
  form.copy = std::move(copy);
}

}  // namespace spoold::server
