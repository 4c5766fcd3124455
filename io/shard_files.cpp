// Finding the files of a data set, and saying what one of them holds without reading it.
#include <fmt/ranges.h>
#include <glob.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>
#include <set>
#include <system_error>

#include "base/error.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "io/detail/decoding.hpp"
#include "io/detail/other_files.hpp"
#include "io/detail/shard_types.hpp"
#include "io/detail/storage.hpp"
#include "io/shard.hpp"
#include "io/shard_checksum.hpp"

namespace trireme {

namespace fs = std::filesystem;

namespace {

// Those of one line are alike; a folder's shards are the files of the first line that it has any of.
constexpr std::array<std::array<std::string_view, 3>, 4> endings{{{".h5", ".hdf5", ".he5"}, {".nc", ".nc4", ".nc4"}, {".mat", ".mat", ".mat"}, {".hdf", ".hdf", ".hdf"}}};

/// The line of `endings`; that behind the last where the name has none of them.
std::size_t kind_of_name(const fs::path& path) {
  std::string extension = path.extension().string();
  std::ranges::transform(extension, extension.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  std::size_t kind = 0;
  while (kind < endings.size() && std::ranges::find(endings[kind], extension) == endings[kind].end()) ++kind;
  return path.filename().string().starts_with('.') ? endings.size() : kind;
}

struct Folder {
  std::array<std::vector<std::string>, endings.size()> named;  // by their endings
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
  bool has_shards() const { return std::ranges::any_of(named, [](const auto& list) { return !list.empty(); }); }
};

/// Where a folder has no file of a known name: what else is to be done.
std::string hint_without_shards(const Folder& found) {
  constexpr std::size_t most = 100;  // files and folders that are looked at
  for (std::size_t i = 0; i < std::min(found.folders.size(), most); ++i) {
    std::error_code ignored;
    if (Folder(found.folders[i], ignored).has_shards()) return fmt::format(" Hint: '{}' holds some", found.folders[i]);
  }
  for (std::size_t i = 0; i < std::min(found.others.size(), most); ++i) {
    std::error_code ignored;
    const fs::path file = found.others[i];
    if (!fs::is_regular_file(file, ignored) || H5Fis_hdf5(file.c_str()) <= 0) continue;
    return fmt::format(" Hint: '{}' is HDF5 under another name; use a glob, such as '{}/*{}'", file.string(), file.parent_path().string(), file.extension().string());
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
                     error == std::errc::too_many_files_open ? ". Hint: raise the limit of open files with ulimit -n" : "");
  const auto taken = std::ranges::find_if(found.named, [](const auto& list) { return !list.empty(); });
  if (taken == found.named.end())
    throw data_error("looked for shards (*.h5, *.hdf5, *.he5, *.nc, *.nc4, *.mat, *.hdf) in '{}': found none among its {} files and {} folders.{}", folder.string(),
                     found.others.size(), found.folders.size(), hint_without_shards(found));
  for (auto list = taken + 1; list != found.named.end(); ++list)
    if (!list->empty())
      log::warn("'{}': its {} *{} are taken as shards, its {} *{} are not. Hint: a glob names exactly those that are meant", folder.string(), taken->size(),
                fs::path(taken->front()).extension().string(), list->size(), fs::path(list->front()).extension().string());
  std::ranges::sort(*taken);
  return *taken;
}

std::vector<std::string> shards_of_glob(const std::string& pattern) {
  glob_t matches{};
  const int result = ::glob(pattern.c_str(), 0, nullptr, &matches);  // sorted
  std::vector<std::string> found(matches.gl_pathv, matches.gl_pathv + (result == 0 ? matches.gl_pathc : 0));
  ::globfree(&matches);
  std::erase_if(found, [](const std::string& path) { return fs::is_directory(path); });
  if (found.empty()) throw data_error("looked for shards '{}': no file matches this pattern", pattern);
  return found;
}

[[noreturn]] void throw_absent(const std::string& path) {
  const fs::path parent = fs::path(path).has_parent_path() ? fs::path(path).parent_path() : fs::path(".");
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator at(parent, error), end; !error && at != end; at.increment(error))
    names.push_back(at->path().filename().string());
  if (error) throw data_error("looked for shards in '{}': there is no folder '{}'", path, parent.string());
  std::ranges::sort(names);
  const std::string near = nearest(fs::path(path).filename().string(), names);
  throw data_error("looked for shards in '{}': there is no such file or folder{}", path,
                   near.empty() ? "" : fmt::format(". Hint: the nearest name there is '{}'", near));
}

std::vector<std::string> shards_of_part(const std::string& part) {
  std::error_code ignored;
  const fs::file_status status = fs::status(part, ignored);
  if (fs::is_directory(status)) return shards_of_folder(part);
  if (fs::exists(status)) return {part};
  if (part.find_first_of("*?[") != std::string::npos) return shards_of_glob(part);
  throw_absent(part);
}

/// The data set that the deck calls `name`, opened, or an error that says what the file holds instead.
h5::Dataset open_data_set(const h5::File& file, const std::string& path, const std::string& name, const char* key) {
  const h5::Properties access = detail::guarded_access();  // lives on: closing it would clear the error's words
  h5::Dataset dataset(H5Dopen2(file, name.c_str(), access));
  if (dataset) return dataset;
  int number = 0;
  const std::string words = h5::error_stack(&number);
  if (number != 0) throw IoError(ExitCode::data, fmt::format("shard '{}': data set '{}' cannot be opened: {}", path, name, words), number);
  if (const std::string broken = detail::broken_link(file, name); !broken.empty()) throw data_error("{} cannot be opened: {}", detail::what_of(path, name), broken);
  std::vector<std::string> held = h5::data_sets(file);
  for (auto& other : held) other = fmt::format("/{}", other);
  const std::string wanted = name.starts_with('/') ? name : fmt::format("/{}", name);
  if (std::ranges::find(held, wanted) != held.end())
    throw data_error("shard '{}': data set '{}' cannot be opened: {}. Hint: the file is damaged; copy or make it again",
                     path, name, words);
  if (held.empty())
    throw data_error("shard '{}' has no data set '{}'; it holds no data sets at all: {}", path, name, words);
  const std::string near = nearest(wanted, held);
  const std::size_t all = held.size();
  if (all > 8) held.resize(8);
  throw data_error(
      "shard '{}' has no data set '{}'; it holds {}{}. Hint: the deck's {} names the data set; the nearest is '{}'",
      path, name, fmt::join(held, ", "), all > 8 ? fmt::format(" and {} more", all - 8) : "", key, near);
}

/// Filters that this HDF5 lacks are found here, before a job has trained for an hour.
void check_filters(const h5::Dataset& dataset, const std::string& path, const std::string& name) {
  const std::string context = path + ":" + name;
  const h5::Properties creation(TRIREME_H5(H5Dget_create_plist(dataset), context));
  const int filters = TRIREME_H5(H5Pget_nfilters(creation), context);
  for (int i = 0; i < filters; ++i) {
    std::array<char, 64> text{};
    unsigned flags = 0, config = 0;
    std::size_t values = 0;
    const H5Z_filter_t filter = TRIREME_H5(H5Pget_filter2(creation, static_cast<unsigned>(i), &flags, &values, nullptr,
                                                          text.size() - 1, text.data(), &config),
                                           context);
    if (H5Zfilter_avail(filter) <= 0)
      throw data_error(
          "shard '{}': data set '{}' is compressed with filter {} ('{}'), which this HDF5 does not have. "
          "Hint: point HDF5_PLUGIN_PATH at the folder of the filter's plug-in, or write the file again with gzip",
          path, name, filter, text.data());
  }
}

struct Description {
  std::vector<std::int64_t> extents;
  ElementType type{};  // of the values
  bool gaps = false;
};

Description describe(const h5::File& file, const std::string& path, const std::string& name, const char* key, const ShardNames& rules,
                     const std::optional<Moments>& moments) {
  const std::string context = path + ":" + name;
  const h5::Dataset dataset = open_data_set(file, path, name, key);
  const h5::Type type(TRIREME_H5(H5Dget_type(dataset), context));
  const auto element = detail::element_type(type);
  if (!element)
    throw data_error(
        "shard '{}': data set '{}' holds elements of type {}; expected integers of at most 64 bits, booleans or floats",
        path, name, h5::type_text(type));
  check_filters(dataset, path, name);
  detail::check_storage(dataset, detail::what_of(path, name), rules);
  const h5::Space space(TRIREME_H5(H5Dget_space(dataset), context));
  if (H5Sget_simple_extent_type(space) == H5S_NULL)
    throw data_error("shard '{}': data set '{}' is null: it has no elements", path, name);
  detail::Decoding decoding;
  if (rules.netcdf) decoding = detail::netcdf_decoding(dataset, *element, context);
  if (moments && !(*moments == detail::moments_of(dataset, context))) decoding.row_factor = {1};
  Description found{h5::extents(dataset, context), decoding.value_type(*element), decoding.gaps() || decoding.missing_is_nan};
  if (found.extents.size() > Shape::max_rank)
    throw data_error("shard '{}': data set '{}' has {} dimensions; at most {} are supported, the rows' one among them",
                     path, name, found.extents.size(), static_cast<int>(Shape::max_rank));
  detail::bytes_of(found.extents, size_of(*element), detail::what_of(path, name));
  return found;
}

std::span<const std::int64_t> without_leading_ones(std::span<const std::int64_t> extents) {
  while (!extents.empty() && extents.front() == 1) extents = extents.subspan(1);
  return extents;
}

/// Is this one sample rather than rows of samples? The order of axes says it, or the wanted shape: (28, 28) may be 28 rows of 28
/// numbers.
bool is_single_sample(const Shape& found, const Shape& wanted, const AxisOrder& axes) {
  if (axes.given()) return !axes.names_rows() && found.rank() == axes.count();
  if (wanted.rank() == 0) return false;
  if (found == wanted) return true;
  const auto sample = without_leading_ones(wanted.span());
  const bool rows_fit = std::ranges::equal(without_leading_ones(found.without_first().span()), sample);
  return !rows_fit && std::ranges::equal(without_leading_ones(found.span()), sample);
}

/// (n, 1) labels are one number a row.
Shape label_shape(const Shape& shape) { return shape.size() == 1 ? Shape{} : shape; }

void check_axes(const std::string& path, const std::string& name, const char* key, const AxisOrder& axes, const Shape& stored, const Shape& sample) {
  if (!axes.given() || axes.count() == sample.rank()) return;
  throw data_error("shard '{}': data set '{}' has shape {}; {} = {} names {} axes of a sample. Hint: name each axis that a sample has in the file, the slowest first",
                   path, name, stored.tuple(), key, axes.text(), axes.count());
}

}  // namespace

bool named_as_hdf5(const fs::path& file) { return kind_of_name(file) < endings.size(); }

std::vector<std::string> find_shards(const std::string& where) {
  std::error_code ignored;
  // A path may hold a comma: what exists is taken by its name.
  const std::vector<std::string> parts = fs::exists(where, ignored) ? std::vector{where} : split(where, ',');
  if (parts.empty()) throw data_error("looked for shards, but no folder, file or pattern was given");
  std::vector<std::string> found;
  std::set<std::string> seen;
  for (const auto& part : parts) {
    for (auto& path : shards_of_part(part)) {
      if (!seen.insert(fs::path(path).lexically_normal().string()).second)
        throw data_error("'{}' names the shard '{}' more than once; its samples would count twice", where, path);
      found.push_back(std::move(path));
    }
  }
  return found;
}

Moments stored_moments(const std::string& path, const std::string& name) {
  const h5::File file = h5::open_file(path, "shard", ExitCode::data);
  const std::string context = path + ":" + name;
  const h5::Dataset dataset(TRIREME_H5(H5Dopen2(file, name.c_str(), H5P_DEFAULT), context));
  return detail::moments_of(dataset, context);
}

ShardInfo describe_shard(const std::string& path, const ShardNames& names, const Shape& sample) {
  const h5::File file = h5::open_file(path, "shard", ExitCode::data);
  ShardInfo info;
  info.path = path;

  const Description features = describe(file, path, names.features, "data.features", names, names.feature_moments);
  const Shape shape{std::span(features.extents)};
  info.feature_type = features.type;
  info.feature_gaps = features.gaps;
  if (shape.rank() == 0)
    throw data_error("shard '{}': data set '{}' is a single number; expected rows of samples, (n, ...)", path,
                     names.features);
  info.single_sample = is_single_sample(shape, sample, names.axes);
  info.rows = info.single_sample ? 1 : shape[0];
  info.sample = info.single_sample ? shape : shape.without_first();
  check_axes(path, names.features, "data.axes", names.axes, shape, info.sample);
  info.sample = names.axes.in_model_order(info.sample);
  if (info.sample.size() == 0)
    throw data_error("shard '{}': data set '{}' has shape {}; a sample of it has no elements", path, names.features,
                     shape.tuple());

  info.has_checksums = stored_checksum(file, path, names.features).has_value();
  info.has_labels = !names.labels.empty();
  if (!info.has_labels) return info;
  const Description labels = describe(file, path, names.labels, "data.labels", names, names.label_moments);
  const Shape label{std::span(labels.extents)};
  info.label_type = labels.type;
  info.label_gaps = labels.gaps;
  if (info.single_sample) {
    // A sample that was stored with a row dimension of 1 has it in its label too.
    const bool with_row = names.label_axes.given() ? label.rank() == names.label_axes.count() + 1
                                                   : shape[0] == 1 && label.rank() > 0 && label[0] == 1;
    info.label = with_row ? label.without_first() : label;
  } else {
    if (label.rank() == 0 || label[0] != info.rows)
      throw data_error(
          "shard '{}': features '{}' have {} rows, shape {}; labels '{}' have {}, shape {}. Hint: both need the same "
          "first extent",
          path, names.features, info.rows, shape.tuple(), names.labels,
          label.rank() == 0 ? "none" : std::to_string(label[0]), label.tuple());
    info.label = label.without_first();
  }
  info.has_checksums &= stored_checksum(file, path, names.labels).has_value();
  check_axes(path, names.labels, "data.label_axes", names.label_axes, label, info.label);
  info.label = label_shape(names.label_axes.in_model_order(info.label));
  if (info.label.size() == 0)
    throw data_error("shard '{}': data set '{}' has shape {}; a label of it has no elements", path, names.labels,
                     label.tuple());
  return info;
}

}  // namespace trireme
