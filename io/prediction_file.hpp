// Predictions: the output of a network for every row of a data set, in one HDF5 file that all ranks write, with a temporary name until it is
// complete.
//
//   /output  (n, ...)  float32 or float64; one sample has the shape of the network's output in PyTorch's order, channels first
//   /class   (n)       int32, the class with the largest score; only for networks trained on classes
//   attributes of the root: program "trireme", kind "predictions", and texts of the caller (checkpoint, step, data)
//
// As with checkpoints (checkpoint_writer.cpp gives the reason), one rank creates the layout through HDF5, and every rank writes its rows into it.
// Neither class communicates; the caller does:
//
//   rank 0: PredictionFile        all ranks: PredictionRows, write(), finish()        rank 0: PredictionFile::finish()
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/shape.hpp"

namespace trireme {

struct PredictionLayout {
  std::int64_t rows = 0;
  Shape output;  // of one sample
  bool is_double = false;
  bool classes = false;
  std::map<std::string, std::string> texts;  // attributes
  std::map<std::string, std::int64_t> integers;
  std::map<std::string, std::vector<double>> numbers;
};

/// Offsets of the rows in the file, in bytes.
struct PredictionPlaces {
  std::int64_t output = 0, classes = 0;
};

/// The whole file; on one rank. Makes HDF5 calls. All errors are data errors.
class PredictionFile {
 public:
  /// Creates the temporary file next to `file`, with space for all rows.
  PredictionFile(const std::filesystem::path& file, const PredictionLayout& layout);
  /// Removes the temporary file unless finish() completed.
  ~PredictionFile();
  const PredictionPlaces& places() const;
  /// Call it after all ranks have written their rows: closes the file, flushes it to disk and renames it.
  void finish();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Writes rows of one rank to the temporary file of a PredictionFile. No HDF5 calls.
class PredictionRows {
 public:
  PredictionRows(const std::filesystem::path& file, const PredictionLayout& layout, const PredictionPlaces& places);
  ~PredictionRows();
  PredictionRows(const PredictionRows&) = delete;
  PredictionRows& operator=(const PredictionRows&) = delete;

  /// Writes the rows from `first` on. `output` holds whole rows; `classes` holds one number per row, or is empty if the layout has no classes.
  void write(std::int64_t first, std::span<const std::byte> output, std::span<const std::int32_t> classes);
  /// Flushes the written rows to disk.
  void finish();

 private:
  std::string where_;
  std::int64_t rows_, row_bytes_;
  bool classes_;
  PredictionPlaces places_;
  int descriptor_ = -1;
};

}  // namespace trireme
