#include "io/detail/virtual_sources.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <limits>
#include <map>

#include "io/detail/other_files.hpp"

namespace trireme::detail {

namespace {

constexpr std::int64_t no_end = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t blocks_behind_a_gap = 100;  // how far to look for a numbered source after a missing one
constexpr std::size_t most_steps = 4'000'000;      // maximum number of interleaved rows that are examined

/// One regular pattern of a selection, in each dimension.
struct Pattern {
  std::vector<hsize_t> start, stride, count, block;  // count or block may be H5S_UNLIMITED

  explicit Pattern(std::size_t rank) : start(rank, 0), stride(rank, 1), count(rank, 1), block(rank, 1) {}
  std::size_t rank() const { return start.size(); }
  /// End of the pattern in dimension d.
  std::int64_t end(std::size_t d) const {
    if (count[d] == H5S_UNLIMITED || block[d] == H5S_UNLIMITED) return no_end;
    return count[d] == 0 ? 0 : static_cast<std::int64_t>(start[d] + (count[d] - 1) * stride[d] + block[d]);
  }
  /// Number of points below `extent` in dimension d.
  std::int64_t points(std::size_t d, hsize_t extent) const {
    if (start[d] >= extent) return 0;
    const hsize_t room = extent - start[d];
    if (block[d] == H5S_UNLIMITED) return static_cast<std::int64_t>(room);
    const hsize_t fitting = room < block[d] ? 0 : (room - block[d]) / stride[d] + 1, whole = std::min(fitting, count[d]);
    const hsize_t rest = whole < count[d] && whole * stride[d] < room ? std::min(block[d], room - whole * stride[d]) : 0;
    return static_cast<std::int64_t>(whole * block[d] + rest);
  }
  bool unlimited() const { return std::ranges::count(count, H5S_UNLIMITED) + std::ranges::count(block, H5S_UNLIMITED) > 0; }
};

std::vector<Pattern> patterns_of(const h5::Space& space, const std::string& what) {
  const auto rank = static_cast<std::size_t>(TRIREME_H5(H5Sget_simple_extent_ndims(space), what));
  std::vector<Pattern> patterns;
  if (H5Sget_select_type(space) == H5S_SEL_ALL) {
    TRIREME_H5(H5Sget_simple_extent_dims(space, patterns.emplace_back(rank).block.data(), nullptr), what);
  } else if (H5Sget_select_type(space) == H5S_SEL_HYPERSLABS && H5Sis_regular_hyperslab(space) > 0) {
    Pattern& one = patterns.emplace_back(rank);
    TRIREME_H5(H5Sget_regular_hyperslab(space, one.start.data(), one.stride.data(), one.count.data(), one.block.data()), what);
  } else if (H5Sget_select_type(space) == H5S_SEL_HYPERSLABS) {
    constexpr hsize_t at_once = 4096;
    const auto blocks = static_cast<hsize_t>(TRIREME_H5(H5Sget_select_hyper_nblocks(space), what));
    std::vector<hsize_t> corners(2 * rank * at_once);
    for (hsize_t done = 0; done < blocks; done += at_once) {
      const hsize_t some = std::min(at_once, blocks - done);
      TRIREME_H5(H5Sget_select_hyper_blocklist(space, done, some, corners.data()), what);
      for (hsize_t b = 0; b < some; ++b) {
        Pattern& one = patterns.emplace_back(rank);
        for (std::size_t d = 0; d < rank; ++d) {
          one.start[d] = corners[2 * rank * b + d];
          one.block[d] = corners[2 * rank * b + rank + d] - one.start[d] + 1;
        }
      }
    }
  }
  return patterns;
}

/// Mapping number `i`.
struct Mapping {
  std::string file, data_set;  // "%b" stands for a number, "%%" for a per cent sign
  std::vector<Pattern> to, from;
  bool whole = false;  // all of the source, whatever its extents are: the file does not record them

  bool unlimited() const { return std::ranges::any_of(to, &Pattern::unlimited); }
  bool numbered() const { return unlimited() && std::ranges::none_of(from, &Pattern::unlimited); }
};

template <class Call>
std::string text_of(Call call, const std::string& what) {
  const auto length = static_cast<std::size_t>(TRIREME_H5(call(nullptr, 0), what));
  std::string text(length + 1, '\0');
  TRIREME_H5(call(text.data(), text.size()), what);
  text.resize(length);
  return text;
}

std::vector<Mapping> mappings_of(const h5::Dataset& dataset, const std::string& what) {
  const h5::Properties creation(TRIREME_H5(H5Dget_create_plist(dataset), what));
  std::size_t count = 0;
  TRIREME_H5(H5Pget_virtual_count(creation, &count), what);
  std::vector<Mapping> mappings(count);
  for (std::size_t i = 0; i < count; ++i) {
    Mapping& mapping = mappings[i];
    mapping.file = text_of([&](char* to, std::size_t size) { return H5Pget_virtual_filename(creation, i, to, size); }, what);
    mapping.data_set = text_of([&](char* to, std::size_t size) { return H5Pget_virtual_dsetname(creation, i, to, size); }, what);
    mapping.to = patterns_of(h5::Space(TRIREME_H5(H5Pget_virtual_vspace(creation, i), what)), what);
    const h5::Space from(TRIREME_H5(H5Pget_virtual_srcspace(creation, i), what));
    mapping.whole = H5Sget_select_type(from) == H5S_SEL_ALL;
    if (!mapping.whole) mapping.from = patterns_of(from, what);
  }
  return mappings;
}

std::string with_number(const std::string& name, std::int64_t number) {
  std::string text;
  for (std::size_t i = 0; i < name.size(); ++i) {
    const bool special = name[i] == '%' && i + 1 < name.size();
    if (special && name[i + 1] == 'b') {
      text += std::to_string(number);
      ++i;
    } else {
      text += name[i];
      if (special && name[i + 1] == '%') ++i;
    }
  }
  return text;
}

bool holds_number(const std::string& name) { return with_number(name, 0) != with_number(name, 1); }

/// Minimum and maximum of the patterns along the rows.
RowRange rows_of(const std::vector<Pattern>& patterns) {
  RowRange rows{no_end, 0};
  for (const Pattern& pattern : patterns) {
    if (pattern.rank() == 0) return {0, 1};
    rows.first = std::min(rows.first, static_cast<std::int64_t>(pattern.start[0]));
    rows.end = std::max(rows.end, pattern.end(0));
  }
  return rows;
}

std::vector<std::int64_t> extents_of(const std::vector<Pattern>& patterns) {
  std::vector<std::int64_t> extents;
  for (const Pattern& pattern : patterns) {
    extents.resize(pattern.rank(), 0);
    for (std::size_t d = 0; d < pattern.rank(); ++d)
      if (pattern.end(d) != no_end) extents[d] = std::max(extents[d], pattern.end(d));
  }
  return extents;
}

/// The shape of a selection: one block of an endless one, one extent for an irregular one; empty: without end.
std::vector<std::int64_t> shape_of(const std::vector<Pattern>& patterns) {
  std::vector<std::int64_t> shape;
  std::int64_t points = 0;
  for (const Pattern& pattern : patterns) {
    if (std::ranges::count(pattern.block, H5S_UNLIMITED) > 0) return {};
    shape.clear();
    std::int64_t product = 1;
    for (std::size_t d = 0; d < pattern.rank(); ++d) {
      shape.push_back(static_cast<std::int64_t>(pattern.block[d] * (pattern.count[d] == H5S_UNLIMITED ? 1 : pattern.count[d])));
      product *= shape.back();
    }
    points += product;
  }
  return patterns.size() == 1 ? shape : std::vector{points};
}

VirtualSource source_of(const Mapping& mapping) {
  VirtualSource source{.file = with_number(mapping.file, 0),
                       .data_set = with_number(mapping.data_set, 0),
                       .rows = rows_of(mapping.to),
                       .from = mapping.whole ? RowRange{0, no_end} : rows_of(mapping.from),
                       .extents = extents_of(mapping.from),
                       .shape = mapping.whole ? shape_of(mapping.to) : std::vector<std::int64_t>()};
  for (const Pattern& pattern : mapping.to)
    if (pattern.rank() > 0 && pattern.count[0] > 1) source.step = std::max(source.step, static_cast<std::int64_t>(pattern.stride[0]));
  return source;
}

/// "shard 'a.h5': data set '/x' is virtual, and its source 'b.h5:x' for rows [0, 5)".
std::string source_text(const VirtualSource& source, const std::string& what) {
  const std::string rows =
      source.rows.end == no_end ? fmt::format("from row {} on", source.rows.first) : fmt::format("for rows [{}, {})", source.rows.first, source.rows.end);
  return fmt::format("{} is virtual, and its source '{}:{}' {}", what, source.file, source.data_set, rows);
}

Error unusable(const VirtualSource& source, const std::string& what, const std::string& words) {
  return data_error("{} is not usable: {}. Hint: restore the source, or set HDF5_VDS_PREFIX to its folder", source_text(source, what), words);
}

/// A source that exists but cannot be read; trying again may succeed.
IoError unreadable(const VirtualSource& source, const std::string& what, const IoError& error) {
  const std::string text =
      fmt::format("{} cannot be read: {}. Hint: correct the permissions of the source and its folders", source_text(source, what), error.what());
  return {error.code(), text, error.number()};
}

/// Where the file of a source is; empty: it does not exist.
std::string place_of(const VirtualSource& source, const std::vector<std::string>& places, const std::string& what) {
  try {
    return first_present(places);
  } catch (const IoError& error) {
    throw unreadable(source, what, error);
  } catch (const Error& error) {
    throw unusable(source, what, error.what());
  }
}

std::vector<std::string> places_of(const VirtualSource& source, const h5::Dataset& of) {
  return places_of(h5::name_of_file(of), source.file, Naming::virtual_source);
}

/// Whether block b of a numbered mapping exists.
bool is_there(const VirtualSource& source, bool data_set_is_numbered, const h5::Dataset& of, const std::string& what) {
  if (source.file != "." && place_of(source, places_of(source, of), what).empty()) return false;
  return !data_set_is_numbered || open_source(source, of, what, true).has_value();
}

void add_numbered(const Mapping& mapping, const h5::Dataset& of, const std::string& what, bool gaps, std::vector<VirtualSource>& sources) {
  const Pattern& pattern = mapping.to.front();
  const bool by_rows = pattern.rank() > 0 && pattern.count[0] == H5S_UNLIMITED, sets_numbered = holds_number(mapping.data_set);
  if (!sets_numbered && !holds_number(mapping.file)) return;
  const auto block = [&](std::int64_t b) {
    VirtualSource source = source_of(mapping);
    source.file = with_number(mapping.file, b);
    source.data_set = with_number(mapping.data_set, b);
    source.step = 1;
    if (by_rows) {
      source.rows.first = static_cast<std::int64_t>(pattern.start[0] + static_cast<hsize_t>(b) * pattern.stride[0]);
      source.rows.end = source.rows.first + static_cast<std::int64_t>(pattern.block[0]);
    }
    return source;
  };
  std::int64_t b = 0;
  while (is_there(block(b), sets_numbered, of, what)) sources.push_back(block(b++));
  if (gaps) return;
  std::int64_t later = b + 1;
  while (later < b + blocks_behind_a_gap && !is_there(block(later), sets_numbered, of, what)) ++later;
  if (b > 0 && later == b + blocks_behind_a_gap) return;  // after the last one
  const VirtualSource missing = block(b), found = block(later);
  throw data_error(
      "{} is virtual with numbered sources ('{}:{}'). The source for rows [{}, {}), '{}:{}', does not exist{}; HDF5 would ignore all rows from there on. Hint: "
      "restore the source, or set HDF5_VDS_PREFIX to its folder",
      what, mapping.file, mapping.data_set, missing.rows.first, missing.rows.end, missing.file, missing.data_set,
      later == b + blocks_behind_a_gap ? "" : fmt::format(", but '{}:{}' exists", found.file, found.data_set));
}

}  // namespace

bool is_virtual(const h5::Dataset& dataset, const std::string& context) {
  const h5::Properties creation(TRIREME_H5(H5Dget_create_plist(dataset), context));
  return H5Pget_layout(creation) == H5D_VIRTUAL;
}

std::vector<VirtualSource> virtual_sources(const h5::Dataset& dataset, const std::string& what, bool gaps) {
  std::vector<VirtualSource> sources;
  for (const Mapping& mapping : mappings_of(dataset, what)) {
    if (mapping.to.empty()) continue;
    if (mapping.numbered()) {
      add_numbered(mapping, dataset, what, gaps, sources);
    } else {
      sources.push_back(source_of(mapping));
    }
  }
  return sources;
}

std::optional<OpenSource> open_source(const VirtualSource& source, const h5::Dataset& of, const std::string& what, bool may_be_missing) {
  const auto absent = [&](const std::string& words) {
    return data_error(
        "{} does not exist: {}. Hint: restore the source, or set HDF5_VDS_PREFIX to its folder; data.allow_unwritten = true trains on the fill "
        "value instead",
        source_text(source, what), words);
  };
  OpenSource opened;
  if (source.file == ".") {
    opened.file = h5::File(TRIREME_H5(H5Iget_file_id(of), what));
  } else {
    const auto places = places_of(source, of);
    const std::string place = place_of(source, places, what);
    if (place.empty() && may_be_missing) return {};
    if (place.empty()) throw absent(fmt::format("no such file; looked for {}", fmt::join(places, ", ")));
    try {
      opened.file = open_as_hdf5_does(place, "the source");
    } catch (const IoError& error) {
      throw unreadable(source, what, error);
    } catch (const Error& error) {
      throw unusable(source, what, error.what());
    }
  }
  const h5::Properties access = guarded_access();  // must stay open: closing it would clear the error stack
  opened.dataset = h5::Dataset(H5Dopen2(opened.file, source.data_set.c_str(), access));
  if (opened.dataset) return opened;
  int number = 0;
  const std::string words = h5::error_stack(&number);
  if (number != 0)  // an error of the file system says nothing about the content of the file
    throw IoError(ExitCode::data, fmt::format("{} cannot be opened: {}", source_text(source, what), words), number);
  std::string broken;
  try {
    broken = broken_link(opened.file, source.data_set);
  } catch (const IoError& error) {
    throw unreadable(source, what, error);
  }
  if (may_be_missing) return {};
  throw absent(broken.empty() ? "the file has no such data set" : broken);
}

std::optional<RowRange> rows_without_source(const h5::Dataset& dataset, const std::vector<std::int64_t>& extents, const std::string& what) {
  if (extents.empty()) return {};
  std::int64_t row_points = 1;
  for (std::size_t d = 1; d < extents.size(); ++d) row_points *= extents[d];
  std::map<std::int64_t, std::int64_t> changes{{0, 0}, {extents[0], 0}};  // changes of the number of points per row that have a source
  std::size_t steps = 0;
  for (const Mapping& mapping : mappings_of(dataset, what)) {
    for (const Pattern& pattern : mapping.to) {
      if (pattern.rank() != extents.size()) continue;
      std::int64_t points = 1;
      for (std::size_t d = 1; d < extents.size(); ++d) points *= pattern.points(d, static_cast<hsize_t>(extents[d]));
      const bool one_run = pattern.block[0] == H5S_UNLIMITED || pattern.count[0] <= 1 || pattern.stride[0] == pattern.block[0];
      for (hsize_t i = 0; i < (one_run ? 1 : pattern.count[0]); ++i) {
        const auto first = static_cast<std::int64_t>(pattern.start[0] + i * pattern.stride[0]);
        if (first >= extents[0]) break;
        if (++steps > most_steps)
          throw data_error("{} is virtual, and its sources are interleaved in more than {} steps. Hint: data.allow_unwritten = true skips this check", what,
                           most_steps);
        changes[first] += points;
        changes[std::min(extents[0], one_run ? pattern.end(0) : first + static_cast<std::int64_t>(pattern.block[0]))] -= points;
      }
    }
  }
  std::int64_t has = 0;
  for (auto at = changes.begin(); at != changes.end() && at->first < extents[0]; ++at) {
    has += at->second;
    if (has < row_points) {
      auto end = std::next(at);
      for (std::int64_t then = has + end->second; end->first < extents[0] && then < row_points; then += end->second) ++end;
      return RowRange{at->first, end->first};
    }
  }
  return {};
}

}  // namespace trireme::detail
