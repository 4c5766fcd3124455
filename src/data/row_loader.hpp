// Rows of a data set, read into memory in long runs, in steps short enough to share the I/O thread with others, and
// checked: class labels against their range, numbers by value_check.hpp. Makes HDF5 calls: I/O
// thread only.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/box.hpp"
#include "data/data_set.hpp"
#include "data/sampler.hpp"
#include "data/value_check.hpp"
#include "io/retry.hpp"

namespace trireme {

/// Memory that starts on a page: copies out of the kernel's file cache are up to four times slower on some processors
/// where source and target lie a few bytes apart within their pages, as malloc's 16 bytes before a large block make
/// them.
template <class T>
class PageArray {
 public:
  PageArray() = default;
  explicit PageArray(std::int64_t n);
  T* get() const { return memory_.get(); }
  explicit operator bool() const { return memory_ != nullptr; }

 private:
  struct Free {
    void operator()(void* memory) const { std::free(memory); }
  };
  std::unique_ptr<T[], Free> memory_;
};

/// What is read of each row.
struct RowPart {
  bool features = true, labels = true;
  std::optional<Box> feature_box, label_box;  // of all channels; none: all
  Shape sample, label;                        // (channels, extents...) of what the boxes are cut out of
  int retries = usual_retries;                // of a read that met an error that may pass: the file is opened anew
  bool verify = true;                         // chunks against their checksums, where they have one
  ValueRule feature_rule = {}, label_rule = {};  // label_rule: of values
  /// Gets what is wrong with a row, a span's first class label or number of a row at a time, where that shall not end the reading.
  std::function<void(const std::string&)> report = {};
};

/// Rows in memory, one after the other, as the data set's labels() demand them, and of each what RowPart names.
struct RowBlock {
  bool allocated = false;
  PageArray<std::byte> features;
  PageArray<std::int32_t> classes;  // LabelDemand::classes
  PageArray<std::byte> values;      // LabelDemand::values
};

class RowLoader {
 public:
  /// Files held open at a time: a data set may have more shards than a process may have files.
  static constexpr std::size_t most_open_files = 64;

  /// Boxes that are all of a row count as none. Internal errors where a box lies outside of its shape, or the shape is not that of the rows.
  explicit RowLoader(const DataSet& data, const RowPart& part = {});

  /// Bytes of one row in memory; 0 of what is not read.
  std::int64_t feature_bytes() const { return features_.bytes; }
  std::int64_t label_bytes() const { return labels_.bytes; }
  bool cuts_features() const { return features_.box.has_value(); }
  bool cuts_labels() const { return labels_.box.has_value(); }

  /// Memory for `rows` rows.
  RowBlock allocate(std::int64_t rows) const;
  /// The same for start(), with room for the rows that are read through.
  RowBlock allocate_to_read(std::int64_t rows) const { return allocate(rows + std::min(span_rows_, data_.size())); }
  /// From now on step() reads the rows of `runs` (ascending) into the front of `block`, made by allocate_to_read. Both
  /// must stay.
  void start(std::span<const RowRun> runs, RowBlock& block);
  /// Reads some MiB. True when all rows are there.
  bool step();
  /// Closes all files.
  void close() { open_.clear(); }
  /// Bytes of features and labels asked of files so far. Any thread.
  std::int64_t bytes_read() const { return bytes_read_; }

 private:
  /// Rows that shall stay, of a span that is read in one go.
  struct Part {
    std::int64_t offset, count;  // in the span
    std::int64_t shard_row;
  };
  struct OpenShard {
    std::size_t shard;
    std::int64_t last_use;
    ShardReader reader;
  };

  /// Features or labels: what of a row is read.
  struct Field {
    bool wanted = false;
    std::optional<Box> box;
    Shape shape;              // what the box is cut out of; as stored where there is none
    std::int64_t bytes = 0;   // of one row in memory
    std::int64_t place_in_row(std::int64_t i) const;  // of number i of what is read
  };
  Field field(bool wanted, const std::optional<Box>& box, const Shape& seen, std::int64_t row_bytes, ElementType type, const char* what) const;

  void next_span();
  void read_span(std::int64_t shard_row, std::int64_t count);
  void read_classes(ShardReader& reader, std::int64_t shard_row, std::int64_t count);
  void compact(std::byte* rows, std::int64_t row_bytes) const;
  void check(std::byte* rows, const ValueCheck& check, const Field& field, const std::string& data_set, bool gaps) const;
  void refuse(const std::string& fault) const;
  ShardReader& reader();
  /// Closes the file of shard_, if it is open.
  void forget_reader();

  const DataSet& data_;
  Field features_, labels_;
  int retries_;
  bool verify_;
  std::function<void(const std::string&)> report_;
  ValueCheck feature_check_, label_check_;
  std::int64_t span_rows_, gap_rows_;  // most rows of one read; most unwanted rows that are read through

  std::span<const RowRun> runs_;
  RowBlock* block_ = nullptr;
  std::size_t run_ = 0;      // the run under way
  std::int64_t done_ = 0;    // rows of it that were read
  std::int64_t filled_ = 0;  // rows in the block
  std::size_t shard_ = 0;    // of the span under way

  std::vector<Part> parts_;
  std::vector<std::byte> raw_labels_;
  std::vector<OpenShard> open_;
  std::int64_t uses_ = 0;
  std::atomic<std::int64_t> bytes_read_{0};
};

}  // namespace trireme
