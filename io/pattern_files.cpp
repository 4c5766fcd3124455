#include "io/detail/pattern_files.hpp"

#include <dirent.h>
#include <fnmatch.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <span>
#include <system_error>

#include "base/error.hpp"

namespace trireme::detail {

namespace {

bool is_absence(int number) { return number == ENOENT || number == ENOTDIR; }

[[noreturn]] void throw_unreadable(const std::string& pattern, const std::string& what, const std::string& path, int number) {
  throw IoError(ExitCode::data,
                fmt::format("looked for shards '{}': the {} '{}' cannot be read: {}. Hint: correct its permissions, or use a pattern that leaves it out",
                            pattern, what, path, std::generic_category().message(number)),
                number);
}

/// The names in a folder; none if it is not a folder.
std::vector<std::string> names_in(const std::string& folder, const std::string& pattern) {
  const std::string path = folder.empty() ? "." : folder;
  const std::unique_ptr<DIR, int (*)(DIR*)> open(::opendir(path.c_str()), [](DIR* at) { return at == nullptr ? 0 : ::closedir(at); });
  if (!open && is_absence(errno)) return {};
  if (!open) throw_unreadable(pattern, "folder", path, errno);
  std::vector<std::string> names;
  while (true) {
    errno = 0;
    const dirent* const entry = ::readdir(open.get());
    if (entry == nullptr && errno != 0) throw_unreadable(pattern, "folder", path, errno);
    if (entry == nullptr) return names;
    names.emplace_back(entry->d_name);
  }
}

bool exists(const std::string& path, const std::string& pattern) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) == 0) return true;
  if (!is_absence(errno)) throw_unreadable(pattern, "path", path, errno);
  return false;
}

std::string without_escapes(const std::string& text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 1 < text.size()) ++i;
    plain += text[i];
  }
  return plain;
}

/// Adds the paths that begin with `base`, which is empty or ends with a slash, and go on with names that match `parts`.
void add_matches(const std::string& base, std::span<const std::string> parts, const std::string& pattern, std::vector<std::string>& found) {
  const std::string& part = parts.front();
  const auto go_on = [&](const std::string& path) {
    if (parts.size() > 1) return add_matches(path + "/", parts.subspan(1), pattern, found);
    found.push_back(path);
  };
  if (part.find_first_of("*?[") == std::string::npos) {
    const std::string path = base + without_escapes(part);
    if (parts.size() > 1 || exists(path, pattern)) go_on(path);
    return;
  }
  for (const std::string& name : names_in(base, pattern))
    if (::fnmatch(part.c_str(), name.c_str(), FNM_PERIOD) == 0) go_on(base + name);
}

}  // namespace

std::vector<std::string> files_matching(const std::string& pattern) {
  std::vector<std::string> parts(1), found;
  for (const char c : pattern) {
    if (c != '/') parts.back() += c;
    if (c == '/' && (!parts.back().empty() || parts.size() == 1)) parts.emplace_back();
  }
  const bool absolute = parts.front().empty() && parts.size() > 1;
  if (absolute) parts.erase(parts.begin());
  add_matches(absolute ? "/" : "", parts, pattern, found);
  std::ranges::sort(found);
  return found;
}

}  // namespace trireme::detail
