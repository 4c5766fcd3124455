// Cross-entropy of pixels on the host.
//
//   32 pixels of C scores -> scores minus the largest of their pixel -> exponentials, in whole registers -> sum per pixel -> gradient
//
// The logarithms of the sums are one logarithm of their product, where all pixels have the same weight.
#include <algorithm>

#include "kokkos_kernels/detail/cross_entropy.hpp"
#include "kokkos_kernels/detail/vector_exp.hpp"

namespace trireme {

namespace {

template <class T>
struct CrossEntropyTile {
  static constexpr std::int64_t pixels_at_once = 32, width = detail::Simd<T>::width;

  const CrossEntropyItem<T>& of;
  T exps[pixels_at_once * most_tiled_classes + width];
  std::int64_t labels[pixels_at_once];
  T inverse[pixels_at_once];

  /// Items [first, first + count).
  void run(std::int64_t first, std::int64_t count, LossSums& sums) {
    const std::int64_t classes = of.at.own;
    const T smoothing = of.options.smoothing, uniform = smoothing / static_cast<T>(classes);
    const bool weighted = of.options.weights.data() != nullptr;
    double product = 1, linear = 0;
    for (std::int64_t p = 0; p < count; ++p) {
      const T* const row = of.y.data() + (first + p) * of.at.y_stride + of.at.y_first;
      labels[p] = of.targets.at(first + p, classes);
      T top = row[0];
      for (std::int64_t c = 1; c < classes; ++c) top = row[c] > top ? row[c] : top;
      for (std::int64_t c = 0; c < classes; ++c) exps[p * classes + c] = row[c] - top;
    }
    double of_label[pixels_at_once], all[pixels_at_once];
    for (std::int64_t p = 0; p < count; ++p) {
      const T* const shifted = exps + p * classes;
      of_label[p] = labels[p] < 0 ? 0 : static_cast<double>(shifted[labels[p]]);
      all[p] = 0;
      for (std::int64_t c = 0; smoothing != T{} && c < classes; ++c) all[p] += static_cast<double>(weighted ? of.options.weights(c) * shifted[c] : shifted[c]);
    }
    for (std::int64_t i = 0; i < count * classes; i += width) detail::store<T>(exps + i, detail::exp_of_negative<T>(detail::load<T>(exps + i)));
    for (std::int64_t p = 0; p < count; ++p) {
      T total{};
      for (std::int64_t c = 0; c < classes; ++c) total += exps[p * classes + c];
      inverse[p] = T{1} / total;
      if (labels[p] < 0) {
        if (labels[p] != ClassTargets<T>::ignored_class) linear = Kokkos::Experimental::quiet_NaN_v<double>;
        continue;
      }
      if (!weighted) {
        product *= static_cast<double>(total);  // at most 64^32
        linear -= smoothing == T{} ? of_label[p] : static_cast<double>(T{1} - smoothing) * of_label[p] + static_cast<double>(uniform) * all[p];
        sums.weight += 1;
        continue;
      }
      const auto weight = static_cast<double>(of.options.weights(labels[p]));
      const double log_total = Kokkos::log(static_cast<double>(total));
      linear += static_cast<double>(T{1} - smoothing) * weight * (log_total - of_label[p]) +
                static_cast<double>(uniform) * (of.options.weight_sum * log_total - all[p]);
      sums.weight += weight;
    }
    sums.loss += weighted ? linear : linear + Kokkos::log(product);
    if (of.dy.data() != nullptr)
      for (std::int64_t p = 0; p < count; ++p) write_gradient(first + p, exps + p * classes, labels[p], inverse[p]);
  }

 private:
  void write_gradient(std::int64_t item, const T* of_pixel, std::int64_t label, T scale) const {
    const std::int64_t classes = of.at.own;
    T* const out = of.dy.data() + item * of.at.y_stride + of.at.y_first;
    const T smoothing = of.options.smoothing, uniform = smoothing / static_cast<T>(classes), factor = of.factor;
    if (label < 0) {
      for (std::int64_t c = 0; c < classes; ++c) out[c] = label == ClassTargets<T>::ignored_class ? T{} : Kokkos::Experimental::quiet_NaN_v<T>;
    } else if (of.options.weights.data() == nullptr) {
      for (std::int64_t c = 0; c < classes; ++c) out[c] = factor * (of_pixel[c] * scale - uniform);
      out[label] -= factor * (T{1} - smoothing);
    } else {
      const T by_label = (T{1} - smoothing) * of.options.weights(label), by_all = by_label + uniform * static_cast<T>(of.options.weight_sum);
      for (std::int64_t c = 0; c < classes; ++c) out[c] = factor * (by_all * (of_pixel[c] * scale) - uniform * of.options.weights(c));
      out[label] -= factor * by_label;
    }
  }
};

}  // namespace

/// The same blocks as sum_loss, in tiles.
template <class T>
void cross_entropy_of_pixels(const Execution& exec, std::int64_t n, const CrossEntropyItem<T>& item, Span<double> partial, Span<double> sums) {
  const std::int64_t most = loss_block_items(item.at.own), per_sample = (item.pixels + most - 1) / most, blocks = n * per_sample;
  Kokkos::parallel_for("trireme::loss::cross_entropy_of_pixels", Range(exec, 0, blocks), [=](std::int64_t b) {
    const std::int64_t first = b % per_sample * most, end = std::min(first + most, item.pixels), sample = b / per_sample;
    LossSums found;
    CrossEntropyTile<T> tile{item, {}, {}, {}};
    for (std::int64_t at = first; at < end; at += tile.pixels_at_once) tile.run(sample * item.pixels + at, std::min(tile.pixels_at_once, end - at), found);
    partial(2 * b) = found.loss;
    partial(2 * b + 1) = found.weight;
  });
  add_losses(exec, blocks, partial, sums);
}

#define TRIREME_INSTANTIATE(T) template void cross_entropy_of_pixels(const Execution&, std::int64_t, const CrossEntropyItem<T>&, Span<double>, Span<double>);
TRIREME_INSTANTIATE(float)
TRIREME_INSTANTIATE(double)
#undef TRIREME_INSTANTIATE

}  // namespace trireme
