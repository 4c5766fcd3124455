#include "kokkos_kernels/prelu.hpp"

#include <algorithm>

#include "kokkos_kernels/detail/pixels.hpp"

namespace trireme {

namespace {

constexpr std::int64_t fewest_rows = 16, most_blocks = 512;

std::int64_t rows_of_block(std::int64_t rows) { return std::max(fewest_rows, (rows + most_blocks - 1) / most_blocks); }

}  // namespace

template <class T>
void prelu_forward(const Execution& exec, std::int64_t rows, std::int64_t channels, Span<const T> slope, Span<const T> x, Span<T> y) {
  const std::int64_t step = slope.size() == 1 ? 0 : 1;
  detail::for_pixel_channels(
      exec, "trireme::prelu::forward", rows, channels, KOKKOS_LAMBDA(std::int64_t row, std::int64_t first, std::int64_t count) {
        for (std::int64_t c = first; c < first + count; ++c) {
          const T value = x(row * channels + c);
          y(row * channels + c) = value > T{} ? value : slope(c * step) * value;
        }
      });
}

std::int64_t prelu_workspace(std::int64_t rows, std::int64_t channels) {
  return std::clamp<std::int64_t>((rows + fewest_rows - 1) / fewest_rows, 1, most_blocks) * channels;
}

template <class T>
void prelu_backward(const Execution& exec, std::int64_t rows, std::int64_t channels, Span<const T> slope, Span<const T> x, Span<const T> dy,
                    Span<double> workspace, Span<T> dx, Span<T> dslope) {
  if (rows == 0) return;
  const std::int64_t step = slope.size() == 1 ? 0 : 1;
  if (dx.data() != nullptr)
    detail::for_pixel_channels(
        exec, "trireme::prelu::backward", rows, channels, KOKKOS_LAMBDA(std::int64_t row, std::int64_t first, std::int64_t count) {
          for (std::int64_t c = first; c < first + count; ++c) {
            const std::int64_t i = row * channels + c;
            dx(i) = x(i) > T{} ? dy(i) : slope(c * step) * dy(i);
          }
        });
  const std::int64_t height = rows_of_block(rows), blocks = (rows + height - 1) / height;
  detail::for_pixel_channels(
      exec, "trireme::prelu::block_sums", blocks, channels, KOKKOS_LAMBDA(std::int64_t block, std::int64_t first, std::int64_t count) {
        const std::int64_t last = (block + 1) * height < rows ? (block + 1) * height : rows;
        double* const sums = workspace.data() + block * channels;
        for (std::int64_t c = first; c < first + count; ++c) sums[c] = 0;
        for (std::int64_t row = block * height; row < last; ++row)
          for (std::int64_t c = first; c < first + count; ++c) {
            const T value = x(row * channels + c);
            sums[c] += value > T{} ? 0.0 : static_cast<double>(value) * static_cast<double>(dy(row * channels + c));
          }
      });
  const bool one = step == 0;
  Kokkos::parallel_for(
      "trireme::prelu::channel_sums", Range(exec, 0, channels), KOKKOS_LAMBDA(std::int64_t c) {
        double total = 0;
        for (std::int64_t block = 0; block < blocks; ++block) total += workspace(block * channels + c);
        if (one)
          workspace(c) = total;
        else
          dslope(c) += static_cast<T>(total);
      });
  if (one)
    Kokkos::parallel_for(
        "trireme::prelu::sum", Range(exec, 0, 1), KOKKOS_LAMBDA(std::int64_t) {
          double total = 0;
          for (std::int64_t c = 0; c < channels; ++c) total += workspace(c);
          dslope(0) += static_cast<T>(total);
        });
}

#define TRIREME_INSTANTIATE(T)                                                                                      \
  template void prelu_forward(const Execution&, std::int64_t, std::int64_t, Span<const T>, Span<const T>, Span<T>); \
  template void prelu_backward(const Execution&, std::int64_t, std::int64_t, Span<const T>, Span<const T>, Span<const T>, Span<double>, Span<T>, Span<T>);
TRIREME_INSTANTIATE(float)
TRIREME_INSTANTIATE(double)
#undef TRIREME_INSTANTIATE

}  // namespace trireme
