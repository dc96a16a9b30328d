#include "server/auth/asker.hpp"

#include <poll.h>
#include <unbound.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <fstream>
#include <sstream>

#include "protocol/dns/zone_file.hpp"
#include "server/unbound.hpp"

namespace spoold::server {
namespace {

constexpr auto time_limit = std::chrono::seconds(20);

class FileAsker : public Asker {
 public:
  explicit FileAsker(dns::ZoneFile zone) : zone_(std::move(zone)) {}

  std::vector<dns::Answer> ask(const std::vector<dns::Question>& questions) override {
    std::vector<dns::Answer> answers;
    answers.reserve(questions.size());
    for (const dns::Question& question : questions) answers.push_back(zone_.answer(question));
    return answers;
  }

 private:
  dns::ZoneFile zone_;
};

class DnsAsker : public Asker {
 public:
  explicit DnsAsker(ub_ctx* context) : context_(context) {}
  ~DnsAsker() override { ub_ctx_delete(context_); }
  DnsAsker(const DnsAsker&) = delete;
  DnsAsker& operator=(const DnsAsker&) = delete;

  std::vector<dns::Answer> ask(const std::vector<dns::Question>& questions) override {
    std::vector<Asked> all(questions.size());
    for (std::size_t i = 0; i < questions.size(); ++i) {
      const int error = ub_resolve_async(context_, unbound::name_text(questions[i].name).c_str(),
                                         static_cast<int>(questions[i].type), 1, &all[i], &came, &all[i].id);
      if (error == 0) continue;
      all[i].answer = unbound::answer_of(error, nullptr);
      all[i].here = true;
    }
    wait(all);
    std::vector<dns::Answer> answers;
    answers.reserve(all.size());
    for (Asked& asked : all) answers.push_back(std::move(asked.answer));
    return answers;
  }

 private:
  struct Asked {
    int id = 0;
    bool here = false;
    dns::Answer answer;
  };

  static void came(void* data, int error, ub_result* result) {
    auto& asked = *static_cast<Asked*>(data);
    asked.answer = unbound::answer_of(error, result);
    asked.here = true;
    ub_resolve_free(result);
  }

  void wait(std::vector<Asked>& all) {
    using Clock = std::chrono::steady_clock;
    const auto end = Clock::now() + time_limit;
    for (Asked& asked : all) {
      while (!asked.here) {
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now()).count();
        pollfd answers{ub_fd(context_), POLLIN, 0};
        const int ready = left > 0 ? ::poll(&answers, 1, static_cast<int>(left)) : 0;
        if (ready > 0) ub_process(context_);
        if (ready > 0 || (ready < 0 && errno == EINTR)) continue;
        ub_cancel(context_, asked.id);
        asked.answer.status = dns::Answer::Status::timeout;
        asked.answer.why = "no answer in 20 s";
        asked.here = true;
      }
    }
  }

  ub_ctx* context_;
};

}  // namespace

tl::expected<std::unique_ptr<Asker>, std::string> dns_asker(const conf::Resolver& settings) {
  ub_ctx* context = ub_ctx_create();
  if (context == nullptr) return tl::unexpected(std::string("libunbound cannot be started"));
  std::unique_ptr<Asker> asker = std::make_unique<DnsAsker>(context);
  if (std::string fault = unbound::set_up(context, settings); !fault.empty())
    return tl::unexpected(std::move(fault));
  return asker;
}

tl::expected<std::unique_ptr<Asker>, std::string> file_asker(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  if (!file) return tl::unexpected(path + " cannot be read: " + std::strerror(errno));
  auto zone = dns::ZoneFile::parse(text.str());
  if (!zone) return tl::unexpected(path + ":" + std::to_string(zone.error().line) + ": " + zone.error().what);
  return std::unique_ptr<Asker>(std::make_unique<FileAsker>(std::move(*zone)));
}

}  // namespace spoold::server
