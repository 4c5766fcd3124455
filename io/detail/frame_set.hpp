// Frames of one dataset: what it holds for one sample, or for one time step of one. A frame is (channels, pixels...) in the model's order, or numbers without
// pixels (channels). The stored order of axes, selections, members of records, attributes, and one group per sample are hidden here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/box.hpp"
#include "io/array_source.hpp"
#include "io/detail/decoding.hpp"
#include "io/detail/read_watch.hpp"
#include "io/detail/sample_groups.hpp"
#include "io/h5.hpp"
#include "io/shard.hpp"

namespace trireme::detail {

class FrameSet {
 public:
  /// `path`: the shard that holds the part, with a group if there is one. `pixel_axes`: number of spatial extents in the model, -1: unknown. `lead`: what the
  /// first stored axis is if the source gives no axes. Throws data errors that name file and dataset.
  enum class Lead { sample, time, value };
  FrameSet(const std::string& path, const ArraySource& array, const ArrayPart& part, int pixel_axes, Lead lead, const ShardNames& rules, bool verify);

  bool has_samples() const { return sample_axis_ >= 0 || !members_.empty(); }
  bool has_time() const { return time_axis_ >= 0; }
  std::int64_t samples() const;  // 1 without this axis
  std::int64_t times() const;    // 1 without this axis
  std::int64_t channels() const { return channels_; }
  const std::vector<std::int64_t>& pixels() const { return pixels_; }  // empty: numbers that fill their pixels
  ElementType type() const { return type_; }
  bool gaps() const { return gaps_; }
  /// For comparison between runs: how numbers are decoded; the other files that hold them.
  const std::string& decoding_text() const { return decoding_text_; }
  const std::string& sources() const { return sources_; }
  const std::optional<std::uint64_t>& checksum() const { return checksum_; }
  /// The datasets of one sample each, if the part is a pattern of them.
  const std::vector<SampleDataset>& members() const { return members_; }
  std::string called() const;      // "shard 'a.h5': data set '/x'"
  std::string shape_text() const;  // as stored, after the selection

  /// Reads frames [first, first + count): along time of sample `sample`, or along samples if there is no time; one frame if there is neither. `box`: only these
  /// pixels; null: all. Returns the bytes requested from the file.
  std::int64_t read(std::int64_t sample, std::int64_t first, std::int64_t count, const Box* box, std::span<std::byte> out);

 private:
  struct Extent {
    std::int64_t stored, first, count;  // of the file; of the selection
    bool dropped;                       // selected by one index
    ArrayAxes::Axis role = ArrayAxes::Axis::channel;
  };
  void open_attribute(const std::string& name);
  void open_members(const std::string& pattern);
  void open_data(const std::string& name);
  void choose(const std::vector<std::int64_t>& stored);
  void assign_axes();
  void assign_given_axes(std::span<const std::size_t> kept);
  void assign_usual_axes(std::span<const std::size_t> kept);
  std::size_t outer() const { return extents_.size() - inner_; }
  /// From stored numbers in stored order to frames.
  void arrange(std::vector<std::int64_t> sizes, std::int64_t count, std::span<std::byte> raw, std::span<std::byte> out);

  std::string path_;
  ArraySource array_;
  ArrayPart part_;
  int pixel_axes_;
  Lead lead_;
  ShardNames rules_;
  bool verify_;
  h5::File file_;
  h5::Dataset dataset_;
  h5::Space space_;
  h5::Type memory_type_;
  h5::Properties transfer_;
  std::optional<ReadWatch> watch_;      // refers to dataset_
  std::string name_;                    // of the dataset in the file
  std::vector<SampleDataset> members_;  // datasets of one sample each
  std::vector<Extent> extents_;         // of the dataset, then of a member that is an array
  std::size_t inner_ = 0;               // number of the latter
  int sample_axis_ = -1, time_axis_ = -1;
  std::vector<int> pixel_dims_, order_;  // stored axes of the pixels; all stored axes in the order of frames
  std::int64_t channels_ = 1;
  std::vector<std::int64_t> pixels_;
  ElementType stored_{}, type_{};
  Decoding decoding_;
  bool gaps_ = false;
  std::string decoding_text_, sources_;
  std::optional<std::uint64_t> checksum_;
  std::vector<std::byte> constant_;  // numbers of an attribute
  std::vector<std::byte> raw_, packed_, decoded_;
};

}  // namespace trireme::detail
