#include "optim/lane_sums.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "kokkos_kernels/elementwise.hpp"

namespace trireme {

LaneSchedule::LaneSchedule(const LaneTree& tree, const LaneRange& lanes) {
  for (std::int64_t lane = lanes.first; lane < lanes.last; ++lane) {
    LaneRange node{lane, lane + 1};
    std::int32_t merges = 0;
    for (; !nodes_.empty() && tree.halves(nodes_.back(), node); ++merges) {
      node.first = nodes_.back().first;
      nodes_.pop_back();
    }
    closes_.push_back({static_cast<std::int32_t>(nodes_.size()), merges});
    nodes_.push_back(node);
    if (lane + 1 < lanes.last) slots_ = std::max(slots_, static_cast<std::int32_t>(nodes_.size()));
  }
}

template <class T>
LaneSums<T>::LaneSums(const LaneTree& tree, const LaneRange& lanes, Span<T> arena) : schedule_(tree, lanes), arena_(arena) {
  for (std::int32_t s = 0; s < schedule_.slots(); ++s) slots_.emplace_back("trireme::lanes::node", arena.size());
}

template <class T>
void LaneSums<T>::take(const Execution& exec) {
  if (lane_ + 1 >= schedule_.closes().size()) throw internal_error("lanes: lane {} of {} is the last one", lane_, schedule_.closes().size());
  const auto [slot, merges] = schedule_.closes()[lane_++];
  const auto n = static_cast<std::int64_t>(arena_.size());
  const auto at = [&](std::int32_t s) { return slice<T>(slots_[static_cast<std::size_t>(s)], 0, n); };
  take_lane<T>(exec, n, merges > 0, arena_, at(std::max(slot + merges - 1, slot)));
  for (std::int32_t s = slot + merges - 2; s >= slot; --s) add_to<T>(exec, n, at(s + 1), at(s));
}

template <class T>
void LaneSums<T>::finish(const Execution& exec, std::int64_t first, std::int64_t last) {
  const auto [slot, merges] = schedule_.closes().back();
  for (std::int32_t s = slot + merges - 1; s >= slot; --s)
    add_to<T>(exec, last - first, slice<T>(slots_[static_cast<std::size_t>(s)], first, last - first), slice<T>(arena_, first, last - first));
}

template class LaneSums<float>;
template class LaneSums<double>;

}  // namespace trireme
