// The portable matrix product of the host: B is packed into panels of two registers' width, then tiles of C are computed by the kernel
// that convolutions use (a matrix product is a convolution with one tap whose pixels are the rows of A).
#include "kokkos_kernels/detail/conv_tiles.hpp"
#include "kokkos_kernels/detail/gemm_portable.hpp"

namespace trireme::detail {

template <class T>
std::int64_t gemm_portable_workspace(const Gemm<T>& s) {
  const ChannelBlocks<T> panels{s.n};
  return padded(panels.lanes(panels.count()) * s.k) + (s.a == Transpose::yes ? padded(s.m * s.k) : 0) + (s.accumulate ? padded(s.m * s.n) : 0);
}

template <class T>
void gemm_portable(const Execution& exec, const Gemm<T>& s, Span<const T> a, Span<const T> b, Span<T> c, Span<T> workspace) {
  const std::int64_t m = s.m, n = s.n, k = s.k;
  const ChannelBlocks<T> panels{n};
  T* const packed = workspace.data();
  T* scratch = packed + padded(panels.lanes(panels.count()) * k);
  const T* const b_data = b.data();
  const bool b_transposed = s.b == Transpose::yes;
  Kokkos::parallel_for("trireme::gemm::pack_b", Range(exec, 0, panels.count()), [=](std::int64_t panel) {
    const std::int64_t lanes = panels.lanes(panel + 1) - panels.lanes(panel), used = panels.used(panel), first = panels.first(panel);
    T* out = packed + panels.lanes(panel) * k;
    for (std::int64_t i = 0; i < k; ++i, out += lanes)
      for (std::int64_t lane = 0; lane < lanes; ++lane)
        out[lane] = lane >= used ? T{} : b_transposed ? b_data[(first + lane) * k + i] : b_data[i * n + first + lane];
  });
  const T* a_rows = a.data();
  if (s.a == Transpose::yes) {
    T* const rows = scratch;
    scratch += padded(m * k);
    Kokkos::parallel_for("trireme::gemm::pack_a", Range(exec, 0, m), [=, a_data = a.data()](std::int64_t row) {
      for (std::int64_t i = 0; i < k; ++i) rows[row * k + i] = a_data[i * m + row];
    });
    a_rows = rows;
  }
  T* const out = s.accumulate ? scratch : c.data();
  const std::int64_t row_blocks = (m + 47) / 48;
  Kokkos::parallel_for("trireme::gemm::tiles", Range(exec, 0, row_blocks * panels.count()), [=](std::int64_t work) {
    const std::int64_t panel = work % panels.count(), first = work / panels.count() * 48, last = std::min(first + 48, m);
    const int registers = panels.registers(panel);
    const std::int64_t tile = tile_size(last - first, registers == 2 ? tile_limit<2> : tile_limit<1>);
    const TapRun run{0, k};
    const std::int64_t zero = 0;
    const T no_bias[2 * Simd<T>::width] = {};
    const TileJob<T> job{&run, 1, a_rows, &zero, &zero, 0, 0, k, n, panels.used(panel), no_bias, false, T{1}};
    const TapRange one_tap{0, 1, 0, 1};
    for (std::int64_t row = first; row < last; row += tile) {
      const int rows = static_cast<int>(std::min(tile, last - row));
      select_tile<T>(rows, registers)(job, one_tap, row * k, packed + panels.lanes(panel) * k, out + row * n + panels.first(panel));
    }
  });
  if (s.accumulate) Kokkos::parallel_for("trireme::gemm::add", Range(exec, 0, m * n), [=, c_data = c.data()](std::int64_t i) { c_data[i] += out[i]; });
}

template std::int64_t gemm_portable_workspace(const Gemm<float>&);
template std::int64_t gemm_portable_workspace(const Gemm<double>&);
template void gemm_portable(const Execution&, const Gemm<float>&, Span<const float>, Span<const float>, Span<float>, Span<float>);
template void gemm_portable(const Execution&, const Gemm<double>&, Span<const double>, Span<const double>, Span<double>, Span<double>);

}  // namespace trireme::detail
