#include "io/detail/durable.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>

namespace trireme::detail {

namespace fs = std::filesystem;

fs::path partial_name(const fs::path& file) { return file.parent_path() / fmt::format(".{}.partial", file.filename().string()); }

std::error_code sync_to_disk(const fs::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return {errno, std::generic_category()};
  const int failure = ::fsync(descriptor) == 0 ? 0 : errno;
  ::close(descriptor);
  return {failure, std::generic_category()};
}

std::error_code publish(const fs::path& partial, const fs::path& file) {
  std::error_code error;
  fs::rename(partial, file, error);
  if (error) return error;
  error = sync_to_disk(file.has_parent_path() ? file.parent_path() : fs::path("."));
  // Some file systems cannot sync folders and return an error: then the rename is as durable as possible.
  return error == std::errc::invalid_argument || error == std::errc::operation_not_supported ? std::error_code{} : error;
}

}  // namespace trireme::detail
