// Plan of temporary memory: each block has a lifetime, and blocks with disjoint lifetimes share memory.
#pragma once

#include <cstdint>
#include <vector>

namespace trireme {

class MemoryPlan {
 public:
  static constexpr std::int64_t alignment = 64;

  /// Adds a block of `bytes` with lifetime [first, last] and returns its number.
  std::size_t add(std::int64_t bytes, int first, int last);
  /// Extends the lifetime of `block` to `time`.
  void extend(std::size_t block, int time);
  /// Assigns offsets: largest block first, each at the lowest offset that is free during its lifetime.
  void solve();
  /// The same, with all blocks that are alive at `time` below all others; apart() is their end.
  void solve_apart(int time);

  std::int64_t offset(std::size_t block) const { return blocks_[block].offset; }
  std::int64_t bytes(std::size_t block) const { return blocks_[block].bytes; }
  /// Total bytes, after solve().
  std::int64_t total() const { return total_; }
  /// Bytes below the other blocks, after solve_apart(); otherwise the total.
  std::int64_t apart() const { return apart_; }
  /// Maximum of bytes alive at one time: a lower bound of total().
  std::int64_t lower_bound() const;

 private:
  struct Block {
    std::int64_t bytes;
    int first, last;
    std::int64_t offset = 0;
  };
  /// Places these blocks at or above `bottom`; returns the end of the highest.
  std::int64_t place(std::vector<std::size_t> chosen, std::int64_t bottom);

  std::vector<Block> blocks_;
  std::int64_t total_ = 0, apart_ = 0;
};

}  // namespace trireme
