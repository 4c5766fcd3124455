#include "base/machine_memory.hpp"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>
#include <string>
#include <string_view>

namespace trireme {

namespace {

namespace fs = std::filesystem;

constexpr std::int64_t unknown = std::numeric_limits<std::int64_t>::max();

std::int64_t number_in(const fs::path& file) {
  std::string text;
  std::int64_t value = 0;
  if (!(std::ifstream(file) >> text)) return unknown;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  return code == std::errc{} && value > 0 ? value : unknown;  // "max": no limit
}

/// The smallest limit from a control group up to its root.
std::int64_t least_limit(const fs::path& root, const std::string& group, const char* name) {
  std::int64_t least = number_in(root / name);
  for (fs::path at = fs::path(group).relative_path(); !at.empty(); at = at.parent_path()) least = std::min(least, number_in(root / at / name));
  return least;
}

std::int64_t control_group_limit() {
  std::int64_t least = unknown;
  std::ifstream groups("/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    const auto first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string_view controllers = std::string_view(line).substr(first + 1, second - first - 1);
    const std::string group = line.substr(second + 1);
    if (controllers.empty()) least = std::min(least, least_limit("/sys/fs/cgroup", group, "memory.max"));
    if (controllers.find("memory") != std::string_view::npos) least = std::min(least, least_limit("/sys/fs/cgroup/memory", group, "memory.limit_in_bytes"));
  }
  return least;
}

std::int64_t find_memory() {
  if (const char* const pretended = std::getenv("TRIREME_MACHINE_MEMORY")) {
    const std::string_view text(pretended);
    std::int64_t mebibytes = 0;
    std::from_chars(text.data(), text.data() + text.size(), mebibytes);
    if (mebibytes > 0 && mebibytes < unknown >> 20) return mebibytes << 20;
  }
  const long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
  const std::int64_t physical = pages > 0 && page > 0 ? static_cast<std::int64_t>(pages) * page : unknown;
  return std::min(physical, control_group_limit());
}

}  // namespace

std::int64_t machine_memory() {
  static const std::int64_t bytes = find_memory();
  return bytes;
}

}  // namespace trireme
