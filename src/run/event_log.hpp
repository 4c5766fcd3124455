// Appends events to metrics.jsonl: complete lines or nothing. A temporary failure of the disk loses no event.
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

  /// Opens or creates the file. Returns false and sets errno on failure.
  bool open(const std::filesystem::path& file);
  void close();
  bool is_open() const { return open_; }
  /// Appends one line. On failure it warns once, removes the incomplete line, and writes the line together with a later one.
  void append(const std::string& line);

 private:
  bool write_waiting();
  bool reopen();

  std::filesystem::path file_;
  bool open_ = false, failing_ = false;
  int descriptor_ = -1;
  dev_t device_ = 0;  // device of the opened file: a later run may have replaced the file
  ino_t inode_ = 0;
  std::string waiting_;
  std::int64_t dropped_ = 0;
};

}  // namespace trireme
