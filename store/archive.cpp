#include "store/archive.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <iterator>

#include "store/broken.hpp"
#include "store/directory/directory.hpp"
#include "store/key.hpp"
#include "store/spool/spool.hpp"

namespace spoold::store {
namespace {

constexpr std::size_t octets_a_step = 256 << 10, most_of_a_group = 64;
constexpr auto again_after = std::chrono::seconds(5);
constexpr std::size_t lists_a_page = 100;

/// The octets of a post as the archive gets them: blanks are left out.
class Octets {
 public:
  Octets(const Env& env, const NewMessage& message, const Acceptance& acceptance)
      : env_(env), content_(acceptance.content) {
    const Archived& own = *message.archive;
    const bool as_sent = own.head.empty() && own.body.empty();
    head_ = as_sent ? message.head : own.head;
    body_ = as_sent ? message.body : own.body;
    if (head_.empty() && body_.empty())
      body_.push_back({0, content_.bytes ? content_.bytes->size() : content_.size, {}});
  }

  /// Appends some; false: these were the last.
  bool next(std::string& out) {
    if (!begun_) {
      begun_ = true;
      out += head_;
    }
    while (piece_ < body_.size() && out.size() < octets_a_step) {
      const Splice& piece = body_[piece_];
      const auto part = static_cast<std::size_t>(std::min<std::uint64_t>(octets_a_step, piece.length - at_));
      if (part > 0) read(piece.offset + at_, part, out);
      at_ += part;
      if (at_ < piece.length) continue;
      out += piece.own;
      at_ = 0;
      ++piece_;
    }
    return piece_ < body_.size();
  }

 private:
  void read(std::uint64_t from, std::size_t size, std::string& out) const {
    if (content_.bytes) {
      out.append(*content_.bytes, from, size);
      return;
    }
    const std::string part =
        spool::content(Read(env_), content_.staged != 0 ? content_.staged : content_.kept, from, size);
    if (part.size() != size) throw Broken(Error::Kind::not_found, "the content of a post is gone");
    out += part;
  }

  const Env& env_;
  const ContentSource& content_;
  std::string head_;
  std::vector<Splice> body_;
  bool begun_ = false;
  std::size_t piece_ = 0;
  std::uint64_t at_ = 0;  // in the piece
};

template <class F>
void each_archived(const Acceptance& acceptance, F f) {
  for (const NewMessage& message : acceptance.messages)
    if (message.archive) f(message);
}

}  // namespace

bool is_archived(const Acceptance& acceptance) {
  return std::ranges::any_of(acceptance.messages,
                             [](const NewMessage& message) { return message.archive.has_value(); });
}

Archive::Archive(Wiring wiring) : wiring_(std::move(wiring)), thread_([this] { run(); }) {}
Archive::~Archive() {
  close();
}

void Archive::submit(Job job) {
  {
    Lock lock(mutex_);
    queue_.push_back(std::move(job));
  }
  wake_.notify_one();
}

void Archive::stage(Posts posts, Callback<void> done) {
  bool refused = false;
  {
    Lock lock(mutex_);
    refused = refuses_;
    if (!refused) {
      ++staging_;
      queue_.push_back({What::stage, std::move(posts), std::move(done), {}});
    }
  }
  if (refused) return done(fail(Error::Kind::stopped, "the store is closing"));
  wake_.notify_one();
}

void Archive::publish(Posts posts, std::function<void()> done) {
  submit({What::publish, std::move(posts), {}, std::move(done)});
}

void Archive::withdraw(Posts posts, std::function<void()> done) {
  submit({What::withdraw, std::move(posts), {}, std::move(done)});
}

void Archive::stop_staging() {
  Lock lock(mutex_);
  refuses_ = true;
  idle_.wait(lock.inner(), [this]() REQUIRES(mutex_) { return staging_ == 0; });
}

void Archive::close() {
  stop_staging();
  {
    Lock lock(mutex_);
    ends_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void Archive::run() {
  try {
    recover();
  } catch (const Broken& broken) {
    if (wiring_.on_trouble) wiring_.on_trouble("what an earlier process left: " + broken.error.text);
  }
  for (;;) {
    std::vector<Job> group;
    {
      Lock lock(mutex_);
      const auto something = [this]() REQUIRES(mutex_) { return !queue_.empty() || ends_; };
      if (failed_.empty())
        wake_.wait(lock.inner(), something);
      else
        wake_.wait_for(lock.inner(), again_after, something);
      const std::size_t size = std::min(queue_.size(), most_of_a_group);
      std::move(queue_.begin(), queue_.begin() + static_cast<std::ptrdiff_t>(size),
                std::back_inserter(group));
      queue_.erase(queue_.begin(), queue_.begin() + static_cast<std::ptrdiff_t>(size));
      if (group.empty() && ends_) return;
    }
    std::vector<Job> staged;
    Places places = std::exchange(failed_, {});
    for (Job& job : group) {
      if (job.what == What::stage)
        staged.push_back(std::move(job));
      else if (job.what == What::withdraw)
        each_archived(*job.posts,
                      [&](const NewMessage& m) { files(m.archive->place).withdraw(m.message.id); });
      else
        each_archived(*job.posts,
                      [&](const NewMessage& m) { places[m.archive->place].push_back(m.message.id); });
    }
    if (!places.empty()) publish(places);
    for (const Job& job : group)
      if (job.what != What::stage && job.done) job.done();
    if (staged.empty()) continue;
    stage(staged);
    Lock lock(mutex_);
    staging_ -= staged.size();
    idle_.notify_all();
  }
}

ArchiveFiles& Archive::files(const std::string& place) {
  // A place that was stored is one that could be read.
  return files_.try_emplace(place, list::archive_place(place).value_or(list::ArchivePlace{})).first->second;
}

void Archive::trouble(const std::string& place, const FileFault& fault) {
  if (wiring_.on_trouble)
    wiring_.on_trouble(place + ": cannot " + fault.what + ": " + std::strerror(fault.code));
}

Filed<void> Archive::write(const NewMessage& m, const Posts& posts) {
  Octets octets(*wiring_.env, m, *posts);
  return files(m.archive->place)
      .write(m.message.id, m.message.reverse_path, m.message.arrived,
             [&](std::string& out) { return octets.next(out); });
}

void Archive::stage(std::vector<Job>& jobs) {
  std::map<std::string, Filed<void>> known;  // what became of each place
  const auto look = [&](const NewMessage& m) {
    const std::string& place = m.archive->place;
    if (!known.contains(place)) known.emplace(place, files(place).prepare());
  };
  std::vector<Result<void>> answers(jobs.size());
  const auto refuse = [&](std::size_t job, const NewMessage& m, const FileFault& fault) {
    trouble(m.archive->place, fault);
    answers[job] = fail(Error::Kind::archive, "the archive of " + m.message.list_address +
                                                  " cannot be written: " + std::strerror(fault.code));
  };
  for (std::size_t i = 0; i < jobs.size(); ++i)
    each_archived(*jobs[i].posts, [&](const NewMessage& m) {
      if (!answers[i]) return;
      look(m);
      if (const auto& place = known.at(m.archive->place); !place) return refuse(i, m, place.error());
      try {
        if (const auto written = write(m, jobs[i].posts); !written) refuse(i, m, written.error());
      } catch (const Broken& broken) {
        answers[i] = tl::unexpected(broken.error);
      }
    });
  for (auto& [place, state] : known)
    if (state) state = files(place).sync();
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    each_archived(*jobs[i].posts, [&](const NewMessage& m) {
      const auto place = known.find(m.archive->place);
      if (answers[i] && place != known.end() && !place->second) refuse(i, m, place->second.error());
    });
    if (!answers[i])
      each_archived(*jobs[i].posts,
                    [&](const NewMessage& m) { files(m.archive->place).withdraw(m.message.id); });
  }
  if (wiring_.fault) wiring_.fault("archive staged");
  for (std::size_t i = 0; i < jobs.size(); ++i) jobs[i].staged(std::move(answers[i]));
}

void Archive::publish(Places& places) {
  for (auto& [place, ids] : places) {
    std::ranges::sort(ids);
    if (auto done = files(place).publish(ids); done) {
      if (wiring_.fault) wiring_.fault("archive published");
      if (wiring_.published) wiring_.published(std::move(ids));
    } else {
      trouble(place, done.error());
      auto& left = failed_[place];
      left.insert(left.end(), ids.begin(), ids.end());
    }
  }
}

void Archive::recover() {
  Places accepted;
  std::vector<std::string> places;
  {
    const Read read(*wiring_.env);
    read.each(Table::archive, {}, [&](std::string_view key, std::string_view place) {
      accepted[std::string(place)].push_back(KeyReader(key).u64());
      return true;
    });
  }
  for (list::ListId after = 0;;) {
    const auto page = directory::lists(Read(*wiring_.env), after, lists_a_page);
    if (page.empty()) break;
    after = page.back().id;
    for (const list::List& list : page)
      if (!list.settings.archive.place.empty()) places.push_back(list.settings.archive.place);
  }
  for (const auto& [place, ids] : accepted) places.push_back(place);
  std::ranges::sort(places);
  places.erase(std::unique(places.begin(), places.end()), places.end());
  // A file without a row: its message does not exist, or it was published and only its leftover lived through a power failure.
  for (const std::string& place : places)
    for (const Id id : files(place).waiting()) {
      std::vector<Id>& known = accepted[place];
      if (std::ranges::find(known, id) != known.end()) continue;
      if (spool::message(Read(*wiring_.env), id))
        known.push_back(id);
      else
        files(place).withdraw(id);
    }
  std::erase_if(accepted, [](const auto& one) { return one.second.empty(); });
  if (!accepted.empty()) publish(accepted);
}

}  // namespace spoold::store
