#include "io/record_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>
#include <utility>

#include "base/error.hpp"
#include "io/detail/durable.hpp"
#include "io/detail/file_writing.hpp"

namespace trireme {

namespace fs = std::filesystem;

namespace {

IoError failure(const fs::path& file, const char* what, int number) {
  const auto why = std::generic_category().message(number);
  return IoError(ExitCode::checkpoint,
                 fmt::format("'{}' cannot be {}: {}. Hint: check permissions, free space and the file system, or set run.output to "
                             "another folder",
                             file.string(), what, why),
                 number);
}

class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  operator int() const { return number_; }
  int close() { return ::close(std::exchange(number_, -1)); }

 private:
  int number_;
};

std::optional<std::string> read_once(const fs::path& file) {
  const Descriptor descriptor(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));  // O_NONBLOCK: do not block on a pipe
  if (descriptor < 0 && errno == ENOENT) return std::nullopt;
  if (descriptor < 0) throw failure(file, "read", errno);
  struct stat status {};
  if (::fstat(descriptor, &status) != 0) throw failure(file, "read", errno);
  if (!S_ISREG(status.st_mode))
    throw checkpoint_error("'{}' is not a regular file. Hint: this is not a run directory that trireme wrote; set run.output to another folder", file.string());
  std::string text;
  std::array<char, 1 << 16> piece;
  while (true) {
    const ssize_t got = ::read(descriptor, piece.data(), piece.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw failure(file, "read", errno);
    if (got == 0) return text;
    text.append(piece.data(), static_cast<std::size_t>(got));
  }
}

void replace_once(const fs::path& file, const fs::path& partial, std::string_view text) {
  std::error_code ignored;
  const auto give_up = [&](int number) {
    fs::remove(partial, ignored);
    return failure(file, "written", number);
  };
  if (fs::is_directory(fs::symlink_status(file, ignored))) throw failure(file, "written", EISDIR);
  fs::remove(partial, ignored);  // of a previous attempt
  Descriptor descriptor(::open(partial.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666));
  if (descriptor < 0) throw failure(file, "written", errno);
  if (const int number = detail::write_fully(descriptor, text.data(), text.size(), 0); number != 0) throw give_up(number);
  if (::fsync(descriptor) != 0 || descriptor.close() != 0) throw give_up(errno);
  if (const auto error = detail::publish(partial, file)) throw give_up(error.value());
}

bool is_token(std::string_view text) {
  return text.size() == 16 && std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

}  // namespace

std::optional<std::string> read_record(const fs::path& file, int retries) {
  return with_retries(
      retries, [&] { return read_once(file); }, true);
}

void replace_record(const fs::path& file, const std::string& tag, std::string_view text, int retries) {
  const fs::path partial = file.parent_path() / fmt::format(".{}.{}.partial", file.filename().string(), tag);
  with_retries(retries, [&] { replace_once(file, partial, text); });
}

bool is_unfinished_record(const std::string& name) {
  constexpr std::string_view end = ".partial";
  if (!name.ends_with(end)) return false;
  if (name == "log.txt.partial" || name == "metrics.jsonl.partial") return true;  // names in earlier versions
  if (name.starts_with(".hang-")) return is_token(std::string_view(name).substr(6, 16));
  if (!name.starts_with(".")) return false;
  const std::string_view middle = std::string_view(name).substr(1, name.size() - 1 - end.size());
  const auto dot = middle.rfind('.');
  return dot != middle.npos && is_token(middle.substr(dot + 1));
}

}  // namespace trireme
