// Rows of a data set, read into memory in long runs, in steps short enough to share the I/O thread with others, and
// checked: class labels against their range, floating-point numbers against NaN and infinity. Makes HDF5 calls: I/O
// thread only.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>
#include <vector>

#include "data/data_set.hpp"
#include "data/sampler.hpp"

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

/// Rows in memory, one after the other, as the data set's labels() demand them.
struct RowBlock {
  PageArray<std::byte> features;
  PageArray<std::int32_t> classes;  // LabelDemand::classes
  PageArray<std::byte> values;      // LabelDemand::values
};

class RowLoader {
 public:
  /// Files held open at a time: a data set may have more shards than a process may have files.
  static constexpr std::size_t most_open_files = 64;

  explicit RowLoader(const DataSet& data);

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

  void next_span();
  void read_span(std::int64_t shard_row, std::int64_t count);
  void read_classes(ShardReader& reader, std::int64_t shard_row, std::int64_t count);
  void compact(std::byte* rows, std::int64_t row_bytes) const;
  void check_finite(const std::byte* rows, ElementType type, std::int64_t elements, const std::string& data_set) const;
  ShardReader& reader();

  const DataSet& data_;
  std::int64_t feature_bytes_, label_bytes_;
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
