// Cross-entropy of one item (sample or pixel), and its host version for many pixels.
#pragma once

#include "kokkos_kernels/loss.hpp"

namespace trireme {

template <class T>
struct CrossEntropyItem {
  std::int64_t pixels;
  LossChannels at;
  Span<const T> y;
  ClassTargets<T> targets;
  CrossEntropyOptions<T> options;
  T factor;
  Span<T> dy;

  KOKKOS_FUNCTION void operator()(std::int64_t sample, std::int64_t pixel, LossSums& sums) const {
    const std::int64_t item = sample * pixels + pixel, classes = at.own, label = targets.at(item, classes);
    const T* const row = y.data() + item * at.y_stride + at.y_first;
    T* const out = dy.data() == nullptr ? nullptr : dy.data() + item * at.y_stride + at.y_first;
    if (label < 0) return take_no_class(label, classes, out, sums);
    const bool weighted = options.weights.data() != nullptr;
    const T smoothing = options.smoothing, of_label = row[label];
    T top = row[0];
    for (std::int64_t c = 1; c < classes; ++c) top = row[c] > top ? row[c] : top;
    T total{}, all{};
    for (std::int64_t c = 0; c < classes; ++c) {
      const T score = row[c], e = Kokkos::exp(score - top);
      total += e;
      all += weighted ? options.weights(c) * (score - top) : score - top;
      if (out != nullptr) out[c] = e;  // may be the memory of row
    }
    const T log_total = Kokkos::log(total);
    const T own = log_total - (of_label - top);  // -log softmax of the label
    const T weight = weighted ? options.weights(label) : T{1};
    const T whole = weighted ? static_cast<T>(options.weight_sum) : static_cast<T>(classes);
    const T mean = weighted ? (whole * log_total - all) / static_cast<T>(classes)  // mean over classes of the same; may overflow where own does not
                            : log_total - all / static_cast<T>(classes);
    sums.loss += static_cast<double>(smoothing == T{} ? weight * own : (T{1} - smoothing) * weight * own + smoothing * mean);
    sums.weight += static_cast<double>(weight);
    if (out == nullptr) return;
    const T uniform = smoothing / static_cast<T>(classes);
    if (!weighted) {
      for (std::int64_t c = 0; c < classes; ++c) out[c] = factor * (out[c] / total - uniform - (c == label ? T{1} - smoothing : T{}));
      return;
    }
    const T of_label_weight = (T{1} - smoothing) * weight, of_all = of_label_weight + uniform * whole;
    for (std::int64_t c = 0; c < classes; ++c)
      out[c] = factor * (of_all * (out[c] / total) - uniform * options.weights(c) - (c == label ? of_label_weight : T{}));
  }
};

/// The same for pixels of few classes, with the registers of the host (loss_host.cpp).
inline constexpr std::int64_t most_tiled_classes = 64;
template <class T>
void cross_entropy_of_pixels(const Execution& exec, std::int64_t n, const CrossEntropyItem<T>& item, Span<double> partial, Span<double> sums);

}  // namespace trireme
