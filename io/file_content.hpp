// What an HDF5 file holds: every dataset with shape, type, chunks and filters.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace trireme {

struct DatasetContent {
  std::string name;  // with a leading '/'
  std::vector<std::int64_t> shape;
  std::string type;     // "float32", "compound", ...
  bool number = false;  // integers, booleans or floats
  bool integer = false;
  std::vector<std::int64_t> chunks;  // empty: not chunked
  std::string storage;               // "contiguous", "chunked (1, 28, 28), gzip", "virtual", ...
  std::vector<std::string> members;  // of records
};

/// The datasets of a file, or of a group in it ("scans.h5:/train"; names are then relative to the group), sorted by name. Throws data errors.
std::vector<DatasetContent> file_content(const std::string& path);

/// Lines for a deck that read these datasets: [array features], [array labels] and [model] input. A guess from names and shapes; empty: there is nothing to
/// guess from.
std::string proposed_arrays(const std::vector<DatasetContent>& content);

}  // namespace trireme
