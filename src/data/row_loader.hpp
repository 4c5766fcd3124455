// Reads rows of a data set into memory: in long reads, but in steps that are short enough to share the I/O thread. Checks class labels against their
// range, and numbers by value_check.hpp. Makes HDF5 calls: use it on the I/O thread only.
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

/// Page-aligned memory. On some processors, copies out of the kernel's file cache are up to four times slower if source and target differ by a few
/// bytes in their offset within a page, as with the 16 bytes that malloc keeps in front of a large block.
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

/// The part of each row that is read.
struct RowPart {
  bool features = true, labels = true;
  std::optional<Box> feature_box, label_box;     // all channels; empty: all pixels
  Shape sample, label;                           // (channels, extents...) of the whole, in which the boxes lie
  int retries = usual_retries;                   // after a read error that may be temporary; the file is opened again
  bool verify = true;                            // compare chunks with their checksums, if they have any
  ValueRule feature_rule = {}, label_rule = {};  // label_rule: for values
  /// Receives faults instead of throwing them: for each read, the first bad class label or number of each row.
  std::function<void(const std::string&)> report = {};
};

/// Rows in memory, contiguous, in the form that the data set's labels() require; of each row the part in RowPart.
struct RowBlock {
  bool allocated = false;
  PageArray<std::byte> features;
  PageArray<std::int32_t> classes;  // LabelDemand::classes
  PageArray<std::byte> values;      // LabelDemand::values
};

class RowLoader {
 public:
  /// Maximum number of open files: a data set may have more shards than a process may open files.
  static constexpr std::size_t most_open_files = 64;

  /// Boxes that cover a whole row count as none. Internal errors if a box exceeds its shape, or if the shape is not that of the rows.
  explicit RowLoader(const DataSet& data, const RowPart& part = {});

  /// Bytes of one row in memory; 0 if it is not read.
  std::int64_t feature_bytes() const { return features_.bytes; }
  std::int64_t label_bytes() const { return labels_.bytes; }
  bool cuts_features() const { return features_.box.has_value(); }
  bool cuts_labels() const { return labels_.box.has_value(); }

  /// Allocates memory for `rows` rows.
  RowBlock allocate(std::int64_t rows) const;
  /// The same for start(), with additional room for unwanted rows that are read through.
  RowBlock allocate_to_read(std::int64_t rows) const { return allocate(rows + std::min(span_rows_, data_.size())); }
  /// Prepares step() to read the rows of `runs` (ascending) into the front of `block`, which allocate_to_read() returned. Both must stay valid.
  void start(std::span<const RowRun> runs, RowBlock& block);
  /// Reads some MiB. Returns true when all rows are in memory.
  bool step();
  /// Closes all files.
  void close() { open_.clear(); }
  /// Bytes of features and labels requested from files so far. Any thread.
  std::int64_t bytes_read() const { return bytes_read_; }

 private:
  /// Wanted rows within a span, which is read at once.
  struct Part {
    std::int64_t offset, count;  // within the span
    std::int64_t shard_row;
  };
  struct OpenShard {
    std::size_t shard;
    std::int64_t last_use;
    ShardReader reader;
  };

  /// Features or labels: the part of a row that is read.
  struct Field {
    bool wanted = false;
    std::optional<Box> box;
    Shape shape;                                      // of the whole, in which the box lies; the stored shape if there is no box
    std::int64_t bytes = 0;                           // of one row in memory
    std::int64_t place_in_row(std::int64_t i) const;  // of number i of the part that is read
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
  std::int64_t span_rows_, gap_rows_;  // maximum rows of one read; maximum unwanted rows that are read through

  std::span<const RowRun> runs_;
  RowBlock* block_ = nullptr;
  std::size_t run_ = 0;      // the current run
  std::int64_t done_ = 0;    // rows of it already read
  std::int64_t filled_ = 0;  // rows in the block
  std::size_t shard_ = 0;    // of the current span

  std::vector<Part> parts_;
  std::vector<std::byte> raw_labels_;
  std::vector<OpenShard> open_;
  std::int64_t uses_ = 0;
  std::atomic<std::int64_t> bytes_read_{0};
};

}  // namespace trireme
