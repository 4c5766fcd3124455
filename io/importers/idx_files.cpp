// Finds the files of an IDX data set in a folder. Publishers and archivers vary the names.
#include <fmt/ranges.h>

#include <algorithm>
#include <optional>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "io/importers/idx.hpp"

namespace trireme {

namespace {

namespace fs = std::filesystem;

std::string unpacked_name(std::string name) {
  for (const std::string_view packing : {".gz", ".bz2", ".xz"})
    if (name.ends_with(packing)) return name.substr(0, name.size() - packing.size());
  return name;
}

// What follows "-images" or "-labels" in the names of IDX files; not so for "-idx3-ubyte.gz.md5".
bool is_tail(const std::string& tail) {
  return (tail.starts_with("-idx") || tail.starts_with(".idx")) && unpacked_name(tail).find('.', 1) == std::string::npos;
}

// The part of a file of features, from its name, such as "train-images-idx3-ubyte.gz" or "emnist-test-images.idx3-ubyte".
std::optional<Part> part_of(const std::string& name) {
  constexpr std::string_view middle = "-images";
  const auto at = name.find(middle);
  if (at == std::string::npos) return std::nullopt;
  if (!is_tail(name.substr(at + middle.size()))) return std::nullopt;
  const std::string before = name.substr(0, at);
  if (before.ends_with("train")) return Part::train;
  if (before.ends_with("t10k") || before.ends_with("test")) return Part::test;
  return std::nullopt;
}

std::vector<std::string> files_in(const fs::path& folder) {
  std::error_code error;
  std::vector<std::string> names;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error))
    if (const auto name = it->path().filename().string(); !name.starts_with('.') && !it->is_directory(error)) names.push_back(name);
  if (error) throw data_error("folder '{}' cannot be read: {}", folder.string(), error.message());
  std::ranges::sort(names);
  return names;
}

// The only match; a compressed and an uncompressed copy of the same file count once (uncompressed first, because it sorts first).
fs::path only(const fs::path& folder, const std::vector<std::string>& matches, const std::string& wanted) {
  if (matches.empty()) return {};
  for (const auto& name : matches)
    if (unpacked_name(name) != unpacked_name(matches.front()))
      throw data_error(
          "folder '{}': several files could be {}: {}. Hint: give the file of features itself, or keep only one data set "
          "in the folder",
          folder.string(), wanted, fmt::join(matches, ", "));
  return folder / matches.front();
}

fs::path labels_beside(const fs::path& features) {
  const fs::path folder = features.has_parent_path() ? features.parent_path() : fs::path(".");
  const std::string name = features.filename().string();
  const auto at = name.find("-images");
  if (at == std::string::npos)
    throw usage_error(
        "'{}' does not have the name of a file of IDX features. Expected a name as in train-images-idx3-ubyte.gz, or "
        "a folder with such files",
        features.string());
  const std::string prefix = name.substr(0, at) + "-labels";
  std::vector<std::string> matches;
  for (const auto& candidate : files_in(folder))
    if (candidate.starts_with(prefix) && is_tail(candidate.substr(prefix.size()))) matches.push_back(candidate);
  const fs::path labels = only(folder, matches, "the labels of " + name);
  if (labels.empty())
    throw data_error("'{}': found no labels for it. Looked for {}-idx1-ubyte, compressed or not, in folder '{}'", features.string(), prefix, folder.string());
  return labels;
}

}  // namespace

IdxFiles find_idx_files(const fs::path& source) {
  IdxFiles files;
  if (!fs::is_directory(source)) {
    files.features[Part::train] = source;
    files.labels[Part::train] = labels_beside(source);
    return files;
  }
  const auto names = files_in(source);
  PerPart<std::vector<std::string>> matches;
  for (const auto& name : names)
    if (const auto part = part_of(name)) matches[*part].push_back(name);
  for (const Part part : all_parts) {
    files.features[part] = only(source, matches[part], part == Part::train ? "the train features" : "the test features");
    if (!files.features[part].empty()) files.labels[part] = labels_beside(files.features[part]);
  }
  if (files.features[Part::train].empty())
    throw data_error(
        "folder '{}' holds no IDX train features. Looked for train-images-idx3-ubyte or train-images.idx3-ubyte, "
        "compressed or not; found {}",
        source.string(), names.empty() ? "an empty folder" : fmt::format("{}", fmt::join(names, ", ")));
  return files;
}

}  // namespace trireme
