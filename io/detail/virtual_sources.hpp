// Virtual data sets: the source data set and file of each range of rows. HDF5 silently replaces missing data of a source by the fill value.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "io/h5.hpp"

namespace trireme::detail {

struct RowRange {
  std::int64_t first = 0, end = 0;
  bool meets(const RowRange& other) const { return first < other.end && other.first < end; }
};

/// One mapping from a source data set; "%b" in names is already replaced.
struct VirtualSource {
  std::string file, data_set;         // as in the mapping; file ".": the file of the virtual data set
  RowRange rows;                      // in the virtual data set, first to last
  std::int64_t step = 1;              // between rows in the virtual data set
  RowRange from;                      // in the source, first to last
  std::vector<std::int64_t> extents;  // minimum extents of the source; empty: any
  std::vector<std::int64_t> shape;    // if all of the source is used: its place in the virtual data set, which it must fill; empty: a part is used
};

bool is_virtual(const h5::Dataset& dataset, const std::string& context);

/// The sources of an open virtual data set, whose extents may be unknown. `what` names it in errors: "shard 'a.h5': data set '/x'". Numbered sources
/// ("part-%b.h5") are counted up to the first missing one; a later existing one is a data error unless gaps are allowed.
std::vector<VirtualSource> virtual_sources(const h5::Dataset& dataset, const std::string& what, bool gaps);

struct OpenSource {
  h5::File file;
  h5::Dataset dataset;
};
/// Opens a source of the virtual data set `of` as HDF5 will. A missing source is a data error that describes it, or an empty result if it may be
/// missing.
std::optional<OpenSource> open_source(const VirtualSource& source, const h5::Dataset& of, const std::string& what, bool may_be_missing);

/// The first rows that are not completely covered by sources.
std::optional<RowRange> rows_without_source(const h5::Dataset& dataset, const std::vector<std::int64_t>& extents, const std::string& what);

}  // namespace trireme::detail
