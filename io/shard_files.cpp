// Finding the files of a data set, and saying what one of them holds without reading it.
#include <fmt/ranges.h>
#include <glob.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <set>
#include <system_error>

#include "base/error.hpp"
#include "base/text.hpp"
#include "io/detail/decoding.hpp"
#include "io/detail/shard_types.hpp"
#include "io/shard.hpp"

namespace trireme {

namespace fs = std::filesystem;

namespace {

bool is_shard_name(const fs::path& path) {
  const std::string extension = path.extension().string();
  return !path.filename().string().starts_with('.') && (extension == ".h5" || extension == ".hdf5");
}

std::vector<std::string> shards_of_folder(const fs::path& folder) {
  std::vector<std::string> found, folders;
  std::size_t others = 0;
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    std::error_code ignored;
    if (at->is_directory(ignored)) {
      folders.push_back(at->path().string());
    } else if (is_shard_name(at->path())) {
      found.push_back(at->path().string());
    } else {
      ++others;
    }
  }
  if (error) throw data_error("the folder '{}' cannot be read: {}", folder.string(), error.message());
  if (!found.empty()) {
    std::ranges::sort(found);
    return found;
  }
  std::ranges::sort(folders);
  std::string hint;
  for (const auto& inner : folders) {
    std::error_code ignored;
    for (fs::directory_iterator at(inner, ignored), end; !ignored && at != end && hint.empty(); at.increment(ignored))
      if (is_shard_name(at->path())) hint = fmt::format(" Hint: '{}' holds some", inner);
  }
  throw data_error("looked for shards (*.h5, *.hdf5) in '{}': found none among its {} files and {} folders.{}",
                   folder.string(), others, folders.size(), hint);
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
  h5::Dataset dataset(H5Dopen2(file, name.c_str(), H5P_DEFAULT));
  if (dataset) return dataset;
  const std::string words = h5::error_stack();
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

Description describe(const h5::File& file, const std::string& path, const std::string& name, const char* key, bool netcdf,
                     const std::optional<Moments>& moments) {
  const std::string context = path + ":" + name;
  const h5::Dataset dataset = open_data_set(file, path, name, key);
  const h5::Type type(TRIREME_H5(H5Dget_type(dataset), context));
  const auto element = detail::element_type(type);
  if (!element)
    throw data_error(
        "shard '{}': data set '{}' holds elements of type {}; expected integers of at most 64 bits, booleans or floats",
        path, name, h5::type_text(type));
  const h5::Space space(TRIREME_H5(H5Dget_space(dataset), context));
  if (H5Sget_simple_extent_type(space) == H5S_NULL)
    throw data_error("shard '{}': data set '{}' is null: it has no elements", path, name);
  check_filters(dataset, path, name);
  detail::Decoding decoding;
  if (netcdf) decoding = detail::netcdf_decoding(dataset, *element, context);
  if (moments && !(*moments == detail::moments_of(dataset, context))) decoding.row_factor = {1};
  Description found{h5::extents(dataset, context), decoding.value_type(*element), decoding.gaps() || decoding.missing_is_nan};
  if (found.extents.size() > Shape::max_rank)
    throw data_error("shard '{}': data set '{}' has {} dimensions; at most {} are supported, the rows' one among them",
                     path, name, found.extents.size(), static_cast<int>(Shape::max_rank));
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

  const Description features = describe(file, path, names.features, "data.features", names.netcdf, names.feature_moments);
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

  info.has_labels = !names.labels.empty();
  if (!info.has_labels) return info;
  const Description labels = describe(file, path, names.labels, "data.labels", names.netcdf, names.label_moments);
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
  check_axes(path, names.labels, "data.label_axes", names.label_axes, label, info.label);
  info.label = label_shape(names.label_axes.in_model_order(info.label));
  if (info.label.size() == 0)
    throw data_error("shard '{}': data set '{}' has shape {}; a label of it has no elements", path, names.labels,
                     label.tuple());
  return info;
}

}  // namespace trireme
