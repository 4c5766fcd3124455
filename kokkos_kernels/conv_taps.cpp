// Output extents, and the lists of taps: for each residue of the destination's place modulo the stride, the kernel's places that reach the source.
#include "kokkos_kernels/detail/conv_taps.hpp"

#include <algorithm>
#include <iterator>

namespace trireme {

std::int64_t conv_extent(std::int64_t in, std::int64_t kernel, std::int64_t stride, std::int64_t padding, std::int64_t dilation) {
  const std::int64_t span = in + 2 * padding - dilation * (kernel - 1) - 1;
  return span < 0 ? 0 : span / stride + 1;
}

namespace detail {

namespace {

struct Tap {
  std::int64_t index, offset;
};

// Joins the tap lists of three dimensions into one, in the order of the kernel's memory.
TapPhase join(const ConvGeometry& g, const std::array<std::vector<Tap>, 3>& lists) {
  TapPhase phase{};
  for (const Tap& d : lists[0])
    for (const Tap& h : lists[1])
      for (const Tap& w : lists[2]) phase.taps.push_back((d.index * g.kernel[1] + h.index) * g.kernel[2] + w.index);
  for (std::size_t a = 0; a < 3; ++a) {
    for (const Tap& tap : lists[a]) phase.offsets[a].push_back(tap.offset);
    if (lists[a].empty()) continue;
    const auto [low, high] = std::ranges::minmax(phase.offsets[a]);
    phase.low[a] = low, phase.high[a] = high;
  }
  return phase;
}

}  // namespace

TapPhase forward_taps(const ConvGeometry& g) {
  std::array<std::vector<Tap>, 3> lists;
  for (std::size_t a = 0; a < 3; ++a)
    for (std::int64_t k = 0; k < g.kernel[a]; ++k) lists[a].push_back({k, k * g.dilation[a] - g.padding[a]});
  TapPhase phase = join(g, lists);
  phase.first = {0, 0, 0};
  phase.step = {1, 1, 1};
  phase.count = g.out;
  return phase;
}

std::vector<TapPhase> backward_taps(const ConvGeometry& g) {
  // Along each dimension: the taps of each residue that some place of the input has.
  std::array<std::vector<std::vector<Tap>>, 3> of_residue;
  for (std::size_t a = 0; a < 3; ++a) {
    of_residue[a].resize(static_cast<std::size_t>(std::min(g.stride[a], g.in[a])));
    for (std::int64_t k = g.kernel[a] - 1; k >= 0; --k) {  // so that offsets rise
      const std::int64_t first = k * g.dilation[a] - g.padding[a];
      const std::int64_t residue = (first % g.stride[a] + g.stride[a]) % g.stride[a];
      if (residue < std::ssize(of_residue[a])) of_residue[a][static_cast<std::size_t>(residue)].push_back({k, (residue - first) / g.stride[a]});
    }
  }
  std::vector<TapPhase> phases;
  std::array<std::int64_t, 3> r{};
  for (r[0] = 0; r[0] < std::ssize(of_residue[0]); ++r[0])
    for (r[1] = 0; r[1] < std::ssize(of_residue[1]); ++r[1])
      for (r[2] = 0; r[2] < std::ssize(of_residue[2]); ++r[2]) {
        std::array<std::vector<Tap>, 3> lists;
        std::array<std::int64_t, 3> count{};
        for (std::size_t a = 0; a < 3; ++a) {
          count[a] = (g.in[a] - 1 - r[a]) / g.stride[a] + 1;
          lists[a] = of_residue[a][static_cast<std::size_t>(r[a])];
        }
        TapPhase phase = join(g, lists);
        phase.first = r;
        phase.step = g.stride;
        phase.count = count;
        phases.push_back(std::move(phase));
      }
  return phases;
}

}  // namespace detail
}  // namespace trireme
