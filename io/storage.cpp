#include "io/detail/storage.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <limits>
#include <optional>
#include <tuple>

#include "io/detail/other_files.hpp"
#include "io/detail/virtual_sources.hpp"

namespace trireme::detail {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t deepest_nesting = 32;      // virtual data sets with virtual sources
constexpr std::int64_t most_look_ups = 1 << 20;  // maximum number of chunks that are looked up one by one

constexpr const char* hint = "Hint: write the file again; data.allow_unwritten = true trains on the fill value instead";

/// The fill value as text, if it is a number.
std::string fill_value(const h5::Properties& creation) {
  double value = 0;
  H5D_fill_value_t defined = H5D_FILL_VALUE_DEFAULT;
  const bool known =
      H5Pfill_value_defined(creation, &defined) >= 0 && (defined != H5D_FILL_VALUE_USER_DEFINED || H5Pget_fill_value(creation, H5T_NATIVE_DOUBLE, &value) >= 0);
  H5Eclear2(H5E_DEFAULT);
  return known ? fmt::format("{}", value) : "the fill value";
}

std::string rows_text(const RowRange& rows) { return fmt::format("rows [{}, {})", rows.first, rows.end); }

/// The grid of chunks of a data set.
struct ChunkGrid {
  std::vector<hsize_t> chunk, across;  // in each dimension: elements per chunk, number of chunks

  ChunkGrid(const h5::Properties& creation, const std::vector<std::int64_t>& extents, const std::string& what) : chunk(extents.size()), across(extents.size()) {
    TRIREME_H5(H5Pget_chunk(creation, static_cast<int>(chunk.size()), chunk.data()), what);
    for (std::size_t d = 0; d < chunk.size(); ++d) across[d] = (static_cast<hsize_t>(extents[d]) + chunk[d] - 1) / chunk[d];
  }
  hsize_t in_row() const {
    hsize_t product = 1;
    for (std::size_t d = 1; d < across.size(); ++d) product *= across[d];
    return product;
  }
};

bool chunk_is_there(const h5::Dataset& dataset, const std::vector<hsize_t>& offset) {
  hsize_t bytes = 0;
  const bool there = H5Dget_chunk_storage_size(dataset, offset.data(), &bytes) >= 0 && bytes > 0;
  H5Eclear2(H5E_DEFAULT);
  return there;
}

/// The first rows within `window` with a missing chunk; looks up at most most_look_ups chunks.
std::optional<RowRange> rows_without_chunk(const h5::Dataset& dataset, const ChunkGrid& grid, const RowRange& window) {
  const auto height = static_cast<std::int64_t>(grid.chunk[0]);
  std::optional<RowRange> missing;
  std::int64_t look_ups = 0;
  for (std::int64_t first = window.first / height * height; first < window.end; first += height) {
    bool whole = true;
    std::vector<hsize_t> offset(grid.chunk.size(), 0);
    offset[0] = static_cast<hsize_t>(first);
    for (hsize_t i = 0; i < grid.in_row() && whole; ++i) {
      hsize_t rest = i;
      for (std::size_t d = offset.size(); d-- > 1; rest /= grid.across[d]) offset[d] = rest % grid.across[d] * grid.chunk[d];
      if (++look_ups > most_look_ups) return missing ? missing : window;
      whole = chunk_is_there(dataset, offset);
    }
    if (whole && missing) break;
    if (whole) continue;
    if (!missing) missing = RowRange{std::max(first, window.first), 0};
    missing->end = std::min(first + height, window.end);
  }
  return missing;
}

class Check {
 public:
  explicit Check(const ShardNames& rules) : rules_(rules) {}

  /// Files that hold data, other than the first one, of what was looked at.
  const std::string& other_files() const { return other_files_; }

  /// Checks the rows in `window`.
  void look_at(const h5::Dataset& dataset, const std::string& what, RowRange window) {
    const h5::Properties creation(TRIREME_H5(H5Dget_create_plist(dataset), what));
    const H5D_layout_t layout = TRIREME_H5(H5Pget_layout(creation), what);
    if (layout == H5D_VIRTUAL) return look_at_virtual(dataset, what);
    const h5::Space space(TRIREME_H5(H5Dget_space(dataset), what));
    if (TRIREME_H5(H5Sget_simple_extent_npoints(space), what) == 0) return;
    const auto extents = h5::extents(dataset, what);
    const h5::Type type(TRIREME_H5(H5Dget_type(dataset), what));
    const std::int64_t bytes = bytes_of(extents, H5Tget_size(type), what);
    window.end = extents.empty() ? 1 : std::min(window.end, extents[0]);
    if (layout == H5D_CONTIGUOUS) look_at_raw_files(dataset, what, bytes);
    if (rules_.allow_unwritten) return;
    if (layout == H5D_CHUNKED) {
      look_at_chunks(dataset, creation, what, extents, window);
    } else {
      H5D_space_status_t status = H5D_SPACE_STATUS_ERROR;
      TRIREME_H5(H5Dget_space_status(dataset, &status), what);
      if (status == H5D_SPACE_STATUS_NOT_ALLOCATED) throw unwritten(creation, what, "was never written: all rows", "");
    }
  }

 private:
  static Error unwritten(const h5::Properties& creation, const std::string& what, const std::string& words, const std::string& more) {
    return data_error("{} {} would be read as {}{}. {}", what, words, fill_value(creation), more, hint);
  }

  void look_at_chunks(const h5::Dataset& dataset, const h5::Properties& creation, const std::string& what, const std::vector<std::int64_t>& extents,
                      const RowRange& window) const {
    const ChunkGrid grid(creation, extents, what);
    const hsize_t all = grid.across[0] * grid.in_row();
    hsize_t there = 0;
#if H5_VERSION_GE(1, 10, 5)
    const h5::Space space(TRIREME_H5(H5Dget_space(dataset), what));
    TRIREME_H5(H5Dget_num_chunks(dataset, space, &there), what);
#else
    there = H5Dget_storage_size(dataset) == 0 ? 0 : all;  // this version of HDF5 cannot count
#endif
    if (there >= all) return;
    if (there == 0) throw unwritten(creation, what, "was never written: all rows", "");
    if (const auto rows = rows_without_chunk(dataset, grid, window))
      throw unwritten(creation, what, fmt::format("was written only in part: {}", rows_text(*rows)),
                      fmt::format("; {} of its {} chunks are missing", all - there, all));
  }

  /// The external file, if it exists; an error if it is not a file or cannot be looked up.
  static std::string raw_file(const std::string& path, const std::string& what) {
    const auto words = [&](const Error& error) { return fmt::format("{} is stored in an external file: {}", what, error.what()); };
    try {
      return first_present({path});
    } catch (const IoError& error) {
      throw IoError(error.code(), words(error), error.number());
    } catch (const Error& error) {
      throw Error(error.code(), words(error));
    }
  }

  void look_at_raw_files(const h5::Dataset& dataset, const std::string& what, std::int64_t bytes) {
    const std::string holder = h5::name_of_file(dataset);
    std::error_code ignored;
    const fs::path home = fs::weakly_canonical(fs::absolute(holder, ignored).parent_path(), ignored), real = fs::canonical(holder, ignored).parent_path();
    for (const RawFile& file : raw_files(dataset, holder, bytes)) {
      other_files_ += fs::path(file.path).filename().string() + '\n';
      const fs::path place = fs::weakly_canonical(fs::absolute(file.path, ignored), ignored);
      const auto below = [&](const fs::path& folder) {
        const fs::path inner = place.lexically_relative(folder);
        return !folder.empty() && !inner.empty() && *inner.begin() != "..";
      };
      if (!rules_.allow_external && !below(home) && !below(real))
        throw data_error(
            "{} is stored in the external file '{}', which is outside the folder of the shard. Hint: if you trust this file, set "
            "data.allow_external = true",
            what, file.path);
      const std::string found = raw_file(file.path, what);
      if (found.empty())
        throw data_error(
            "{} is stored in the external file '{}', which does not exist. Hint: HDF5 searches the working directory; with "
            "HDF5_EXTFILE_PREFIX='${{ORIGIN}}' it searches the folder of the shard",
            what, file.path);
      const auto size = static_cast<std::int64_t>(fs::file_size(found, ignored));
      if (!rules_.allow_unwritten && size < file.least_bytes)
        throw data_error("{} is stored in the external file '{}', which has {} of {} bytes: the rest would be read as 0. Hint: copy it or create it again",
                         what, file.path, size, file.least_bytes);
    }
  }

  void look_at_virtual(const h5::Dataset& dataset, const std::string& what) {
    const std::string self = identity(dataset);
    if (std::ranges::count(path_, self) > 0)
      throw data_error("{} is virtual and, through {} sources, its own source: it holds no numbers. Hint: create it again", what, path_.size());
    if (path_.size() >= deepest_nesting)
      throw data_error("{}: virtual data sets are nested more than {} deep. Hint: create a virtual data set of the innermost files", what, deepest_nesting);
    path_.push_back(self);
    std::vector<VirtualSource> sources = virtual_sources(dataset, what, rules_.allow_unwritten);
    remember(sources);
    // Sorted, so that a file with many mappings is opened once.
    std::ranges::stable_sort(sources, {}, [](const VirtualSource& s) { return std::pair(s.file, s.data_set); });
    std::optional<OpenSource> open;
    for (std::size_t i = 0; i < sources.size(); ++i) {
      const VirtualSource& source = sources[i];
      const bool same = i > 0 && source.file == sources[i - 1].file && source.data_set == sources[i - 1].data_set;
      if (!same) open = open_source(source, dataset, what, rules_.allow_unwritten);
      if (open) look_at_source(source, *open, what);
    }
    path_.pop_back();
    if (rules_.allow_unwritten) return;
    const h5::Properties creation(TRIREME_H5(H5Dget_create_plist(dataset), what));
    const auto extents = h5::extents(dataset, what);
    bytes_of(extents, 1, what);
    if (const auto rows = rows_without_source(dataset, extents, what))
      throw unwritten(creation, what, fmt::format("is virtual without sources for all of {}, which", rows_text(*rows)), "");
  }

  /// In the order of the rows, whatever the order of the mappings.
  void remember(std::vector<VirtualSource> sources) {
    std::ranges::sort(sources, {}, [](const VirtualSource& s) { return std::tuple(s.rows.first, s.rows.end, s.step, s.file, s.data_set, s.from.first); });
    for (const VirtualSource& source : sources) {
      const std::string near = fs::path(source.file).lexically_relative(fs::path(sources.front().file).parent_path()).string();
      other_files_ += fmt::format("{}:{} [{}, {}) / {} from [{}, {})\n", near.empty() ? source.file : near, source.data_set, source.rows.first, source.rows.end,
                                  source.step, source.from.first, source.from.end);
    }
  }

  void look_at_source(const VirtualSource& source, const OpenSource& open, const std::string& what) {
    const std::string inner = fmt::format("{}, source '{}:{}'", what, source.file, source.data_set);
    const auto extents = h5::extents(open.dataset, inner);
    bool fits = source.extents.empty() || extents.size() == source.extents.size();
    for (std::size_t d = 0; fits && d < source.extents.size(); ++d) fits = extents[d] >= source.extents[d];
    if (!source.shape.empty()) fits = fills(extents, source.shape);
    // An error even where fill values are allowed: the source is there, and HDF5 would fail, or place its numbers in the wrong rows.
    if (!fits)
      throw data_error(
          "{} has shape {}; {} of the virtual data set need {}. Hint: the source was created again with another shape; create the virtual data "
          "set again",
          inner, tuple_of(extents), rows_text(source.rows), tuple_of(source.shape.empty() ? source.extents : source.shape));
    look_at(open.dataset, inner, source.from);
  }

  static std::string tuple_of(const std::vector<std::int64_t>& extents) { return fmt::format("({})", fmt::join(extents, ", ")); }

  /// Whether a source fills its place: as many numbers, and the same shape except for extents of 1. Shapes of another rank may be joined or divided.
  static bool fills(std::vector<std::int64_t> source, std::vector<std::int64_t> place) {
    std::erase(source, 1);
    std::erase(place, 1);
    if (source.size() == place.size()) return source == place;
    std::int64_t sizes[] = {1, 1};
    for (const std::int64_t extent : source)
      if (__builtin_mul_overflow(sizes[0], extent, &sizes[0])) return false;
    for (const std::int64_t extent : place)
      if (__builtin_mul_overflow(sizes[1], extent, &sizes[1])) return false;
    return sizes[0] == sizes[1];
  }

  static std::string name_of(const h5::Dataset& dataset) {
    const ssize_t length = TRIREME_H5(H5Iget_name(dataset, nullptr, 0), "the name of a data set");
    std::string name(static_cast<std::size_t>(length) + 1, '\0');
    TRIREME_H5(H5Iget_name(dataset, name.data(), name.size()), "the name of a data set");
    name.resize(static_cast<std::size_t>(length));
    return name;
  }

  static std::string identity(const h5::Dataset& dataset) {
    std::error_code ignored;
    const std::string file = h5::name_of_file(dataset);
    const fs::path real = fs::canonical(file, ignored);
    return (ignored ? file : real.string()) + ":" + name_of(dataset);
  }

  const ShardNames& rules_;
  std::string other_files_;
  std::vector<std::string> path_;  // virtual data sets on the path to the current one
};

}  // namespace

std::string check_storage(const h5::Dataset& dataset, const std::string& what, const ShardNames& rules) {
  Check check(rules);
  check.look_at(dataset, what, {0, std::numeric_limits<std::int64_t>::max()});
  return check.other_files();
}

std::int64_t bytes_of(const std::vector<std::int64_t>& extents, std::size_t element_bytes, const std::string& what) {
  constexpr std::int64_t most = std::int64_t{1} << 62;
  std::int64_t bytes = static_cast<std::int64_t>(element_bytes);
  bool fits = true;
  // An extent of 0 must not hide that the others are too large.
  for (const std::int64_t extent : extents)
    fits = fits && extent >= 0 && !__builtin_mul_overflow(bytes, std::max<std::int64_t>(extent, 1), &bytes) && bytes <= most;
  if (!fits)
    throw data_error("{} has shape {}, which is larger than any file. Hint: the file is damaged; copy it or create it again", what,
                     fmt::format("({})", fmt::join(extents, ", ")));
  return std::ranges::count(extents, 0) > 0 ? 0 : bytes;
}

std::string what_of(const std::string& path, const std::string& name) { return fmt::format("shard '{}': data set '{}'", path, name); }

}  // namespace trireme::detail
