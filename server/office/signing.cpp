#include "server/office/signing.hpp"

#include <algorithm>
#include <utility>

#include "protocol/list/personal.hpp"
#include "protocol/mail/ascii.hpp"

namespace spoold::server {

bool has_keys(const conf::Settings& settings, std::string_view domain) {
  return std::ranges::any_of(settings.dkim_keys,
                             [&](const conf::Dkim& key) { return mail::same(key.domain, domain); });
}

void place_signatures(const conf::Settings& settings, std::string_view domain, store::NewMessage& message,
                      std::string_view author, std::string instance) {
  const bool by_author = !author.empty() && !mail::same(author, domain) && has_keys(settings, author);
  if (!by_author && !has_keys(settings, domain)) return;
  // The head becomes a piece of the body: a blank stands behind what is before it.
  std::vector<store::Splice> body(1);
  using list::Value;
  if (instance.empty()) {
    body.front().blank = list::blank(by_author ? Value::signatures_and_author : Value::signatures);
  } else {
    body.front().blank = list::blank(by_author ? Value::dkim2_and_author : Value::dkim2);
    constexpr std::string_view end = ";\r\n";
    message.message.size += instance.size() + end.size();
    body.push_back({.own = std::move(instance), .blank = list::blank(Value::instance_hashes)});
    message.head.insert(0, end);
  }
  if (!message.head.empty()) body.push_back({.own = std::exchange(message.head, std::string())});
  std::ranges::move(message.body, std::back_inserter(body));
  message.body = std::move(body);
  message.message.personal = true;
}

}  // namespace spoold::server
