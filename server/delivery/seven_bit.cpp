#include "server/delivery/seven_bit.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "protocol/mime/seven_bit.hpp"
#include "server/log.hpp"
#include "store/spool/spool.hpp"
#include "store/store.hpp"
#include "store/txn.hpp"

namespace spoold::server {
namespace {
constexpr std::size_t budget = 32 << 20;
constexpr std::size_t most_kept = 1000;
}  // namespace

std::size_t SevenBit::octets(const Form& form) {
  if (!form.data) return 0;
  return form.data->size() + (form.chunk == form.data ? 0 : form.chunk->size());
}

const SevenBit::Form& SevenBit::of(const store::Message& message) {
  const auto found =
      std::find_if(kept_.begin(), kept_.end(), [&](const Form& form) { return form.message == message.id; });
  if (found != kept_.end()) {
    kept_.splice(kept_.begin(), kept_, found);
    return kept_.front();
  }
  kept_.push_front(made(message));
  size_ += octets(kept_.front());
  while (kept_.size() > 1 && (size_ > budget || kept_.size() > most_kept)) {
    size_ -= octets(kept_.back());
    kept_.pop_back();
  }
  return kept_.front();
}

Wire SevenBit::wire(const store::Message& message, bool chunk) {
  const Form& form = of(message);
  if (!form.data)
    throw std::logic_error("message " + store::id_text(message.id) + " is not converted: " + form.why_not);
  return chunk ? form.chunk : form.data;
}

SevenBit::Form SevenBit::made(const store::Message& message) const {
  Form form;
  form.message = message.id;
  if (message.size > mime::most_converted) {
    form.why_not =
        "it is larger than the " + std::to_string(mime::most_converted) + " octets that are converted";
    return form;
  }
  std::string bytes;
  {
    const store::Read read(store_);
    bytes = store::spool::outgoing(read, message, 0, mime::most_converted + 1);
  }
  must_be_whole(message,
                bytes.size());  // else a part of a message would be converted, and accepted as a whole
  auto converted = mime::to_seven_bit(bytes);
  if (!converted) {
    form.why_not = std::move(converted.error());
    return form;
  }
  form.size = converted->size();
  log::event(log::Level::info, "converted",
             {{"qid", store::id_text(message.id)}, {"size", message.size}, {"octets", form.size}});
  smtp::DataWriter writer(true);
  std::string stuffed;
  stuffed = writer.write(*converted, bytes);
  const bool dots = stuffed.size() != converted->size();
  stuffed += writer.finish();
  form.data = std::make_shared<const std::string>(std::move(stuffed));
  form.chunk = dots ? std::make_shared<const std::string>(std::move(*converted)) : form.data;
  return form;
}

}  // namespace spoold::server
