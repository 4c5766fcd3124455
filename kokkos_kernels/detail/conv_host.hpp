// What the host's convolution passes are made of: ConvPlan's lists, the backward-weights pass, Winograd's passes.
#pragma once

#include <optional>
#include <vector>

#include "kokkos_kernels/detail/conv_layout.hpp"
#include "kokkos_kernels/detail/winograd.hpp"

namespace trireme {

namespace detail {

/// The rows of dz.
template <class T>
RowSource<T> gradient_rows(const ConvGeometry& g, const Epilogue& tail, const ConvGradient<T>& gradient) {
  RowSource<T> rows{.side = {g.out, g.out_channels}, .values = gradient.dy.data()};
  if (!tail.pools()) return rows;
  rows.index = gradient.index.data();
  if (tail.slope != 1) rows.result = gradient.y.data();
  rows.slope = static_cast<T>(tail.slope);
  rows.window = tail.window;
  rows.pooled = tail.extent(g);
  return rows;
}

/// dw += ..., db += ...: partial gradients of chunks of the batch, whose number depends on shapes alone, then their sum in a fixed order.
template <class T>
class WeightsPass {
 public:
  WeightsPass() = default;
  WeightsPass(const ConvGeometry& geometry, const Epilogue& tail);
  std::int64_t workspace(std::int64_t threads) const;
  /// `db` may be null.
  void run(const Execution& exec, std::int64_t n, const T* x, const RowSource<T>& dz, T* dw, T* db, T* workspace) const;

 private:
  struct Chunks {
    std::int64_t blocks_per_plane, items, chunks;
  };
  struct Item {  // rows [row, row + rows) of plane `depth` of sample `sample`
    std::int64_t sample, depth, row, rows;
  };
  struct Scratch {  // a thread's
    T *window, *made, *dz;
  };
  Chunks chunks_of(std::int64_t n) const;
  std::int64_t dz_elements() const;
  std::int64_t made_elements() const;
  Item item(const Chunks& c, std::int64_t number) const;
  void lanes_item(const Item& item, std::int64_t group, std::int64_t block, const RowSource<T>& x, const RowSource<T>& dz, const Scratch& scratch,
                  bool with_bias, T* out) const;
  void planar_item(const Item& item, const RowSource<T>& x, const RowSource<T>& dz, const Scratch& scratch, bool with_bias, T* out) const;

  ConvGeometry g_;
  HostPhase h_;
  std::int64_t lines_ = 0;             // (tap, channel) pairs of a group
  std::int64_t buffer_ = 0;            // elements of one partial gradient
  std::array<std::int64_t, 2> reach_;  // planes and rows of dz that can differ from 0
};

}  // namespace detail

template <class T>
struct ConvPlan<T>::Host {
  detail::HostPhase forward;
  std::vector<detail::HostPhase> backward;  // at most the product of the strides
  detail::WeightsPass<T> weights;
  std::optional<detail::Winograd<T>> winograd;  // instead, where it pays
  bool winograd_forward = false;                // and can end with the tail
};

}  // namespace trireme
