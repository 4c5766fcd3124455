// Writes HDF5 files of a few whole arrays with groups, attributes and dimension scales, for sources that lay out their files themselves.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/shape.hpp"
#include "io/shard.hpp"

namespace trireme {

struct FileArray {
  std::string name;  // "/climate/data"; groups on the path are created
  ElementType type = ElementType::f32;
  Shape shape;
  std::span<const std::byte> values;
  std::vector<std::pair<std::string, std::string>> texts = {};  // attributes
  std::vector<std::string> dimensions = {};                     // names of the one-dimensional arrays of the file that are the scales of its axes
  bool is_scale = false;
};

/// Writes `path`, flushed to disk. Scales stand before the arrays that use them. gzip: 0, or the level; chunks are then one step along the first axis for
/// arrays of more than three axes, and otherwise the whole array. Throws a data error that names the file.
void write_array_file(const std::filesystem::path& path, std::span<const FileArray> arrays, int gzip);

}  // namespace trireme
