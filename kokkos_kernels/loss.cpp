#include "kokkos_kernels/loss.hpp"

#include <limits>

namespace trireme {

namespace {

// loss(0) = sum of per_sample in order: does not depend on the number of threads.
void add_up(const Execution& exec, std::int64_t n, Span<double> per_sample, Span<double> loss) {
  if constexpr (!on_host) {
    Kokkos::parallel_for("trireme::loss::add_up", Team(exec, 1, 256), KOKKOS_LAMBDA(const Team::member_type& team) {
      double total = 0;
      Kokkos::parallel_reduce(Kokkos::TeamThreadRange(team, n), [&](std::int64_t i, double& sum) { sum += per_sample(i); }, total);
      Kokkos::single(Kokkos::PerTeam(team), [&] { loss(0) = total; });
    });
    return;
  }
  Kokkos::parallel_for("trireme::loss::add_up", Range(exec, 0, 1), KOKKOS_LAMBDA(std::int64_t) {
    double total = 0;
    for (std::int64_t i = 0; i < n; ++i) total += per_sample(i);
    loss(0) = total;
  });
}

template <class T>
struct SquaredError {
  KOKKOS_FUNCTION static T value(T y, T t) { return (y - t) * (y - t); }
  KOKKOS_FUNCTION static T slope(T y, T t) { return 2 * (y - t); }
};

template <class T>
struct AbsoluteError {
  KOKKOS_FUNCTION static T value(T y, T t) { return y > t ? y - t : t - y; }
  KOKKOS_FUNCTION static T slope(T y, T t) { return y > t ? T{1} : y < t ? T{-1} : y == t ? T{} : y - t; }
};

// Whether v is a probability, but for rounding. What is not a number is not.
template <class T>
KOKKOS_INLINE_FUNCTION bool in_domain(T v) {
  constexpr T slack = 4 * std::numeric_limits<T>::epsilon();
  return v >= -slack && v <= T{1} + slack;
}

// What is out of its domain makes the loss infinite: a target -inf, an output +inf; what is not a number stays that.
template <class T>
KOKKOS_INLINE_FUNCTION T out_of_domain(T v, T infinity) {
  return v != v ? v : infinity;
}

template <class T>
struct BinaryCrossEntropy {
  static constexpr T infinity = std::numeric_limits<T>::infinity();

  KOKKOS_FUNCTION static T clamped_log(T v) {
    const T l = v > T{} ? Kokkos::log(v) : T{-100};  // of what rounding brought below 0, too
    return l > T{-100} ? l : T{-100};
  }
  KOKKOS_FUNCTION static T value(T y, T t) {
    if (!in_domain(t)) return out_of_domain(t, -infinity);
    if (!in_domain(y)) return out_of_domain(y, infinity);
    return -(t * clamped_log(y) + (1 - t) * clamped_log(1 - y));
  }
  KOKKOS_FUNCTION static T slope(T y, T t) {
    const T d = (1 - y) * y;
    return (y - t) / (d > T(1e-12) ? d : T(1e-12));
  }
};

template <class T>
struct BinaryCrossEntropyWithLogits {
  KOKKOS_FUNCTION static T value(T y, T t) {  // max(y, 0) - y t + log(1 + exp(-|y|))
    if (!in_domain(t)) return out_of_domain(t, -std::numeric_limits<T>::infinity());
    return (y > T{} ? y : T{}) - y * t + Kokkos::log1p(Kokkos::exp(y > T{} ? -y : y));
  }
  KOKKOS_FUNCTION static T slope(T y, T t) { return T{1} / (T{1} + Kokkos::exp(-y)) - t; }
};

template <class T, class Kind>
void apply(const Execution& exec, std::int64_t n, std::int64_t pixels, const OutputShare& part, Span<const T> y, Span<const T> target, T factor, Span<T> dy,
           Span<double> per_sample, Kind) {
  const OutputShare share = part;
  const bool with_gradient = dy.data() != nullptr;
  Kokkos::parallel_for("trireme::loss::elementwise", Range(exec, 0, n), KOKKOS_LAMBDA(std::int64_t s) {
    double total = 0;
    for (std::int64_t pixel = s * pixels; pixel < (s + 1) * pixels; ++pixel)
      for (std::int64_t c = 0; c < share.own; ++c) {
        const std::int64_t i = pixel * share.own + c;
        const T value = y(i), t = target(pixel * share.whole + share.first + c);
        total += static_cast<double>(Kind::value(value, t));
        if (with_gradient) dy(i) = factor * Kind::slope(value, t);
      }
    per_sample(s) = total;
  });
}

}  // namespace

template <class T>
void cross_entropy(const Execution& exec, std::int64_t n, std::int64_t classes, Span<const T> y, Span<const std::int32_t> labels, T smoothing,
                   T factor, Span<T> dy, Span<double> per_sample, Span<double> loss) {
  const bool with_gradient = dy.data() != nullptr;
  Kokkos::parallel_for("trireme::loss::cross_entropy", Range(exec, 0, n), KOKKOS_LAMBDA(std::int64_t s) {
    const T* const row = y.data() + s * classes;
    const std::int64_t label = labels(s);
    T top = row[0];
    for (std::int64_t c = 1; c < classes; ++c) top = row[c] > top ? row[c] : top;
    T total{}, all{};
    for (std::int64_t c = 0; c < classes; ++c) {
      total += Kokkos::exp(row[c] - top);
      all += row[c] - top;
    }
    const T log_total = Kokkos::log(total);
    const T own = log_total - (row[label] - top);                              // -log softmax of the label
    const T mean = log_total - all / static_cast<T>(classes);                  // mean over classes of the same; may overflow where own does not
    per_sample(s) = static_cast<double>(smoothing == T{} ? own : (T{1} - smoothing) * own + smoothing * mean);
    if (with_gradient) {
      T* const out = dy.data() + s * classes;
      const T uniform = smoothing / static_cast<T>(classes);
      for (std::int64_t c = 0; c < classes; ++c) {
        const T p = Kokkos::exp(row[c] - top) / total;
        out[c] = factor * (p - uniform - (c == label ? T{1} - smoothing : T{}));
      }
    }
  });
  add_up(exec, n, per_sample, loss);
}

template <class T>
void cross_entropy_statistics(const Execution& exec, std::int64_t n, const OutputShare& part, Span<const T> y, Span<const std::int32_t> labels,
                              Span<double> statistics) {
  const OutputShare share = part;
  Kokkos::parallel_for("trireme::loss::cross_entropy_statistics", Range(exec, 0, n), KOKKOS_LAMBDA(std::int64_t s) {
    const T* const row = y.data() + s * share.own;
    const std::int64_t label = labels(s) - share.first;
    T top = row[0];
    for (std::int64_t c = 1; c < share.own; ++c) top = row[c] > top ? row[c] : top;
    double total = 0, all = 0;
    for (std::int64_t c = 0; c < share.own; ++c) {
      total += static_cast<double>(Kokkos::exp(row[c] - top));
      all += static_cast<double>(row[c]);
    }
    double* const out = statistics.data() + s * class_statistics;
    out[0] = static_cast<double>(top);
    out[1] = total;
    out[2] = label >= 0 && label < share.own ? static_cast<double>(row[label]) : 0.0;
    out[3] = all;
  });
}

template <class T>
void cross_entropy_of_shares(const Execution& exec, std::int64_t n, const OutputShare& part, std::int64_t ranks, Span<const double> statistics, Span<const T> y,
                             Span<const std::int32_t> labels, T smoothing, T factor, Span<T> dy, Span<double> per_sample, Span<double> loss) {
  const OutputShare share = part;
  const bool with_gradient = dy.data() != nullptr;
  const double spread = static_cast<double>(smoothing), uniform = spread / static_cast<double>(share.whole);
  Kokkos::parallel_for("trireme::loss::cross_entropy_of_shares", Range(exec, 0, n), KOKKOS_LAMBDA(std::int64_t s) {
    const double* const known = statistics.data() + s * class_statistics * ranks;
    double top = known[0], total = 0, own = 0, all = 0;
    for (std::int64_t r = 1; r < ranks; ++r) top = known[r * class_statistics] > top ? known[r * class_statistics] : top;
    for (std::int64_t r = 0; r < ranks; ++r) {
      const double* const of = known + r * class_statistics;
      total += of[1] * Kokkos::exp(of[0] - top);
      own += of[2];
      all += of[3];
    }
    const double log_total = top + Kokkos::log(total), mean = all / static_cast<double>(share.whole);
    per_sample(s) = spread == 0 ? log_total - own : log_total - (1 - spread) * own - spread * mean;
    if (with_gradient) {
      const T* const row = y.data() + s * share.own;
      T* const out = dy.data() + s * share.own;
      const std::int64_t label = labels(s) - share.first;
      for (std::int64_t c = 0; c < share.own; ++c) {
        const double p = Kokkos::exp(static_cast<double>(row[c]) - top) / total;
        out[c] = static_cast<T>(static_cast<double>(factor) * (p - uniform - (c == label ? 1 - spread : 0.0)));
      }
    }
  });
  add_up(exec, n, per_sample, loss);
}

template <class T>
void elementwise_loss(const Execution& exec, LossKind kind, std::int64_t n, std::int64_t pixels, const OutputShare& share, Span<const T> y,
                      Span<const T> target, T factor, Span<T> dy, Span<double> per_sample, Span<double> loss) {
  switch (kind) {
    case LossKind::mse: apply<T>(exec, n, pixels, share, y, target, factor, dy, per_sample, SquaredError<T>{}); break;
    case LossKind::mae: apply<T>(exec, n, pixels, share, y, target, factor, dy, per_sample, AbsoluteError<T>{}); break;
    case LossKind::bce: apply<T>(exec, n, pixels, share, y, target, factor, dy, per_sample, BinaryCrossEntropy<T>{}); break;
    case LossKind::bce_with_logits: apply<T>(exec, n, pixels, share, y, target, factor, dy, per_sample, BinaryCrossEntropyWithLogits<T>{}); break;
    case LossKind::cross_entropy: return;  // has a kernel of its own
  }
  add_up(exec, n, per_sample, loss);
}

#define TRIREME_INSTANTIATE(T)                                                                                                               \
  template void cross_entropy(const Execution&, std::int64_t, std::int64_t, Span<const T>, Span<const std::int32_t>, T, T, Span<T>,          \
                              Span<double>, Span<double>);                                                                                   \
  template void cross_entropy_statistics(const Execution&, std::int64_t, const OutputShare&, Span<const T>, Span<const std::int32_t>,        \
                                         Span<double>);                                                                                      \
  template void cross_entropy_of_shares(const Execution&, std::int64_t, const OutputShare&, std::int64_t, Span<const double>, Span<const T>, \
                                        Span<const std::int32_t>, T, T, Span<T>, Span<double>, Span<double>);                                \
  template void elementwise_loss(const Execution&, LossKind, std::int64_t, std::int64_t, const OutputShare&, Span<const T>, Span<const T>,   \
                                 T, Span<T>, Span<double>, Span<double>);
TRIREME_INSTANTIATE(float)
TRIREME_INSTANTIATE(double)
#undef TRIREME_INSTANTIATE

}  // namespace trireme
