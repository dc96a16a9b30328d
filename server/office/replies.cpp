#include "server/office/replies.hpp"

#include <mutex>
#include <utility>
#include <vector>

#include "conf/replies.hpp"

namespace spoold::server {
namespace {

using Rules = std::vector<conf::ReplyRule>;

std::shared_ptr<const smtp::ReplyTable> made_of(const Rules* own) {
  Rules rules = own ? *own : Rules();
  const Rules& built_in = conf::built_in_replies();
  rules.insert(rules.end(), built_in.begin(), built_in.end());
  return std::make_shared<const smtp::ReplyTable>(std::move(rules));
}

}  // namespace

std::shared_ptr<const smtp::ReplyTable> reply_table(const conf::Settings& settings) {
  static const std::shared_ptr<const smtp::ReplyTable> built_in = made_of(nullptr);
  if (!settings.replies) return built_in;
  static std::mutex mutex;
  static std::shared_ptr<const Rules> rules;  // kept: another file is never taken for this one
  static std::shared_ptr<const smtp::ReplyTable> table;
  const std::lock_guard lock(mutex);
  if (rules != settings.replies) {
    table = made_of(settings.replies.get());
    rules = settings.replies;
  }
  return table;
}

}  // namespace spoold::server
