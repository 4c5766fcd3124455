#include "reduction/virtual_rank_sums.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "kokkos_kernels/elementwise.hpp"

namespace trireme {

VirtualRankSchedule::VirtualRankSchedule(const ReductionTree& tree, const VirtualRankRange& virtual_ranks) {
  for (std::int64_t virtual_rank = virtual_ranks.first; virtual_rank < virtual_ranks.last; ++virtual_rank) {
    VirtualRankRange node{virtual_rank, virtual_rank + 1};
    std::int32_t merges = 0;
    for (; !nodes_.empty() && tree.halves(nodes_.back(), node); ++merges) {
      node.first = nodes_.back().first;
      nodes_.pop_back();
    }
    closes_.push_back({static_cast<std::int32_t>(nodes_.size()), merges});
    nodes_.push_back(node);
    if (virtual_rank + 1 < virtual_ranks.last) slots_ = std::max(slots_, static_cast<std::int32_t>(nodes_.size()));
  }
}

template <class T>
VirtualRankSums<T>::VirtualRankSums(const ReductionTree& tree, const VirtualRankRange& virtual_ranks, Span<T> arena)
    : schedule_(tree, virtual_ranks), arena_(arena) {
  for (std::int32_t s = 0; s < schedule_.slots(); ++s) slots_.emplace_back("trireme::virtual_ranks::node", arena.size());
}

template <class T>
void VirtualRankSums<T>::take(const Execution& exec) {
  if (lane_ + 1 >= schedule_.closes().size()) throw internal_error("VirtualRankSums: virtual rank {} of {} is the last one", lane_, schedule_.closes().size());
  const auto [slot, merges] = schedule_.closes()[lane_++];
  const auto n = static_cast<std::int64_t>(arena_.size());
  const auto at = [&](std::int32_t s) { return slice<T>(slots_[static_cast<std::size_t>(s)], 0, n); };
  take_virtual_rank<T>(exec, n, merges > 0, arena_, at(std::max(slot + merges - 1, slot)));
  for (std::int32_t s = slot + merges - 2; s >= slot; --s) add_to<T>(exec, n, at(s + 1), at(s));
}

template <class T>
void VirtualRankSums<T>::finish(const Execution& exec, std::int64_t first, std::int64_t last) {
  const auto [slot, merges] = schedule_.closes().back();
  for (std::int32_t s = slot + merges - 1; s >= slot; --s)
    add_to<T>(exec, last - first, slice<T>(slots_[static_cast<std::size_t>(s)], first, last - first), slice<T>(arena_, first, last - first));
}

template class VirtualRankSums<float>;
template class VirtualRankSums<double>;

}  // namespace trireme
