#include "network/memory_plan.hpp"

#include <algorithm>
#include <numeric>

namespace trireme {

std::size_t MemoryPlan::add(std::int64_t bytes, int first, int last) {
  blocks_.push_back({(bytes + alignment - 1) / alignment * alignment, first, last});
  return blocks_.size() - 1;
}

void MemoryPlan::extend(std::size_t block, int time) {
  blocks_[block].first = std::min(blocks_[block].first, time);
  blocks_[block].last = std::max(blocks_[block].last, time);
}

void MemoryPlan::solve() {
  std::vector<std::size_t> order(blocks_.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) { return blocks_[a].bytes > blocks_[b].bytes; });
  std::vector<std::size_t> placed;  // by offset
  total_ = 0;
  for (const std::size_t i : order) {
    Block& block = blocks_[i];
    block.offset = 0;
    for (const std::size_t j : placed) {
      const Block& other = blocks_[j];
      if (other.last < block.first || block.last < other.first) continue;
      if (other.offset >= block.offset + block.bytes) break;
      block.offset = std::max(block.offset, other.offset + other.bytes);
    }
    placed.insert(std::ranges::upper_bound(placed, block.offset, {}, [&](std::size_t j) { return blocks_[j].offset; }), i);
    total_ = std::max(total_, block.offset + block.bytes);
  }
}

std::int64_t MemoryPlan::lower_bound() const {
  std::int64_t most = 0;
  for (const Block& at : blocks_) {
    std::int64_t alive = 0;
    for (const Block& block : blocks_)
      if (block.first <= at.first && at.first <= block.last) alive += block.bytes;
    most = std::max(most, alive);
  }
  return most;
}

}  // namespace trireme
