// Convolution (cross-correlation, as PyTorch's conv1d/2d/3d) in one to three dimensions, with stride, zero padding, dilation and
// groups; bias added. Geometry is always three-dimensional: missing leading dimensions have extent 1.
//
//   z[n, o, g*ocg + m] = bias[g*ocg + m] + sum over taps k and c of w[g*ocg + m, c, k] * x[n, o*stride - padding + k*dilation, g*icg + c]
//
// x: (N, ID, IH, IW, IC); z: (N, OD, OH, OW, OC); w: (OC, IC/G, KD, KH, KW) as in PyTorch. All kernels take the number of samples n, so that a
// smaller batch uses the same plan.
//
// On the host all three passes iterate over lists of taps and keep a tile of results in registers (detail/conv_tiles.hpp): pixels times two registers
// of channels; or, if there are too few channels to fill a register, channels times registers of pixels (detail/conv_planar.hpp). Backward-data is
// the forward kernel on dy, with one list of taps for each phase of the stride. Backward-weights holds a tile of (tap, channel) times output channels
// and iterates over the pixels. The epilogue, that is, the operations that follow a convolution directly, is applied to rows that are still in cache,
// so that z is not written to memory and read again.
#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include "kokkos_kernels/epilogue.hpp"
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

inline std::array<std::int64_t, 3> Epilogue::extent(const ConvGeometry& g) const { return {g.out[0] / window[0], g.out[1] / window[1], g.out[2] / window[2]}; }

/// The gradient of y, and, where the tail pools, what forward left to lead it back to z: the places that won, and y itself, which tells the
/// side of the slope. Without pooling the gradient is that of z: the slope is the caller's.
template <class T>
struct ConvGradient {
  Span<const T> dy, y;
  Span<const std::uint8_t> index;
};

/// What is computed once for a layer: tap lists and sizes of the workspace.
template <class T>
class ConvPlan {
 public:
  /// Whether tails that pool are there; devices have none.
  static constexpr bool has_pooling = on_host;

  explicit ConvPlan(const ConvGeometry& geometry, const Epilogue& tail = {}, ComputeType operands = ComputeType::full);
  const ConvGeometry& geometry() const { return geometry_; }
  const Epilogue& tail() const { return tail_; }
  ComputeType operands() const { return operands_; }
  /// Elements of scratch that the passes below need for at most n samples (packed weights, per-thread windows, partial weight gradients; rounded
  /// operands; a device's lowered matrix).
  std::int64_t workspace(std::int64_t n) const;

  /// y = act(max_pool(conv(x, w) + bias)); bias may be empty. `index` receives the place that won, one byte for each element of y; it may
  /// be empty where no backward pass follows or nothing is pooled.
  void forward(const Execution& exec, std::int64_t n, Span<const T> x, Span<const T> w, Span<const T> bias, Span<T> y, Span<std::uint8_t> index,
               Span<T> workspace) const;
  /// dx = (transposed convolution of dz with w)
  void backward_data(const Execution& exec, std::int64_t n, const ConvGradient<T>& gradient, Span<const T> w, Span<T> dx, Span<T> workspace) const;
  /// dw += ..., dbias += sum over samples and pixels of dz (when not empty; on the host of dz as products take it). The order of summation depends on n and the
  /// geometry only.
  void backward_weights(const Execution& exec, std::int64_t n, Span<const T> x, const ConvGradient<T>& gradient, Span<T> dw, Span<T> dbias,
                        Span<T> workspace) const;

 private:
  struct Host;  // the host's lists, made once

  ConvGeometry geometry_;
  Epilogue tail_;
  ComputeType operands_ = ComputeType::full;
  std::int64_t workspace_ = 0;  // of the host's passes on operands as they are
  std::shared_ptr<const Host> host_;
};

}  // namespace trireme
