// Convolution (cross-correlation, as PyTorch's conv1d/2d/3d) in one to three dimensions, with stride, zero padding, dilation and
// groups; bias added. Geometry is always three-dimensional: missing leading dimensions have extent 1.
//
//   y[n, o, g*ocg + m] = bias[g*ocg + m] + sum over taps k and c of w[g*ocg + m, c, k] * x[n, o*stride - padding + k*dilation, g*icg + c]
//
// x: (N, ID, IH, IW, IC); y: (N, OD, OH, OW, OC); w: (OC, IC/G, KD, KH, KW) as PyTorch; all kernels take the number of samples n, so that a
// smaller batch runs on the same plan.
//
// On the host all three passes are the same direct kernel over a list of taps: a tile of output pixels times two registers of
// output channels stays in registers while the taps are walked, kernel rows that lie outside the source are skipped, and columns that do
// are read from a copy with zeros around. Backward-data is that kernel on dy, one list of taps for each phase of
// the stride; backward-weights holds a tile of (tap, channel) times two registers and walks the pixels.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "kokkos_kernels/types.hpp"

namespace trireme {

struct ConvGeometry {
  std::int64_t in_channels = 1, out_channels = 1, groups = 1;
  std::array<std::int64_t, 3> in{1, 1, 1}, out{1, 1, 1}, kernel{1, 1, 1};
  std::array<std::int64_t, 3> stride{1, 1, 1}, padding{0, 0, 0}, dilation{1, 1, 1};

  KOKKOS_FUNCTION std::int64_t in_pixels() const { return in[0] * in[1] * in[2]; }
  KOKKOS_FUNCTION std::int64_t out_pixels() const { return out[0] * out[1] * out[2]; }
  KOKKOS_FUNCTION std::int64_t taps() const { return kernel[0] * kernel[1] * kernel[2]; }
  KOKKOS_FUNCTION std::int64_t weights() const { return out_channels * (in_channels / groups) * taps(); }
  /// Multiply-adds of one pass over one sample, counting padding as work (an upper bound near the edges).
  KOKKOS_FUNCTION std::int64_t multiply_adds() const { return weights() * out_pixels(); }
};

/// floor((in + 2 padding - dilation (kernel - 1) - 1) / stride) + 1, PyTorch's Conv2d.
std::int64_t conv_extent(std::int64_t in, std::int64_t kernel, std::int64_t stride, std::int64_t padding, std::int64_t dilation);

namespace detail {

/// One phase of a tap kernel: destination pixels first + step*j (j < count, per dimension) read the source at j*pace + tap offset.
/// The taps are the product of three lists; along each the offsets rise.
struct TapPhase {
  std::array<std::int64_t, 3> first, step, count;
  std::array<std::vector<std::int64_t>, 3> offsets;  // source pixel offset of each tap, per dimension
  std::vector<std::int64_t> taps;                    // index of each tap within the kernel, last dimension fastest
  std::array<std::int64_t, 3> low, high;             // smallest and largest offset
};

/// Consecutive taps of one kernel row whose channels lie one after the other in memory: `length` source elements from `offset`, which
/// counts from the first column that the phase reads.
struct TapRun {
  std::int64_t offset, length;
};

/// What the host's kernels know of a phase before they run.
struct HostPhase {
  TapPhase phase;
  std::array<std::int64_t, 3> pace;
  std::int64_t rows = 1;           // destination rows handled together
  std::int64_t window = 0;         // elements of a padded copy of the source rows that they read
  bool copies = false;             // the kernels read a copy of the rows with zeros around, not the source itself
  bool zero_rows = false;          // the copy has zeros for rows outside the source too; else such rows are never read
  std::int64_t row_stride = 0, plane_stride = 0;         // elements between rows and planes as the kernels see them
  std::vector<std::int64_t> plane_offsets, row_offsets;  // elements, per kernel plane and kernel row
  std::vector<TapRun> runs;        // of one kernel row
};

}  // namespace detail

/// What is computed once for a layer: tap lists and sizes of the workspace.
template <class T>
class ConvPlan {
 public:
  explicit ConvPlan(const ConvGeometry& geometry);
  const ConvGeometry& geometry() const { return geometry_; }
  /// Elements of scratch that the passes below need (packed weights, per-thread windows, partial weight gradients).
  std::int64_t workspace() const { return workspace_; }

  /// y = conv(x, w) + bias; bias may be empty. With `relu`, y = max(0, .) in the same pass.
  void forward(const Execution& exec, std::int64_t n, Span<const T> x, Span<const T> w, Span<const T> bias, Span<T> y, bool relu,
               Span<T> workspace) const;
  /// dx = (transposed convolution of dy with w)
  void backward_data(const Execution& exec, std::int64_t n, Span<const T> dy, Span<const T> w, Span<T> dx, Span<T> workspace) const;
  /// dw += ..., dbias += sum over samples and pixels of dy (when not empty). The order of summation depends on n and the geometry only.
  void backward_weights(const Execution& exec, std::int64_t n, Span<const T> x, Span<const T> dy, Span<T> dw, Span<T> dbias,
                        Span<T> workspace) const;

 private:
  ConvGeometry geometry_;
  detail::HostPhase forward_, weights_;
  std::vector<detail::HostPhase> backward_;  // at most the product of the strides
  std::int64_t workspace_ = 0;
};

}  // namespace trireme
