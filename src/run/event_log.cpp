#include "run/event_log.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "base/log.hpp"

namespace trireme {

namespace {
constexpr std::size_t most_waiting = 8 << 20;
}

bool EventLog::open(const std::filesystem::path& file) {
  close();
  file_ = file;
  descriptor_ = ::open(file.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0666);
  if (descriptor_ < 0) return false;
  struct stat about {};
  if (::fstat(descriptor_, &about) != 0) return false;
  device_ = about.st_dev, inode_ = about.st_ino;
  return open_ = true;
}

void EventLog::close() {
  if (open_ && !waiting_.empty() && !write_waiting()) log::warn("'{}': the last events could not be written ({} bytes)", file_.string(), waiting_.size());
  if (descriptor_ >= 0) ::close(descriptor_);
  descriptor_ = -1;
  open_ = failing_ = false;
  waiting_.clear();
}

void EventLog::append(const std::string& line) {
  if (!open_) return;
  waiting_ += line + '\n';
  if (write_waiting()) {
    if (failing_)
      log::warn("'{}' can be written again{}", file_.string(), dropped_ > 0 ? fmt::format("; {} event(s) were lost", dropped_) : "; no event was lost");
    failing_ = false, dropped_ = 0;
    return;
  }
  if (!failing_)
    log::warn("'{}' cannot be written: {}. Training continues; events are kept in memory and written later", file_.string(),
              std::generic_category().message(errno));
  failing_ = true;
  while (waiting_.size() > most_waiting) waiting_.erase(0, waiting_.find('\n') + 1), ++dropped_;
}

bool EventLog::reopen() {
  const int fresh = ::open(file_.c_str(), O_RDWR | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
  if (fresh < 0) return false;
  struct stat about {};
  if (::fstat(fresh, &about) != 0 || about.st_dev != device_ || about.st_ino != inode_) {
    ::close(fresh);
    return false;
  }
  ::close(descriptor_);
  descriptor_ = fresh;
  return true;
}

bool EventLog::write_waiting() {
  if (failing_) reopen();  // a handle may stay unusable after the cause is gone
  struct stat about {};
  if (::fstat(descriptor_, &about) != 0) return false;
  char last = '\n';
  if (about.st_size > 0 && ::pread(descriptor_, &last, 1, about.st_size - 1) == 1 && last != '\n') waiting_.insert(0, 1, '\n');  // after an incomplete line
  std::size_t done = 0;
  while (done < waiting_.size()) {
    const ssize_t put = ::write(descriptor_, waiting_.data() + done, waiting_.size() - done);
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) {
      const int failure = put < 0 ? errno : ENOSPC;
      // If even that fails, an incomplete line remains on a line of its own; readers skip it.
      if (done > 0 && ::ftruncate(descriptor_, about.st_size) != 0) log::warn("'{}' ends in an incomplete line", file_.string());
      errno = failure;
      return false;
    }
    done += static_cast<std::size_t>(put);
  }
  waiting_.clear();
  return true;
}

}  // namespace trireme
