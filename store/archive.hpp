// Posts that are kept as files (NewMessage::archive): archived if and only if accepted, also when the process or the machine dies.
//
// Around the accepting commit, on a thread of its own:
//   1. stage: each post is written where no reader of the archive looks, and flushed. An error refuses the message (Error::Kind::archive).
//   2. the commit: a row of `archive` (message id -> place) comes to exist with the message.
//   3. publish: the file gets its name in the archive, and is flushed; then the row goes. Only then the acceptance is answered.
// When the commit fails, what was staged is removed. A crash between 1 and 2 leaves a file without a row: the next start removes it.
// One behind 2 leaves the row: the next start publishes, once (archive_files.hpp). A publishing that fails (a disk that has become
// full, an mbox that somebody keeps locked) is tried again every 5 s: the post is accepted, and on the disk.
//
// Posts that wait at the same time are a group: their files are flushed together, the folder once.
// Failures: of staging, to the caller. Of publishing: on_trouble, with the names of files; nobody waits.
#pragma once
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "store/archive_files.hpp"
#include "store/env.hpp"
#include "store/guarded.hpp"
#include "store/job.hpp"
#include "store/spool/acceptance.hpp"

namespace spoold::store {

class Archive {
 public:
  struct Wiring {
    const Env* env = nullptr;
    std::function<void(std::string)> on_trouble;
    std::function<void(std::vector<Id>)> published;  // their rows may go
    std::function<int(const char*)> fault;           // of tests
  };
  /// Begins with what an earlier process left: before anything is staged, so every file that waits is of an earlier one.
  explicit Archive(Wiring wiring);
  ~Archive();  // close()

  using Posts = std::shared_ptr<const Acceptance>;
  /// Callbacks run on the thread of the archive.
  void stage(Posts, Callback<void> done);
  void publish(Posts, std::function<void()> done);
  void withdraw(Posts, std::function<void()> done);

  /// Returns when nothing is being staged; from then on stage() answers `stopped`.
  void stop_staging();
  /// What was accepted is published; then the thread ends. Any thread but its own.
  void close();

 private:
  enum class What { stage, publish, withdraw };
  struct Job {
    What what = What::stage;
    Posts posts;
    Callback<void> staged;
    std::function<void()> done;
  };
  using Places = std::map<std::string, std::vector<Id>>;
  void submit(Job);
  void run();
  void recover();
  void stage(std::vector<Job>&);
  Filed<void> write(const NewMessage&, const Posts&);
  void publish(Places&);
  ArchiveFiles& files(const std::string& place);
  void trouble(const std::string& place, const FileFault&);

  const Wiring wiring_;
  std::map<std::string, ArchiveFiles> files_;  // of the thread
  Places failed_;                              // of the thread: to be published again
  Mutex mutex_;
  std::condition_variable wake_, idle_;
  std::vector<Job> queue_ GUARDED_BY(mutex_);
  std::size_t staging_ GUARDED_BY(mutex_) = 0;
  bool refuses_ GUARDED_BY(mutex_) = false, ends_ GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

/// Whether any message of it goes to an archive.
bool is_archived(const Acceptance&);

}  // namespace spoold::store
