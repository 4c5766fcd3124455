#include "kokkos_kernels/dropout.hpp"

#include "base/random.hpp"

namespace trireme {

template <class T>
void dropout(const Execution& exec, std::int64_t n, std::int64_t elements, double p, std::uint64_t key, std::int64_t first_sample,
             Span<const T> x, Span<T> y) {
  const std::int64_t quads = (elements + 3) / 4;
  const T factor = p < 1 ? static_cast<T>(1 / (1 - p)) : T{};
  const float limit = static_cast<float>(p);
  Kokkos::parallel_for("trireme::dropout::apply", Range(exec, 0, n * quads), KOKKOS_LAMBDA(std::int64_t i) {
    const std::int64_t sample = i / quads, first = i % quads * 4;
    const Random4 r = philox(key, static_cast<std::uint64_t>(first_sample + sample), static_cast<std::uint64_t>(i % quads));
    for (int j = 0; j < 4; ++j)
      if (first + j < elements) {
        const std::int64_t at = sample * elements + first + j;
        y(at) = to_unit(r.v[j]) >= limit ? x(at) * factor : T{};
      }
  });
}

template void dropout(const Execution&, std::int64_t, std::int64_t, double, std::uint64_t, std::int64_t, Span<const float>, Span<float>);
template void dropout(const Execution&, std::int64_t, std::int64_t, double, std::uint64_t, std::int64_t, Span<const double>, Span<double>);

}  // namespace trireme
