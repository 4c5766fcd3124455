// metrics.jsonl as it is appended to: whole lines or nothing. A disk that fails for a while costs no event.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <string>

namespace trireme {

class EventLog {
 public:
  EventLog() = default;
  ~EventLog() { close(); }
  EventLog(const EventLog&) = delete;
  EventLog& operator=(const EventLog&) = delete;

  /// Opens the file, or makes it; false, with errno, where that fails.
  bool open(const std::filesystem::path& file);
  void close();
  bool is_open() const { return open_; }
  /// Appends one line. Where that fails it is warned of once, no half line stays, and the line is written with a later one.
  void append(const std::string& line);

 private:
  bool write_waiting();
  bool reopen();

  std::filesystem::path file_;
  bool open_ = false, failing_ = false;
  int descriptor_ = -1;
  dev_t device_ = 0;  // of the file that was opened: a later run may have made another one under its name
  ino_t inode_ = 0;
  std::string waiting_;
  std::int64_t dropped_ = 0;
};

}  // namespace trireme
