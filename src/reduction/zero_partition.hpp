// ZeRO partition, stage 1 (Rajbhandari et al. 2020): the elements of the parallel arenas (parameters, gradients) that a rank of the data axis owns.
// With a partition each rank owns a part of every bucket: it receives the reduced gradient of that part, keeps optimizer state only for it, updates
// it, and sends the new values to the other ranks. State is stored compactly, one owned range after the other.
#pragma once

#include <cstdint>
#include <vector>

namespace trireme {

class ZeroPartition {
 public:
  struct Range {
    std::int64_t first, last;  // in the arenas, elements
    std::int64_t at;           // start of its state in a compact arena
  };

  /// This rank owns the whole arena of `size` elements: compact and whole arenas are the same.
  explicit ZeroPartition(std::int64_t size);
  /// `bounds`: starts of the buckets and the end of the last one, ascending. Of each bucket of m elements, rank r of n owns [m r / n, m (r + 1) / n),
  /// both rounded down to a multiple of `alignment`, so that parts differ by less than two alignments and start at cache lines.
  ZeroPartition(const std::vector<std::int64_t>& bounds, int ranks, int rank);

  bool whole() const { return whole_; }
  /// Ascending, without empty ranges.
  const std::vector<Range>& owned() const { return owned_; }
  /// Number of owned elements: the size of compact arenas.
  std::int64_t size() const { return size_; }
  /// Size of the whole arena.
  std::int64_t arena_size() const { return arena_size_; }

  static constexpr std::int64_t alignment = 16;  // elements
  /// Start of rank r's part of m elements.
  static std::int64_t begin(std::int64_t m, int ranks, int r) { return r == ranks ? m : m * r / ranks / alignment * alignment; }

 private:
  bool whole_;
  std::vector<Range> owned_;
  std::int64_t size_ = 0, arena_size_;
};

}  // namespace trireme
