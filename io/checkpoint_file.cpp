// Names of checkpoints in a run directory, and the checksum of their arrays.
#include "io/checkpoint_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <optional>
#include <system_error>
#include <utility>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/error.hpp"
#include "io/detail/checkpoint_format.hpp"
#include "io/retry.hpp"

namespace trireme {

namespace fs = std::filesystem;

static_assert(std::endian::native == std::endian::little, "checksums are of little-endian bytes as they lie in memory");

namespace detail {

Rows::Rows(const Shape& shape, bool is_double) {
  const std::int64_t element = is_double ? 8 : 4;
  count = shape.size() == 0 ? 0 : shape.rank() == 0 ? 1 : shape[0];
  bytes = count == 0 ? 0 : shape.size() / count * element;
  per_piece = bytes == 0 ? 1 : std::max(piece_bytes / bytes, std::int64_t{1});
}

std::uint64_t checksum(const std::byte* data, std::int64_t first, std::int64_t count, std::int64_t row_bytes) {
  std::uint64_t sum = 0;
  for (std::int64_t i = 0; i < count; ++i)
    sum += XXH3_64bits_withSeed(data + i * row_bytes, static_cast<std::size_t>(row_bytes), static_cast<XXH64_hash_t>(first + i));
  return sum;
}

}  // namespace detail

namespace {

constexpr std::string_view prefix = "step-", suffix = ".h5";

std::optional<std::int64_t> step_of(std::string_view name) {
  if (!name.starts_with(prefix) || !name.ends_with(suffix)) return std::nullopt;
  name.remove_prefix(prefix.size());
  name.remove_suffix(suffix.size());
  std::int64_t step = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), step);
  if (name.size() < 8 || name[0] == '-' || error != std::errc{} || end != name.data() + name.size()) return std::nullopt;
  return step;
}

}  // namespace

fs::path checkpoint_path(const fs::path& run_directory, std::int64_t step) {
  return run_directory / "checkpoints" / fmt::format("{}{:08}{}", prefix, step, suffix);
}

namespace {

[[noreturn]] void cannot_list(const fs::path& folder, const std::error_code& error) {
  throw IoError(ExitCode::checkpoint,
                fmt::format("'{}' cannot be listed: {}. It may hold checkpoints, so the run does not start over. Hint: check "
                            "permissions and the file system, or set run.output to another folder",
                            folder.string(), error.message()),
                error.value());
}

/// Names in a folder; empty if it does not exist (only ENOENT means this).
std::vector<fs::path> names_in(const fs::path& folder) {
  std::error_code error;
  std::vector<fs::path> names;
  fs::directory_iterator at(folder, error);
  for (const fs::directory_iterator end; !error && at != end; at.increment(error)) names.push_back(at->path());
  if (error && error != std::errc::no_such_file_or_directory) cannot_list(folder, error);
  return names;
}

std::vector<fs::path> list_once(const fs::path& run_directory) {
  std::error_code error;
  const fs::path inner = run_directory / "checkpoints";
  const fs::file_status status = fs::status(inner, error);
  const bool is_file = error == std::errc::not_a_directory || (fs::exists(status) && !fs::is_directory(status));
  if (is_file) throw checkpoint_error("'{}' is not a folder, so it cannot hold checkpoints. Hint: set run.output to another folder", inner.string());
  if (status.type() == fs::file_type::none) cannot_list(inner, error);
  std::vector<std::pair<std::int64_t, fs::path>> found;
  for (const fs::path& file : names_in(fs::exists(status) ? inner : run_directory))
    if (const auto step = step_of(file.filename().string())) found.emplace_back(*step, file);
  std::ranges::sort(found, std::ranges::greater{});
  std::vector<fs::path> paths;
  for (auto& [step, path] : found) paths.push_back(std::move(path));
  return paths;
}

}  // namespace

std::vector<fs::path> list_checkpoints(const fs::path& run_directory) {
  return with_retries(
      usual_retries, [&] { return list_once(run_directory); }, true);
}

std::int64_t checkpoint_step(const fs::path& file) { return step_of(file.filename().string()).value_or(-1); }

void remove_unfinished_checkpoints(const fs::path& folder) {
  std::error_code error;
  std::vector<fs::path> found;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error))
    if (const auto name = at->path().filename().string(); name.starts_with(".step-") && name.ends_with(".partial")) found.push_back(at->path());
  for (const auto& file : found) fs::remove(file, error);
}

}  // namespace trireme
