#include "kokkos_kernels/metrics.hpp"

namespace trireme {

namespace {

// The first of the largest scores; -1 where one is not a number.
template <class T>
KOKKOS_INLINE_FUNCTION std::int64_t winner(const T* row, std::int64_t classes) {
  std::int64_t best = 0;
  for (std::int64_t c = 0; c < classes; ++c) {
    if (row[c] != row[c]) return -1;
    if (row[c] > row[best]) best = c;
  }
  return best;
}

}  // namespace

template <class T>
void count_classes(const Execution& exec, std::int64_t n, std::int64_t classes, Span<const T> y, Span<const std::int32_t> labels, const ClassCounts& counts) {
  const auto totals = counts.totals, confusion = counts.confusion;
  Kokkos::parallel_for("trireme::metrics::count_classes", Range(exec, 0, n), KOKKOS_LAMBDA(std::int64_t s) {
    const T* const row = y.data() + s * classes;
    const std::int64_t label = labels(s), best = winner(row, classes);
    if (best < 0) {
      Kokkos::atomic_inc(&totals(2));
      return;
    }
    std::int64_t before = 0;  // classes that rank ahead of the label
    for (std::int64_t c = 0; c < classes; ++c)
      if (row[c] > row[label] || (row[c] == row[label] && c < label)) ++before;
    if (best == label) Kokkos::atomic_inc(&totals(0));
    if (before < 5) Kokkos::atomic_inc(&totals(1));
    if (confusion.size() > 0) Kokkos::atomic_inc(&confusion(static_cast<std::size_t>(label * classes + best)));
  });
}

template <class T>
void largest_class(const Execution& exec, std::int64_t n, std::int64_t classes, Span<const T> y, Span<std::int32_t> winners) {
  Kokkos::parallel_for("trireme::metrics::largest_class", Range(exec, 0, n),
                       KOKKOS_LAMBDA(std::int64_t s) { winners(s) = static_cast<std::int32_t>(winner(y.data() + s * classes, classes)); });
}

template <class T>
void sum_errors(const Execution& exec, std::int64_t n, std::int64_t outputs, bool first, bool logits, Span<const T> y, Span<const T> target,
                Span<OutputSums> sums) {
  if (n == 0) return;
  Kokkos::parallel_for("trireme::metrics::sum_errors", Range(exec, 0, outputs), KOKKOS_LAMBDA(std::int64_t o) {
    OutputSums of = first ? OutputSums{.pivot = static_cast<double>(target(o)), .absolute = {}, .squared = {}, .shift = {}, .spread = {}} : sums(o);
    for (std::int64_t s = 0; s < n; ++s) {
      const double t = static_cast<double>(target(s * outputs + o)), score = static_cast<double>(y(s * outputs + o));
      const double e = (logits ? 1 / (1 + Kokkos::exp(-score)) : score) - t, d = t - of.pivot;
      of.absolute.add(e < 0 ? -e : e);
      of.squared.add_square(e);
      of.shift.add(d);
      of.spread.add_square(d);
    }
    sums(o) = of;
  });
}

template <class T>
void count_binary(const Execution& exec, std::int64_t n, std::int64_t outputs, T threshold, Span<const T> y, Span<const T> target, Span<std::int64_t> counts) {
  Kokkos::parallel_for("trireme::metrics::count_binary", Range(exec, 0, outputs), KOKKOS_LAMBDA(std::int64_t o) {
    std::int64_t found[6] = {};
    for (std::int64_t s = 0; s < n; ++s) {
      const T score = y(s * outputs + o), t = target(s * outputs + o);
      if (t != T{} && t != T{1}) ++found[5];
      if (score != score || t != t)
        ++found[4];
      else
        ++found[score > threshold ? (t > T(0.5) ? 0 : 1) : (t > T(0.5) ? 2 : 3)];
    }
    for (int k = 0; k < 6; ++k)
      if (found[k] > 0) Kokkos::atomic_add(&counts(k), found[k]);
  });
}

#define TRIREME_INSTANTIATE(T)                                                                                                                              \
  template void count_classes(const Execution&, std::int64_t, std::int64_t, Span<const T>, Span<const std::int32_t>, const ClassCounts&);                   \
  template void largest_class(const Execution&, std::int64_t, std::int64_t, Span<const T>, Span<std::int32_t>);                                             \
  template void sum_errors(const Execution&, std::int64_t, std::int64_t, bool, bool, Span<const T>, Span<const T>, Span<OutputSums>);                       \
  template void count_binary(const Execution&, std::int64_t, std::int64_t, T, Span<const T>, Span<const T>, Span<std::int64_t>);
TRIREME_INSTANTIATE(float)
TRIREME_INSTANTIATE(double)
#undef TRIREME_INSTANTIATE

}  // namespace trireme
