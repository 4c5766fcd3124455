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

std::int64_t MemoryPlan::place(std::vector<std::size_t> chosen, std::int64_t bottom) {
  std::ranges::stable_sort(chosen, [&](std::size_t a, std::size_t b) { return blocks_[a].bytes > blocks_[b].bytes; });
  std::vector<std::size_t> placed;  // by offset
  std::int64_t top = bottom;
  for (const std::size_t i : chosen) {
    Block& block = blocks_[i];
    block.offset = bottom;
    for (const std::size_t j : placed) {
      const Block& other = blocks_[j];
      if (other.last < block.first || block.last < other.first) continue;
      if (other.offset >= block.offset + block.bytes) break;
      block.offset = std::max(block.offset, other.offset + other.bytes);
    }
    placed.insert(std::ranges::upper_bound(placed, block.offset, {}, [&](std::size_t j) { return blocks_[j].offset; }), i);
    top = std::max(top, block.offset + block.bytes);
  }
  return top;
}

void MemoryPlan::solve() {
  std::vector<std::size_t> all(blocks_.size());
  std::iota(all.begin(), all.end(), std::size_t{0});
  total_ = apart_ = place(std::move(all), 0);
}

void MemoryPlan::solve_apart(int time) {
  std::vector<std::size_t> alive, others;
  for (std::size_t i = 0; i < blocks_.size(); ++i) (blocks_[i].first <= time && time <= blocks_[i].last ? alive : others).push_back(i);
  apart_ = place(std::move(alive), 0);
  total_ = place(std::move(others), apart_);
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
