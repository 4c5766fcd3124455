// Arrays of a sample: what an array consists of, and where it is in the files. The deck's [array NAME] sections describe them; io/detail/shard_arrays.hpp reads
// them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/shape.hpp"

namespace trireme {

/// Part of a stored extent, as in Python: [first, end), negative numbers count from the end.
struct ExtentRange {
  std::int64_t first = 0;
  std::optional<std::int64_t> end = {};
  bool single = false;  // one index: the axis disappears

  bool whole() const { return first == 0 && !end && !single; }
  /// The range within `extent`, as [first, end). Empty optional: it lies outside.
  struct Bounds {
    std::int64_t first, end;
  };
  std::optional<Bounds> within(std::int64_t extent) const;
  /// "1:29"
  std::string text() const;
};

/// Parses "0:200", ":-365", "3" (a single index). Usage errors name `key`.
ExtentRange parse_extent_range(std::string_view text, const std::string& key);

/// A dataset, or a part of one.
struct ArrayPart {
  std::string text;                      // as written, for messages
  std::string name;                      // path of the dataset in the file, which may end in the name of a member of its records; may contain *
  std::vector<ExtentRange> select = {};  // one for each stored extent; empty: all
  std::string attribute = {};            // an attribute of `name` instead of its data

  /// Parses "/a, /b[:, 1:3], /t@beta". Usage errors name `key`.
  static std::vector<ArrayPart> parse_list(const std::string& text, const std::string& key);
};

/// Roles of the stored axes, slowest first.
class ArrayAxes {
 public:
  enum class Axis { sample, time, channel, z, y, x };
  ArrayAxes() = default;
  static ArrayAxes parse(const std::string& text, const std::string& key);

  bool given() const { return !axes_.empty(); }
  const std::vector<Axis>& list() const { return axes_; }
  bool has(Axis axis) const;
  const std::string& text() const { return text_; }

 private:
  std::string text_;
  std::vector<Axis> axes_;
};

/// One array.
struct ArraySource {
  std::string name;                       // [array NAME]
  std::string key, axes_key, window_key;  // of the deck, for messages: "array.state.data" or "data.features"
  std::vector<ArrayPart> parts;           // joined along the channels
  ArrayAxes axes = {};
  std::vector<std::int64_t> window = {};  // time steps relative to the sample's time, ascending; empty: the sample's time
  std::string file = {};                  // the file that holds the array for all shards; empty: the shard, or:
  std::string replace_from = {}, replace_to = {};
  Shape expected = {};  // of one sample, if the model names it; rank 0: unknown

  /// The file that holds the array for this shard. Data errors if the rule does not apply to its path.
  std::string file_of(const std::string& shard) const;
};

/// Parses "-3..0", "1", "1..4", "-6, 0" to ascending time steps. Usage errors name `key`.
std::vector<std::int64_t> parse_window(const std::string& text, const std::string& key);

/// A shard's path may name a group inside the file, as in "scans.h5:/train": names of datasets are then relative to this group.
struct ShardPath {
  std::string file, group;  // group: empty, or "/train"

  explicit ShardPath(const std::string& path);
  /// The path of a dataset in the file.
  std::string in_file(const std::string& name) const;
};

}  // namespace trireme
