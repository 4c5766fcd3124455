#include "kokkos_kernels/loss.hpp"

#include "kokkos_kernels/detail/cross_entropy.hpp"

namespace trireme {

void add_losses(const Execution& exec, std::int64_t count, Span<const double> partial, Span<double> sums) {
  if constexpr (!on_host) {
    constexpr int lanes = 256;
    Kokkos::parallel_for(
        "trireme::loss::add_up", Team(exec, 2, lanes), KOKKOS_LAMBDA(const Team::member_type& team) {
          const int k = team.league_rank();
          double total = 0;
          Kokkos::parallel_reduce(
              Kokkos::TeamThreadRange(team, count), [&](std::int64_t i, double& sum) { sum += partial(2 * i + k); }, total);
          Kokkos::single(Kokkos::PerTeam(team), [&] { sums(k) = total; });
        });
  } else {
    Kokkos::parallel_for(
        "trireme::loss::add_up", Range(exec, 0, 1), KOKKOS_LAMBDA(std::int64_t) {
          double loss = 0, weight = 0;
          for (std::int64_t i = 0; i < count; ++i) loss += partial(2 * i), weight += partial(2 * i + 1);
          sums(0) = loss;
          sums(1) = weight;
        });
  }
}

namespace {

template <class T>
struct SoftCrossEntropyItem {
  std::int64_t pixels;
  LossChannels at;
  Span<const T> y, targets;
  CrossEntropyOptions<T> options;
  T factor;
  Span<T> dy;

  KOKKOS_FUNCTION void operator()(std::int64_t sample, std::int64_t pixel, LossSums& sums) const {
    const std::int64_t item = sample * pixels + pixel, classes = at.own;
    const T* const row = y.data() + item * at.y_stride + at.y_first;
    const T* const target = targets.data() + item * at.t_stride + at.t_first;
    T* const out = dy.data() == nullptr ? nullptr : dy.data() + item * at.y_stride + at.y_first;
    const T kept = T{1} - options.smoothing, uniform = options.smoothing / static_cast<T>(classes);
    const auto wanted = [&](std::int64_t c) { return (options.weights.data() != nullptr ? options.weights(c) : T{1}) * (kept * target[c] + uniform); };
    T top = row[0];
    for (std::int64_t c = 1; c < classes; ++c) top = row[c] > top ? row[c] : top;
    T total{}, all{}, mass{};
    for (std::int64_t c = 0; c < classes; ++c) {
      const T score = row[c], e = Kokkos::exp(score - top), w = wanted(c);
      total += e;
      mass += w;
      if (w != T{}) all += w * (score - top);
      if (out != nullptr) out[c] = e;
    }
    sums.loss += static_cast<double>(mass * Kokkos::log(total) - all);
    sums.weight += 1;
    for (std::int64_t c = 0; out != nullptr && c < classes; ++c) out[c] = factor * (mass * (out[c] / total) - wanted(c));
  }
};

}  // namespace

template <class T>
void cross_entropy(const Execution& exec, std::int64_t n, std::int64_t pixels, const LossChannels& channels, Span<const T> y, const ClassTargets<T>& targets,
                   const CrossEntropyOptions<T>& options, T factor, Span<T> dy, Span<double> partial, Span<double> sums) {
  const CrossEntropyItem<T> item{pixels, channels, y, targets, options, factor, dy};
  if constexpr (on_host)
    if (pixels > 1 && channels.own <= most_tiled_classes) return cross_entropy_of_pixels<T>(exec, n, item, partial, sums);
  sum_loss(exec, "trireme::loss::cross_entropy", n, pixels, channels.own, item, partial, sums);
}

template <class T>
void cross_entropy_of_probabilities(const Execution& exec, std::int64_t n, std::int64_t pixels, const LossChannels& channels, Span<const T> y,
                                    Span<const T> targets, const CrossEntropyOptions<T>& options, T factor, Span<T> dy, Span<double> partial,
                                    Span<double> sums) {
  sum_loss(exec, "trireme::loss::cross_entropy_of_probabilities", n, pixels, channels.own,
           SoftCrossEntropyItem<T>{pixels, channels, y, targets, options, factor, dy}, partial, sums);
}

template <class T>
void cross_entropy_statistics(const Execution& exec, std::int64_t n, const OutputShare& part, Span<const T> y, Span<const std::int32_t> labels,
                              Span<double> statistics) {
  const OutputShare share = part;
  Kokkos::parallel_for(
      "trireme::loss::cross_entropy_statistics", Range(exec, 0, n), KOKKOS_LAMBDA(std::int64_t s) {
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

namespace {

template <class T>
struct SharedCrossEntropyItem {
  OutputShare share;
  std::int64_t ranks;
  Span<const double> statistics;
  Span<const T> y;
  Span<const std::int32_t> labels;
  double spread, uniform, factor;
  Span<T> dy;

  KOKKOS_FUNCTION void operator()(std::int64_t s, std::int64_t, LossSums& sums) const {
    const T* const row = y.data() + s * share.own;
    T* const out = dy.data() == nullptr ? nullptr : dy.data() + s * share.own;
    if (labels(s) < 0) {
      for (std::int64_t c = 0; out != nullptr && c < share.own; ++c) out[c] = T{};
      return;
    }
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
    sums.loss += spread == 0 ? log_total - own : log_total - (1 - spread) * own - spread * mean;
    sums.weight += 1;
    if (out == nullptr) return;
    const std::int64_t label = labels(s) - share.first;
    for (std::int64_t c = 0; c < share.own; ++c) {
      const double p = Kokkos::exp(static_cast<double>(row[c]) - top) / total;
      out[c] = static_cast<T>(factor * (p - uniform - (c == label ? 1 - spread : 0.0)));
    }
  }
};

}  // namespace

template <class T>
void cross_entropy_of_shares(const Execution& exec, std::int64_t n, const OutputShare& share, std::int64_t ranks, Span<const double> statistics,
                             Span<const T> y, Span<const std::int32_t> labels, T smoothing, T factor, Span<T> dy, Span<double> partial, Span<double> sums) {
  const double spread = static_cast<double>(smoothing), uniform = spread / static_cast<double>(share.whole);
  sum_loss(exec, "trireme::loss::cross_entropy_of_shares", n, 1, share.own,
           SharedCrossEntropyItem<T>{share, ranks, statistics, y, labels, spread, uniform, static_cast<double>(factor), dy}, partial, sums);
}

#define TRIREME_INSTANTIATE(T)                                                                                                                       \
  template void cross_entropy(const Execution&, std::int64_t, std::int64_t, const LossChannels&, Span<const T>, const ClassTargets<T>&,              \
                              const CrossEntropyOptions<T>&, T, Span<T>, Span<double>, Span<double>);                                                \
  template void cross_entropy_of_probabilities(const Execution&, std::int64_t, std::int64_t, const LossChannels&, Span<const T>, Span<const T>,      \
                                               const CrossEntropyOptions<T>&, T, Span<T>, Span<double>, Span<double>);                               \
  template void cross_entropy_statistics(const Execution&, std::int64_t, const OutputShare&, Span<const T>, Span<const std::int32_t>, Span<double>); \
  template void cross_entropy_of_shares(const Execution&, std::int64_t, const OutputShare&, std::int64_t, Span<const double>, Span<const T>,         \
                                        Span<const std::int32_t>, T, T, Span<T>, Span<double>, Span<double>);
TRIREME_INSTANTIATE(float)
TRIREME_INSTANTIATE(double)
#undef TRIREME_INSTANTIATE

}  // namespace trireme
