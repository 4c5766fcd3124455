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
void count_classes(const Execution& exec, std::int64_t items, std::int64_t classes, Span<const T> y, const ClassTargets<T>& labels, const ClassCounts& counts) {
  const auto totals = counts.totals, confusion = counts.confusion;
  const ClassTargets<T> label_of = labels;
  constexpr std::int64_t block = 256;  // items that one thread counts before it adds to the totals
  Kokkos::parallel_for(
      "trireme::metrics::count_classes", Range(exec, 0, (items + block - 1) / block), KOKKOS_LAMBDA(std::int64_t b) {
        std::int64_t found[ClassCounts::totals_size] = {};
        const std::int64_t end = (b + 1) * block < items ? (b + 1) * block : items;
        for (std::int64_t i = b * block; i < end; ++i) {
          const T* const row = y.data() + i * classes;
          const std::int64_t label = label_of.at(i, classes), best = winner(row, classes);
          if (label == ClassTargets<T>::ignored_class) continue;
          ++found[3];
          if (best < 0 || label < 0) {
            ++found[2];
            continue;
          }
          std::int64_t before = 0;  // classes that rank ahead of the label
          for (std::int64_t c = 0; c < classes; ++c)
            if (row[c] > row[label] || (row[c] == row[label] && c < label)) ++before;
          if (best == label) ++found[0];
          if (before < 5) ++found[1];
          if (confusion.size() > 0) Kokkos::atomic_inc(&confusion(static_cast<std::size_t>(label * classes + best)));
        }
        for (int k = 0; k < ClassCounts::totals_size; ++k)
          if (found[k] > 0) Kokkos::atomic_add(&totals(k), found[k]);
      });
}

template <class T>
void largest_class(const Execution& exec, std::int64_t n, std::int64_t classes, Span<const T> y, Span<std::int32_t> winners) {
  Kokkos::parallel_for(
      "trireme::metrics::largest_class", Range(exec, 0, n),
      KOKKOS_LAMBDA(std::int64_t s) { winners(s) = static_cast<std::int32_t>(winner(y.data() + s * classes, classes)); });
}

template <class T>
void sum_errors(const Execution& exec, std::int64_t n, std::int64_t outputs, bool first, const ComparedOutputs<T>& how, Span<const T> y, Span<const T> target,
                Span<OutputSums> sums) {
  if (n == 0) return;
  const ComparedOutputs<T> compared = how;
  Kokkos::parallel_for(
      "trireme::metrics::sum_errors", Range(exec, 0, outputs), KOKKOS_LAMBDA(std::int64_t o) {
        OutputSums of = first ? OutputSums() : sums(o);
        for (std::int64_t s = 0; s < n; ++s) {
          const std::int64_t i = s * outputs + o;
          if (compared.ignored(target(i))) continue;
          const double t = static_cast<double>(target(i)), score = static_cast<double>(y(compared.of(i)));
          if (of.count == 0) of.pivot = t;
          ++of.count;
          const double e = (compared.logits ? 1 / (1 + Kokkos::exp(-score)) : score) - t, d = t - of.pivot;
          of.low = t < of.low ? t : of.low;
          of.high = t > of.high ? t : of.high;
          of.absolute.add(e < 0 ? -e : e);
          of.squared.add_square(e);
          of.shift.add(d);
          of.spread.add_square(d);
        }
        sums(o) = of;
      });
}

template <class T>
void sum_squares(const Execution& exec, std::int64_t n, std::int64_t outputs, const ComparedOutputs<T>& how, Span<const T> y, Span<const T> target,
                 Span<double> squares) {
  const ComparedOutputs<T> compared = how;
  Kokkos::parallel_for(
      "trireme::metrics::sum_squares", Range(exec, 0, n), KOKKOS_LAMBDA(std::int64_t s) {
        LongSum errors, targets;
        for (std::int64_t i = s * outputs; i < (s + 1) * outputs; ++i) {
          if (compared.ignored(target(i))) continue;
          const double t = static_cast<double>(target(i)), score = static_cast<double>(y(compared.of(i)));
          errors.add_square((compared.logits ? 1 / (1 + Kokkos::exp(-score)) : score) - t);
          targets.add_square(t);
        }
        squares(2 * s) = errors.value();
        squares(2 * s + 1) = targets.value();
      });
}

template <class T>
void count_binary(const Execution& exec, std::int64_t n, std::int64_t outputs, T threshold, const Ignored<T>& not_counted, Span<const T> y,
                  Span<const T> target, Span<std::int64_t> counts) {
  const Ignored<T> ignored = not_counted;
  Kokkos::parallel_for(
      "trireme::metrics::count_binary", Range(exec, 0, outputs), KOKKOS_LAMBDA(std::int64_t o) {
        std::int64_t found[6] = {};
        for (std::int64_t s = 0; s < n; ++s) {
          const T score = y(s * outputs + o), t = target(s * outputs + o);
          if (ignored(t)) continue;
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

#define TRIREME_INSTANTIATE(T)                                                                                                                             \
  template void count_classes(const Execution&, std::int64_t, std::int64_t, Span<const T>, const ClassTargets<T>&, const ClassCounts&);                    \
  template void largest_class(const Execution&, std::int64_t, std::int64_t, Span<const T>, Span<std::int32_t>);                                            \
  template void sum_errors(const Execution&, std::int64_t, std::int64_t, bool, const ComparedOutputs<T>&, Span<const T>, Span<const T>, Span<OutputSums>); \
  template void sum_squares(const Execution&, std::int64_t, std::int64_t, const ComparedOutputs<T>&, Span<const T>, Span<const T>, Span<double>);          \
  template void count_binary(const Execution&, std::int64_t, std::int64_t, T, const Ignored<T>&, Span<const T>, Span<const T>, Span<std::int64_t>);
TRIREME_INSTANTIATE(float)
TRIREME_INSTANTIATE(double)
#undef TRIREME_INSTANTIATE

}  // namespace trireme
