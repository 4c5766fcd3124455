// Where temporary memory lies: every block says from when to when it is alive, and blocks that never live together share bytes.
#pragma once

#include <cstdint>
#include <vector>

namespace trireme {

class MemoryPlan {
 public:
  static constexpr std::int64_t alignment = 64;

  /// A block of `bytes` that is alive at all times in [first, last]. Returns its number.
  std::size_t add(std::int64_t bytes, int first, int last);
  /// Makes block `block` alive at `time` as well.
  void extend(std::size_t block, int time);
  /// Assigns offsets: largest block first, each at the lowest offset free throughout its life.
  void solve();

  std::int64_t offset(std::size_t block) const { return blocks_[block].offset; }
  std::int64_t bytes(std::size_t block) const { return blocks_[block].bytes; }
  /// Bytes of the whole after solve().
  std::int64_t total() const { return total_; }
  /// The most bytes alive at one time: no plan can need less.
  std::int64_t lower_bound() const;

 private:
  struct Block {
    std::int64_t bytes;
    int first, last;
    std::int64_t offset = 0;
  };
  std::vector<Block> blocks_;
  std::int64_t total_ = 0;
};

}  // namespace trireme
