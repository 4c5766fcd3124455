// What a network says of every row of a data set: one HDF5 file written by all ranks, under a temporary name until it
// is whole.
//
//   /output  (n, ...)  float32 or float64; one sample has the shape of the network's output in PyTorch's order,
//   channels first /class   (n)       int32, the class of the largest score; of networks that were trained on classes
//   attributes of the root: program "trireme", kind "predictions", and what the caller notes (checkpoint, step, data)
//
// As with checkpoints (checkpoint_writer.cpp says why) one rank has HDF5 lay the file out, and every rank writes its
// rows to their places. Neither class talks to other ranks; the caller does:
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

/// Where in the file the rows begin, bytes.
struct PredictionPlaces {
  std::int64_t output = 0, classes = 0;
};

/// The file as a whole; on one rank. Makes HDF5 calls. All errors are data errors.
class PredictionFile {
 public:
  /// Creates the temporary file beside `file`, with room for all rows.
  PredictionFile(const std::filesystem::path& file, const PredictionLayout& layout);
  /// Removes the temporary file unless finish() was reached.
  ~PredictionFile();
  const PredictionPlaces& places() const;
  /// After the rows of all ranks: closes the file, brings it to the disk and gives it its name.
  void finish();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Rows of one rank, into the temporary file that a PredictionFile has laid out. No HDF5 calls.
class PredictionRows {
 public:
  PredictionRows(const std::filesystem::path& file, const PredictionLayout& layout, const PredictionPlaces& places);
  ~PredictionRows();
  PredictionRows(const PredictionRows&) = delete;
  PredictionRows& operator=(const PredictionRows&) = delete;

  /// Writes the rows from `first` on. `output` holds whole rows; `classes` as many numbers as rows, or none where the
  /// layout has none.
  void write(std::int64_t first, std::span<const std::byte> output, std::span<const std::int32_t> classes);
  /// Brings what was written to the disk.
  void finish();

 private:
  std::string where_;
  std::int64_t rows_, row_bytes_;
  bool classes_;
  PredictionPlaces places_;
  int descriptor_ = -1;
};

}  // namespace trireme
