// Opens an HDF5 file and explains failures.
#include <sys/resource.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <string_view>
#include <system_error>

#include "io/detail/other_files.hpp"

namespace trireme::h5 {

namespace fs = std::filesystem;

namespace {

/// The first bytes of a file as printable text, for the message "not an HDF5 file".
std::string first_bytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text(16, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(std::max<std::streamsize>(file.gcount(), 0)));
  for (char& c : text)
    if (c < ' ' || c > '~') c = '.';
  return text;
}

/// Remedy for a file of another format, recognized by its first bytes; empty: unknown format.
std::string hint_of_format(std::string_view begin) {
  if (begin.starts_with("CDF")) return ". Hint: this is netCDF's classic format; nccopy -k nc4 converts it to netCDF-4, which is HDF5";
  if (begin.starts_with("MATLAB 5.0")) return ". Hint: this is MATLAB's older format; save(..., '-v7.3') writes HDF5";
  return "";
}

/// Remedy for an errno; empty: unknown.
std::string hint_of_errno(int number, std::string_view words) {
  if (words.find("lock") != std::string_view::npos)
    return ". Hint: another process has this file open for writing, or its file system has no locks; wait for the writer to end or, if there is none, export "
           "HDF5_USE_FILE_LOCKING=FALSE";
  if (number == EMFILE) {
    rlimit limit{};
    getrlimit(RLIMIT_NOFILE, &limit);
    return fmt::format(". Hint: a process can have at most {} open files (ulimit -n); raise the limit with ulimit -n, up to {}",
                       static_cast<std::uint64_t>(limit.rlim_cur),
                       limit.rlim_max == RLIM_INFINITY ? "any number" : std::to_string(static_cast<std::uint64_t>(limit.rlim_max)));
  }
  return "";
}

}  // namespace

std::string kind_text(const fs::file_status& status) {
  switch (status.type()) {
    case fs::file_type::directory:
      return "a folder";
    case fs::file_type::fifo:
      return "a FIFO";
    case fs::file_type::socket:
      return "a socket";
    case fs::file_type::block:
    case fs::file_type::character:
      return "a device";
    default:
      return "something else";
  }
}

namespace {

File open_with(const std::string& path, const std::string& what, ExitCode code, [[maybe_unused]] bool locks) {
  quiet();
  std::error_code ignored, fault;
  const fs::file_status status = fs::status(path, fault);
  if (!fs::exists(status) && status.type() != fs::file_type::not_found)
    throw IoError(code, fmt::format("{} '{}' cannot be read: {}", what, path, fault.message()), fault.value());
  if (!fs::exists(status)) {
    if (fs::is_symlink(fs::symlink_status(path, ignored)))
      throw fail(code, "{} '{}' is a symbolic link to '{}', which does not exist", what, path, fs::read_symlink(path, ignored).string());
    throw fail(code, "{} '{}' does not exist", what, path);
  }
  if (!fs::is_regular_file(status)) throw fail(code, "{} '{}' is {}, not a file", what, path, kind_text(status));

  const Properties access(TRIREME_H5_AS(code, H5Pcreate(H5P_FILE_ACCESS), path));
#if H5_VERSION_GE(1, 12, 1) || (H5_VERSION_GE(1, 10, 7) && !H5_VERSION_GE(1, 11, 0))
  if (!locks) TRIREME_H5_AS(code, H5Pset_file_locking(access, false, true), path);
#endif
  File file(H5Fopen(path.c_str(), H5F_ACC_RDONLY, access));
  if (file) return file;

  int number = 0;
  const std::string words = error_stack(&number);
  if (!std::ifstream(path)) number = errno;
  if (words.find("locking flag") != std::string::npos)
    throw fail(code,
               "{} '{}' is already open: it is, through other files, its own source, or it is used both as a shard and as a source. Hint: give either the "
               "virtual file or its sources",
               what, path);
  if (number != 0) {
    const auto why = std::generic_category().message(number);
    throw IoError(code, fmt::format("{} '{}' cannot be read: {}{}", what, path, why, hint_of_errno(number, words)), number);
  }
  const auto bytes = fs::file_size(path, ignored);
  if (bytes == 0) throw fail(code, "{} '{}' is empty (0 bytes); expected an HDF5 file", what, path);
  if (words.find("h5clear") != std::string::npos)
    throw fail(code,
               "{} '{}' was not closed by the program that wrote it: {}. Hint: wait until that program has ended; if it was killed, h5clear -s '{}' marks "
               "the file as closed (check its contents: the end may be missing)",
               what, path, words, path);
  if (H5Fis_hdf5(path.c_str()) <= 0) {
    H5Eclear2(H5E_DEFAULT);
    const std::string begin = first_bytes(path);
    throw fail(code, "{} '{}' is not an HDF5 file: it has {} bytes and begins with \"{}\"{}", what, path, bytes, begin, hint_of_format(begin));
  }
  throw fail(code, "{} '{}' is truncated or damaged ({} bytes): {}. Hint: copy it or create it again", what, path, bytes, words);
}

}  // namespace

File open_file(const std::string& path, const std::string& what, ExitCode code) { return open_with(path, what, code, false); }

}  // namespace trireme::h5

namespace trireme::detail {

h5::File open_as_hdf5_does(const std::string& path, const std::string& what) { return h5::open_with(path, what, ExitCode::data, true); }

}  // namespace trireme::detail
