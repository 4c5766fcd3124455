// Convolutions with kernels of 3x3 or 3x3x3 through Winograd's minimal filtering F(2, 3) (Winograd 1980; Lavin and Gray 2016): two neighboring
// results of three taps cost four products instead of six, in each dimension, so that a tile of 2x2 costs 16 instead of 36 and one of
// 2x2x2 64 instead of 216. In each dimension
//
//   y = A' [(G w) * (B' x)],   dx = the same on dy with the kernel reversed,   dw = G' [(A dy) * (B' x)]
//
// B' = | 1  0 -1  0 |   G = |  1    0    0  |   A' = | 1  1  1  0 |
//      | 0  1  1  0 |       | 1/2  1/2  1/2 |        | 0  1 -1 -1 |
//      | 0 -1  1  0 |       | 1/2 -1/2  1/2 |
//      | 0  1  0 -1 |       |  0    0    1  |
//
// The products of one position of the tile over all tiles and channels are a matrix product, for which the register tiles of the direct kernels serve.
#pragma once

#include <vector>

#include "kokkos_kernels/detail/conv_layout.hpp"

namespace trireme::detail {

template <class T>
class Winograd {
 public:
  /// Whether it can do this convolution, and with fewer operations by a margin that pays for the transforms.
  static bool pays(const ConvGeometry& geometry);
  /// Whether forward can end with this tail: none or a slope, or windows that are its tiles.
  static bool fits(const ConvGeometry& geometry, const Epilogue& tail);

  explicit Winograd(const ConvGeometry& geometry);
  std::int64_t workspace(std::int64_t threads) const;

  // As those of ConvPlan.
  void forward(const Execution& exec, std::int64_t n, const T* x, const T* w, const T* bias, const Epilogue& tail, T* y, std::uint8_t* index,
               T* workspace) const;
  void backward_data(const Execution& exec, std::int64_t n, const RowSource<T>& dz, const T* w, T* dx, T* workspace) const;
  /// The order of summation depends on n and the geometry only. `db` may be null.
  void backward_weights(const Execution& exec, std::int64_t n, const T* x, const RowSource<T>& dz, T* dw, T* db, T* workspace) const;

 private:
  /// Tiles of results over an extent, and how many rows of them (in the last dimension) are taken together.
  struct Tiles {
    std::array<std::int64_t, 3> count;
    std::int64_t rows;
    std::int64_t rows_of_sample() const { return count[0] * count[1]; }
    std::int64_t most() const { return rows * count[2]; }
  };
  struct Tail {
    Epilogue tail;
    const T* bias;
    std::uint8_t* index;
  };

  Tiles tiles(const std::array<std::int64_t, 3>& extent, std::int64_t channels) const;
  std::int64_t positions() const { return depth_ * 16; }
  std::int64_t packed_elements() const;
  /// G w, for each block of destination channels, position and source channel the block's lanes.
  void pack(const Execution& exec, bool transposed, const T* w, T* packed) const;
  void run(const Execution& exec, std::int64_t n, const RowSource<T>& source, const Side& destination, const std::array<std::int64_t, 3>& padding,
           const T* packed, const Tail& tail, T* y, T* scratch) const;
  std::int64_t run_scratch(const Side& source, const Side& destination) const;
  std::int64_t weights_scratch() const;
  std::int64_t chunks(std::int64_t n) const;
  void unpack(const Execution& exec, std::int64_t chunks, const T* partial, T* dw, T* db) const;

  ConvGeometry g_;
  std::int64_t depth_;  // positions of a tile in the first dimension: 4, or 1 of plane convolutions
};

}  // namespace trireme::detail
