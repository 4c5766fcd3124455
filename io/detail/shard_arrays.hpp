// Features and labels of a shard that are joined from arrays: several datasets, parts of them, other files, windows of time steps.
//
//   row r of the shard  ->  sample s and time t   (SampleIndex)
//   array               ->  frames of its parts at s and t + window, joined along the channels: earliest time step first, parts in order
//   features, labels    ->  their arrays, joined along the channels
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/box.hpp"
#include "io/detail/frame_set.hpp"

namespace trireme::detail {

/// Whether features and labels are joined from arrays.
bool is_joined(const ShardNames& names);
/// The names, as arrays if features or labels name a member of records in this file.
ShardNames as_joined(const h5::File& file, const ShardPath& path, const ShardNames& names);

class ShardArrays {
 public:
  /// `sample`, `label`: shapes in the model; rank 0: unknown. Throws data errors that name file and dataset, and say which parts do not fit together.
  ShardArrays(const std::string& path, const ShardNames& names, const Shape& sample, const Shape& label, bool verify);

  std::int64_t rows() const { return rows_; }
  struct Field {
    Shape shape;  // of one sample, in the model's order
    ElementType type = ElementType::u8;
    bool gaps = false;
    std::string decoding, sources;
    std::optional<std::uint64_t> checksum = 0;  // empty: some data have none

    /// A part of an array, at some time steps.
    struct Piece {
      std::size_t set;                    // of sets_
      std::vector<std::int64_t> offsets;  // channel of the first number for each time step of `window`
      std::vector<std::int64_t> window;   // time steps; {0}
    };
    std::vector<Piece> pieces;
    std::int64_t channels = 0;
    std::vector<std::int64_t> pixels;  // empty: numbers without pixels
  };
  const Field& features() const { return features_; }
  const Field& labels() const { return labels_; }
  /// The dataset in the order of the files: reads rows [first, first + count), all channels of `box` (null: all pixels). Returns the bytes requested from
  /// files.
  std::int64_t read(const Field& field, std::int64_t first, std::int64_t count, const Box* box, std::span<std::byte> out);

 private:
  /// Frames that were read last, for windows that overlap.
  struct Cache {
    std::optional<Box> box;
    std::int64_t sample = -1, first = 0, count = 0;
    std::vector<std::byte> frames;
  };
  Field join(const std::vector<ArraySource>& arrays, const Shape& wanted, const ShardNames& names, bool windowed, bool verify);
  void index(const ShardNames& names);
  std::size_t set_of(const ArraySource& array, const ArrayPart& part, int pixel_axes, FrameSet::Lead lead, const ShardNames& names, bool verify);
  /// Frames [first, first + count) of a set in memory, valid until the next call for the same set and box.
  const std::byte* frames(std::size_t set, std::int64_t sample, std::int64_t first, std::int64_t count, const Box* box, std::int64_t& asked);
  std::int64_t read_segment(const Field& field, std::int64_t sample, std::int64_t first, std::int64_t count, std::int64_t step, const Box* box, std::byte* out);

  std::string path_;
  std::vector<std::unique_ptr<FrameSet>> sets_;
  std::vector<std::string> keys_;             // of sets_: equal keys are the same frames
  std::vector<std::array<Cache, 2>> caches_;  // of sets_
  Field features_, labels_;
  bool has_samples_ = false, has_time_ = false;
  // Samples [first_sample_, ...), and of each `per_sample_` windows that begin at time step first_time_ + i * stride_.
  std::int64_t rows_ = 0, first_sample_ = 0, per_sample_ = 1, first_time_ = 0, stride_ = 1;
};

}  // namespace trireme::detail
