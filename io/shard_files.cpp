// Finds the files of a data set, and describes the content of one without reading its data.
#include <fmt/ranges.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cctype>
#include <cerrno>
#include <filesystem>
#include <map>
#include <span>
#include <system_error>
#include <tuple>

#include "base/error.hpp"
#include "base/log.hpp"
#include "base/sha256.hpp"
#include "base/text.hpp"
#include "io/detail/decoding.hpp"
#include "io/detail/open_dataset.hpp"
#include "io/detail/other_files.hpp"
#include "io/detail/pattern_files.hpp"
#include "io/detail/shard_arrays.hpp"
#include "io/detail/shard_types.hpp"
#include "io/detail/storage.hpp"
#include "io/shard.hpp"
#include "io/shard_checksum.hpp"

namespace trireme {

namespace fs = std::filesystem;

namespace {

// Extensions in one line are equivalent; the shards of a folder are the files of the first line with any match.
constexpr std::array<std::array<std::string_view, 3>, 4> endings{
    {{".h5", ".hdf5", ".he5"}, {".nc", ".nc4", ".nc4"}, {".mat", ".mat", ".mat"}, {".hdf", ".hdf", ".hdf"}}};

/// Index of the line of `endings`; endings.size() if the name has none of them.
std::size_t kind_of_name(const fs::path& path) {
  std::string extension = path.extension().string();
  std::ranges::transform(extension, extension.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  std::size_t kind = 0;
  while (kind < endings.size() && std::ranges::find(endings[kind], extension) == endings[kind].end()) ++kind;
  return path.filename().string().starts_with('.') ? endings.size() : kind;
}

struct Folder {
  std::array<std::vector<std::string>, endings.size()> named;  // by extension
  std::vector<std::string> others, folders;

  explicit Folder(const fs::path& folder, std::error_code& error) {
    for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
      std::error_code ignored;
      const std::size_t kind = kind_of_name(at->path());
      auto& list = at->is_directory(ignored) ? folders : kind < endings.size() ? named[kind] : others;
      list.push_back(at->path().string());
    }
    std::ranges::sort(others);
    std::ranges::sort(folders);
  }
  bool has_shards() const {
    return std::ranges::any_of(named, [](const auto& list) { return !list.empty(); });
  }
};

/// Hint for a folder without files of a known extension.
std::string hint_without_shards(const Folder& found) {
  constexpr std::size_t most = 100;  // maximum number of files and folders to examine
  for (std::size_t i = 0; i < std::min(found.folders.size(), most); ++i) {
    std::error_code ignored;
    if (Folder(found.folders[i], ignored).has_shards()) return fmt::format(" Hint: '{}' holds shards", found.folders[i]);
  }
  for (std::size_t i = 0; i < std::min(found.others.size(), most); ++i) {
    std::error_code ignored;
    const fs::path file = found.others[i];
    if (!fs::is_regular_file(file, ignored) || H5Fis_hdf5(file.c_str()) <= 0) continue;
    return fmt::format(" Hint: '{}' is HDF5 with another extension; use a glob, such as '{}/*{}'", file.string(), file.parent_path().string(),
                       file.extension().string());
  }
  H5Eclear2(H5E_DEFAULT);
  return "";
}

std::vector<std::string> shards_of_folder(const fs::path& folder) {
  h5::quiet();
  std::error_code error;
  Folder found(folder, error);
  if (error)
    throw data_error("the folder '{}' cannot be read: {}{}", folder.string(), error.message(),
                     error == std::errc::too_many_files_open ? ". Hint: raise the limit on open files with ulimit -n" : "");
  const auto taken = std::ranges::find_if(found.named, [](const auto& list) { return !list.empty(); });
  if (taken == found.named.end())
    throw data_error("looked for shards (*.h5, *.hdf5, *.he5, *.nc, *.nc4, *.mat, *.hdf) in '{}': found none among its {} files and {} folders.{}",
                     folder.string(), found.others.size(), found.folders.size(), hint_without_shards(found));
  for (auto list = taken + 1; list != found.named.end(); ++list)
    if (!list->empty())
      log::warn("'{}': {} file(s) *{} are used as shards, {} file(s) *{} are not. Hint: use a glob to select files", folder.string(), taken->size(),
                fs::path(taken->front()).extension().string(), list->size(), fs::path(list->front()).extension().string());
  std::ranges::sort(*taken);
  return *taken;
}

std::vector<std::string> shards_of_glob(const std::string& pattern) {
  std::vector<std::string> found = detail::files_matching(pattern);
  std::error_code ignored;
  std::erase_if(found, [&](const std::string& path) { return fs::is_directory(path, ignored); });
  if (found.empty()) throw data_error("looked for shards '{}': no file matches this pattern", pattern);
  return found;
}

[[noreturn]] void throw_absent(const std::string& path, const std::error_code& why) {
  if (why.value() != 0 && why.value() != ENOENT && why.value() != ENOTDIR)
    throw IoError(ExitCode::data,
                  fmt::format("looked for shards in '{}': it cannot be read: {}. Hint: correct the permissions of this path", path, why.message()),
                  why.value());
  const fs::path parent = fs::path(path).has_parent_path() ? fs::path(path).parent_path() : fs::path(".");
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator at(parent, error), end; !error && at != end; at.increment(error)) names.push_back(at->path().filename().string());
  if (error) throw data_error("looked for shards in '{}': the folder '{}' does not exist", path, parent.string());
  std::ranges::sort(names);
  const std::string near = near_name(fs::path(path).filename().string(), names);
  throw data_error("looked for shards in '{}': this file or folder does not exist{}", path,
                   near.empty() ? "" : fmt::format(". Hint: the most similar name there is '{}'", near));
}

std::vector<std::string> shards_of_part(const std::string& part) {
  // "scans.h5:/train": a group inside the files.
  if (const ShardPath path(part); !path.group.empty()) {
    std::vector<std::string> found = shards_of_part(path.file);
    for (std::string& file : found) file += ":" + path.group;
    return found;
  }
  std::error_code why;
  const fs::file_status status = fs::status(part, why);
  if (fs::is_directory(status)) return shards_of_folder(part);
  std::error_code ignored;
  // Opening a link that leads nowhere says so.
  if (fs::exists(status) || fs::is_symlink(fs::symlink_status(part, ignored))) return {part};
  if (part.find_first_of("*?[") != std::string::npos) return shards_of_glob(part);
  throw_absent(part, why);
}

struct Description {
  std::vector<std::int64_t> extents;
  ElementType type{};  // of the values
  bool gaps = false;
  std::string decoding, sources;  // as text
};

/// The first 60 bits of a digest; 0 only for an empty text.
std::uint64_t digest_of(const std::string& text) {
  if (text.empty()) return 0;
  Sha256 sha;
  sha.update(std::as_bytes(std::span(text)));
  return std::stoull(sha.hex().substr(0, 15), nullptr, 16) | 1;
}

Description describe(const h5::File& file, const std::string& path, const std::string& name, const char* key, const ShardNames& rules,
                     const std::optional<Moments>& moments) {
  const std::string context = path + ":" + name;
  const h5::Dataset dataset = detail::open_data_set(file, path, name, key);
  const h5::Type type(TRIREME_H5(H5Dget_type(dataset), context));
  const auto element = detail::element_type(type);
  if (!element)
    throw data_error("shard '{}': data set '{}' holds elements of type {}; expected integers of at most 64 bits, booleans or floats", path, name,
                     h5::type_text(type));
  detail::check_filters(dataset, path, name);
  std::string sources = detail::check_storage(dataset, detail::what_of(path, name), rules);
  if (const std::string holder = h5::name_of_file(dataset); holder != path) sources += fs::path(holder).filename().string();  // an external link
  const h5::Space space(TRIREME_H5(H5Dget_space(dataset), context));
  if (H5Sget_simple_extent_type(space) == H5S_NULL) throw data_error("shard '{}': data set '{}' is null: it has no elements", path, name);
  detail::Decoding decoding;
  if (rules.netcdf) decoding = detail::netcdf_decoding(dataset, *element, context);
  if (moments && !(*moments == detail::moments_of(dataset, context))) decoding.row_factor = {1};
  Description found{h5::extents(dataset, context), decoding.value_type(*element), decoding.gaps() || decoding.missing_is_nan, decoding.text(),
                    std::move(sources)};
  if (found.extents.size() > Shape::max_rank)
    throw data_error("shard '{}': data set '{}' has {} dimensions; at most {} are supported, including the dimension of rows", path, name, found.extents.size(),
                     static_cast<int>(Shape::max_rank));
  detail::bytes_of(found.extents, size_of(*element), detail::what_of(path, name));
  return found;
}

std::span<const std::int64_t> without_leading_ones(std::span<const std::int64_t> extents) {
  while (!extents.empty() && extents.front() == 1) extents = extents.subspan(1);
  return extents;
}

/// Whether the file is one sample rather than rows of samples. The order of axes decides, or the wanted shape: (28, 28) may be 28 rows of 28 numbers.
bool is_single_sample(const Shape& found, const Shape& wanted, const AxisOrder& axes) {
  if (axes.given()) return !axes.names_rows() && found.rank() == axes.count();
  if (wanted.rank() == 0) return false;
  if (found == wanted) return true;
  const auto sample = without_leading_ones(wanted.span());
  const bool rows_fit = std::ranges::equal(without_leading_ones(found.without_first().span()), sample);
  return !rows_fit && std::ranges::equal(without_leading_ones(found.span()), sample);
}

/// (n, 1) labels are one number per row.
Shape label_shape(const Shape& shape) { return shape.size() == 1 ? Shape{} : shape; }

void check_axes(const std::string& path, const std::string& name, const char* key, const AxisOrder& axes, const Shape& stored, const Shape& sample) {
  if (!axes.given() || axes.count() == sample.rank()) return;
  throw data_error(
      "shard '{}': data set '{}' has shape {}; {} = {} names {} axes of a sample. Hint: name every axis of a sample in the file's order, the "
      "slowest first",
      path, name, stored.tuple(), key, axes.text(), axes.count());
}

}  // namespace

bool named_as_hdf5(const fs::path& file) { return kind_of_name(file) < endings.size(); }

namespace {

/// Finds shards that are listed twice: the same file under another path, through a link, or with a second name (a hard link).
class SeenFiles {
 public:
  /// The path under which the file was listed first; empty: this is the first time.
  std::string add(const std::string& path) {
    struct stat status {};
    // A file that cannot be looked up is known by its path; opening it says what is wrong.
    const ShardPath where(path);
    const bool known = ::stat(where.file.c_str(), &status) == 0;
    const auto [at, fresh] = known ? files_.try_emplace({status.st_dev, status.st_ino, where.group}, path) : files_.try_emplace({0, ++unknown_, ""}, path);
    return fresh ? std::string() : at->second;
  }

 private:
  std::map<std::tuple<dev_t, ino_t, std::string>, std::string> files_;
  ino_t unknown_ = 0;
};

}  // namespace

std::vector<std::string> find_shards(const std::string& where) {
  std::error_code ignored;
  // A path may contain a comma: an existing path is used unchanged.
  const std::vector<std::string> parts = fs::exists(where, ignored) ? std::vector{where} : split(where, ',');
  if (parts.empty()) throw data_error("looked for shards, but no folder, file or pattern was given");
  std::vector<std::string> found;
  SeenFiles seen;
  for (const auto& part : parts) {
    for (auto& path : shards_of_part(part)) {
      if (const std::string first = seen.add(path); !first.empty())
        throw data_error("'{}' names the shard '{}' more than once{}; its samples would be used twice", where, path,
                         first == path ? "" : fmt::format(": '{}' is the same file", first));
      found.push_back(std::move(path));
    }
  }
  return found;
}

Moments stored_moments(const std::string& path, const std::string& name) {
  const ShardPath where(path);
  const h5::File file = h5::open_file(where.file, "shard", ExitCode::data);
  const std::string context = path + ":" + name;
  if (!h5::link_exists(file, where.in_file(name))) return {};  // a member of records
  const h5::Dataset dataset(TRIREME_H5(H5Dopen2(file, where.in_file(name).c_str(), H5P_DEFAULT), context));
  return detail::moments_of(dataset, context);
}

namespace {

/// A shard whose features and labels are joined from arrays.
ShardInfo describe_joined(const std::string& path, const ShardNames& names, const Shape& sample, const Shape& label) {
  const detail::ShardArrays arrays(path, names, sample, label, true);
  const auto &features = arrays.features(), &labels = arrays.labels();
  ShardInfo info;
  info.path = path;
  info.rows = arrays.rows();
  info.sample = features.shape;
  info.feature_type = features.type;
  info.feature_gaps = features.gaps;
  info.has_labels = !names.label_arrays.empty();
  if (info.has_labels) {
    info.label = label_shape(labels.shape);
    info.label_type = labels.type;
    info.label_gaps = labels.gaps;
  }
  info.has_checksums = features.checksum && (!info.has_labels || labels.checksum);
  if (info.has_checksums) info.checksum = std::rotl(*features.checksum, 1) ^ (info.has_labels ? *labels.checksum : 0);
  info.decoding = digest_of(features.decoding + '|' + labels.decoding);
  if (!features.sources.empty() || !labels.sources.empty()) info.sources = digest_of(features.sources + '\n' + labels.sources);
  return info;
}

}  // namespace

ShardInfo describe_shard(const std::string& path, const ShardNames& given, const Shape& sample, const Shape& wanted_label) {
  const ShardPath where(path);
  const h5::File file = h5::open_file(where.file, "shard", ExitCode::data);
  ShardNames names = detail::as_joined(file, where, given);
  if (detail::is_joined(names)) return describe_joined(path, names, sample, wanted_label);
  names.features = where.in_file(names.features);
  if (!names.labels.empty()) names.labels = where.in_file(names.labels);
  ShardInfo info;
  info.path = path;

  const Description features = describe(file, path, names.features, "data.features", names, names.feature_moments);
  const Shape shape{std::span(features.extents)};
  info.feature_type = features.type;
  info.feature_gaps = features.gaps;
  if (shape.rank() == 0) throw data_error("shard '{}': data set '{}' is a single number; expected rows of samples, (n, ...)", path, names.features);
  info.single_sample = is_single_sample(shape, sample, names.axes);
  info.rows = info.single_sample ? 1 : shape[0];
  info.sample = info.single_sample ? shape : shape.without_first();
  check_axes(path, names.features, "data.axes", names.axes, shape, info.sample);
  info.sample = names.axes.in_model_order(info.sample);
  if (info.sample.size() == 0) throw data_error("shard '{}': data set '{}' has shape {}, so its samples have no elements", path, names.features, shape.tuple());

  const auto features_sum = stored_checksum(file, path, names.features);
  info.has_checksums = features_sum.has_value();
  info.checksum = features_sum.value_or(0);
  info.has_labels = !names.labels.empty();
  info.decoding = digest_of(features.decoding);
  info.sources = digest_of(features.sources);
  if (!info.has_labels) return info;
  const Description labels = describe(file, path, names.labels, "data.labels", names, names.label_moments);
  const Shape label{std::span(labels.extents)};
  info.label_type = labels.type;
  info.label_gaps = labels.gaps;
  info.decoding = digest_of(features.decoding + '\n' + labels.decoding);
  if (!features.sources.empty() || !labels.sources.empty()) info.sources = digest_of(features.sources + '\n' + labels.sources);
  if (info.single_sample) {
    // If a sample has an extra dimension of rows of extent 1, its label has it, too.
    const bool with_row = names.label_axes.given() ? label.rank() == names.label_axes.count() + 1 : shape[0] == 1 && label.rank() > 0 && label[0] == 1;
    info.label = with_row ? label.without_first() : label;
  } else {
    if (label.rank() == 0 || label[0] != info.rows)
      throw data_error(
          "shard '{}': features '{}' have {} rows, shape {}; labels '{}' have {}, shape {}. Hint: both need the same "
          "first extent",
          path, names.features, info.rows, shape.tuple(), names.labels, label.rank() == 0 ? "no rows" : fmt::format("{} rows", label[0]), label.tuple());
    info.label = label.without_first();
  }
  const auto labels_sum = stored_checksum(file, path, names.labels);
  info.has_checksums &= labels_sum.has_value();
  info.checksum = info.has_checksums ? std::rotl(info.checksum, 1) ^ *labels_sum : 0;
  check_axes(path, names.labels, "data.label_axes", names.label_axes, label, info.label);
  info.label = label_shape(names.label_axes.in_model_order(info.label));
  if (info.label.size() == 0) throw data_error("shard '{}': data set '{}' has shape {}, so its labels have no elements", path, names.labels, label.tuple());
  return info;
}

}  // namespace trireme
