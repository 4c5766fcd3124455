// Virtual data sets: which data sets of which files their rows come from. HDF5 reads what a source lacks as the fill value, without a word.
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

/// What one mapping takes from one data set; "%b" in names is filled in.
struct VirtualSource {
  std::string file, data_set;        // as the mapping names them; file ".": the virtual set's own
  RowRange rows;                     // of the virtual set, first to last
  std::int64_t step = 1;             // between its rows
  RowRange from;                     // rows of the source, first to last
  std::vector<std::int64_t> extents; // that the source must have at least; empty: any
};

bool is_virtual(const h5::Dataset& dataset, const std::string& context);

/// The sources of an open virtual data set, whose extents need not be known. `what` names it in errors: "shard 'a.h5': data set '/x'". Numbered sources
/// ("part-%b.h5") are counted up to the first that is not there; one that is there behind it is a data error unless gaps are allowed.
std::vector<VirtualSource> virtual_sources(const h5::Dataset& dataset, const std::string& what, bool gaps);

struct OpenSource {
  h5::File file;
  h5::Dataset dataset;
};
/// Opens a source of the virtual data set `of` as HDF5 will. A data error that says what is missing; nothing instead where it may be missing.
std::optional<OpenSource> open_source(const VirtualSource& source, const h5::Dataset& of, const std::string& what, bool may_be_missing);

/// The first rows that not all come from a source.
std::optional<RowRange> rows_without_source(const h5::Dataset& dataset, const std::vector<std::int64_t>& extents, const std::string& what);

}  // namespace trireme::detail
