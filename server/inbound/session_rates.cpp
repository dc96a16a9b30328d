// How many messages and recipients a stranger's network, or a user, may send in a time.
#include "server/inbound/session.hpp"

namespace spoold::server {

// What is refused was not counted, so that whoever waits as long as he is told comes through.
std::optional<smtp::Reply> Session::over_rate(bool recipient) {
  const conf::Settings& settings = *rules_->settings;
  const bool user = !dialog_.user().empty();
  const std::optional<conf::Rate>& rate =
      user ? (recipient ? settings.submission.recipients_per_user : settings.submission.messages_per_user)
           : (recipient ? settings.smtp.recipients_per_host : settings.smtp.messages_per_host);
  const bool counted = user || (dialog_.stranger() && !dialog_.is_proxy() && !dialog_.profile().lmtp);
  if (!rate || !counted) return {};
  if (!user && network_.empty()) network_ = peer_.counted_by().front();
  using Of = Rates::Of;
  const Of what = user ? (recipient ? Of::recipients_of_user : Of::messages_of_user)
                       : (recipient ? Of::recipients_of_host : Of::messages_of_host);
  const auto wait = reception_.rates.take(what, user ? std::string_view(dialog_.user()) : network_, *rate,
                                          Rates::Clock::now());
  if (!wait) return {};
  ++reception_.stats.rate_refused;
  const auto seconds = std::chrono::ceil<std::chrono::seconds>(*wait).count();
  smtp::Reply reply{450,
                    {4, 7, 28},
                    std::string("too many ") + (recipient ? "recipients" : "messages") + " from " +
                        (user ? "user " + dialog_.user() : peer_.host) + " for now; try again in " +
                        std::to_string(seconds) + " s, or ask postmaster@" + settings.hostname};
  log_.refused({}, {}, reply);
  return reply;
}

}  // namespace spoold::server
