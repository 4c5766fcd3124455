// A thread draws four numbers (Philox, Salmon et al. 2011) for four neighboring elements of the whole sample, counted channels last. A region holds runs of
// these elements, which may begin and end within a four; the thread then uses some of its numbers.
#include "kokkos_kernels/dropout.hpp"

#include "base/random.hpp"

namespace trireme {

namespace {

/// Numbers are drawn by four for the elements of a sample; a run of elements may begin and end within a four.
template <class T>
void drop_region(const Execution& exec, std::int64_t n, std::int64_t elements, double p, std::uint64_t key, std::int64_t first_sample, Span<const T> x,
                 Span<T> y, const RegionMap& region) {
  const std::int64_t run = region.run, runs = elements / run, quads = (run + 6) / 4;
  const T factor = p < 1 ? static_cast<T>(1 / (1 - p)) : T{};
  const float limit = static_cast<float>(p);
  Kokkos::parallel_for(
      "trireme::dropout::apply_region", Range(exec, 0, n * runs * quads), KOKKOS_LAMBDA(std::int64_t i) {
        const std::int64_t sample = i / (runs * quads), local = i / quads % runs * run, global = region.global_element(local);
        const std::int64_t quad = global / 4 + i % quads, last = global + run < 4 * quad + 4 ? global + run : 4 * quad + 4;
        if (4 * quad >= last) return;
        const Random4 r = philox(key, static_cast<std::uint64_t>(first_sample + sample), static_cast<std::uint64_t>(quad));
        for (std::int64_t e = 4 * quad < global ? global : 4 * quad; e < last; ++e) {
          const std::int64_t at = sample * elements + local + e - global;
          y(at) = to_unit(r.v[e - 4 * quad]) >= limit ? x(at) * factor : T{};
        }
      });
}

}  // namespace

template <class T>
void dropout(const Execution& exec, std::int64_t n, std::int64_t elements, double p, std::uint64_t key, std::int64_t first_sample, Span<const T> x, Span<T> y,
             const Region& region) {
  if (elements == 0) return;
  if (!region.whole()) return drop_region<T>(exec, n, elements, p, key, first_sample, x, y, region.map());
  const std::int64_t quads = (elements + 3) / 4;
  const T factor = p < 1 ? static_cast<T>(1 / (1 - p)) : T{};
  const float limit = static_cast<float>(p);
  Kokkos::parallel_for(
      "trireme::dropout::apply", Range(exec, 0, n * quads), KOKKOS_LAMBDA(std::int64_t i) {
        const std::int64_t sample = i / quads, first = i % quads * 4;
        const Random4 r = philox(key, static_cast<std::uint64_t>(first_sample + sample), static_cast<std::uint64_t>(i % quads));
        for (int j = 0; j < 4; ++j)
          if (first + j < elements) {
            const std::int64_t at = sample * elements + first + j;
            y(at) = to_unit(r.v[j]) >= limit ? x(at) * factor : T{};
          }
      });
}

template void dropout(const Execution&, std::int64_t, std::int64_t, double, std::uint64_t, std::int64_t, Span<const float>, Span<float>, const Region&);
template void dropout(const Execution&, std::int64_t, std::int64_t, double, std::uint64_t, std::int64_t, Span<const double>, Span<double>, const Region&);

}  // namespace trireme
