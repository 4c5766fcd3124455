// Which elements of the parallel arenas (parameters, gradients) a rank of the data axis owns. Where optimiser state is sharded (Rajbhandari et al. 2020,
// stage 1) each rank owns a part of every bucket: it receives that part's summed gradient, keeps state for it alone, updates it, and gives the new
// values to the others. State lies compact, one owned range behind the other.
#pragma once

#include <cstdint>
#include <vector>

namespace trireme {

class Shards {
 public:
  struct Range {
    std::int64_t first, last;  // of the arenas, elements
    std::int64_t at;           // where its state begins in a compact arena
  };

  /// This rank owns all of an arena of `size` elements: compact and whole arenas are the same.
  explicit Shards(std::int64_t size);
  /// `bounds`: where buckets begin and the last one ends, ascending. Rank r of n owns of each bucket of m elements [m r / n, m (r + 1) / n), both
  /// brought down to a multiple of `alignment`, so that parts differ by less than two alignments and begin at cache lines.
  Shards(const std::vector<std::int64_t>& bounds, int ranks, int rank);

  bool whole() const { return whole_; }
  /// Ascending, none empty.
  const std::vector<Range>& owned() const { return owned_; }
  /// Elements owned: the size of compact arenas.
  std::int64_t size() const { return size_; }
  /// Of the arenas they are a part of.
  std::int64_t arena_size() const { return arena_size_; }

  static constexpr std::int64_t alignment = 16;  // elements
  /// Where rank r's part of m elements begins.
  static std::int64_t begin(std::int64_t m, int ranks, int r) { return r == ranks ? m : m * r / ranks / alignment * alignment; }

 private:
  bool whole_;
  std::vector<Range> owned_;
  std::int64_t size_ = 0, arena_size_;
};

}  // namespace trireme
