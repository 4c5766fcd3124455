// What losses share, and the kernels of cross_entropy: value and first gradient in one pass. "mean" reduction over the global batch: the caller gives the
// factor.
//
//   outputs (n, pixels, channels)  ->  items (pixels of samples), in parallel in blocks  ->  one pair of sums per block  ->  added in the order of the blocks
//
// Blocks depend on the shape of a sample alone, so sums do not depend on the number of threads or on the number of samples per pass.
#pragma once

#include <algorithm>
#include <optional>

#include "kokkos_kernels/types.hpp"

namespace trireme {

/// The outputs that are at hand of each pixel: channels [first, first + own) of `whole`. Targets have all.
struct OutputShare {
  std::int64_t own, first, whole;
};

/// Channels of a loss: of each pixel p, outputs y(p * y_stride + y_first + c) and targets t(p * t_stride + t_first + c) for c in [0, own).
struct LossChannels {
  std::int64_t own, y_first, y_stride, t_first, t_stride;

  static LossChannels of(const OutputShare& share) { return {share.own, 0, share.own, share.first, share.whole}; }
  /// Outputs and targets without gaps: pixels and channels are one list.
  bool dense() const { return own == y_stride && own == t_stride; }
};

/// Sum of losses, and of the weights of the targets that count.
struct LossSums {
  double loss = 0, weight = 0;
  KOKKOS_INLINE_FUNCTION LossSums& operator+=(const LossSums& other) {
    loss += other.loss, weight += other.weight;
    return *this;
  }
};

/// Targets that count for nothing: those equal to a value (as stored in T or in float), or those that are NaN.
template <class T>
struct Ignored {
  bool on = false, nan = false;
  T value{}, narrow{};

  static Ignored of(const std::optional<double>& value) {
    if (!value) return {};
    return {true, *value != *value, static_cast<T>(*value), static_cast<T>(static_cast<float>(*value))};
  }
  KOKKOS_INLINE_FUNCTION bool operator()(T t) const { return on && (nan ? t != t : t == value || t == narrow); }
};

/// Class numbers: one per item, as integers (negative: ignored) or as numbers of a map.
template <class T>
struct ClassTargets {
  static constexpr std::int64_t ignored_class = -1, no_class = -2;

  Span<const std::int32_t> numbers = {};
  Span<const T> map = {};
  std::int64_t stride = 1, first = 0;  // of the map
  Ignored<T> ignored = {};

  /// A class in [0, classes), ignored_class, or no_class (which makes the loss NaN).
  KOKKOS_INLINE_FUNCTION std::int64_t at(std::int64_t item, std::int64_t classes) const {
    if (numbers.data() != nullptr) return numbers(item) < 0 ? ignored_class : numbers(item);
    const T t = map(item * stride + first);
    if (ignored(t)) return ignored_class;
    if (!(t >= T{} && t < static_cast<T>(classes))) return no_class;
    const auto number = static_cast<std::int64_t>(t);
    return static_cast<T>(number) == t ? number : no_class;  // 1.5 is no class
  }
};

/// What an item without a class adds to the loss and has as gradient: nothing where it is ignored, NaN where its target is no class. `out`: null, or its
/// `classes` gradients.
template <class T>
KOKKOS_INLINE_FUNCTION void take_no_class(std::int64_t label, std::int64_t classes, T* out, LossSums& sums) {
  const T nothing = label == ClassTargets<T>::ignored_class ? T{} : Kokkos::Experimental::quiet_NaN_v<T>;
  sums.loss += static_cast<double>(nothing);
  for (std::int64_t c = 0; out != nullptr && c < classes; ++c) out[c] = nothing;
}

/// Weights along the second-to-last extent (latitude): pixel p of a sample has the weight of row p / width % rows. Empty: 1.
struct RowWeights {
  Span<const double> of_row = {};
  std::int64_t width = 1, rows = 1;
  KOKKOS_INLINE_FUNCTION double at(std::int64_t pixel) const { return of_row.data() == nullptr ? 1.0 : of_row(pixel / width % rows); }
};

/// Elements that one block adds up in order, at most.
inline constexpr std::int64_t loss_block = 4096;
/// Items of a block, if each has `channels` elements.
inline std::int64_t loss_block_items(std::int64_t channels) { return std::max<std::int64_t>(1, loss_block / std::max<std::int64_t>(1, channels)); }
/// Numbers of workspace for the sums of blocks of `samples` samples with `elements` outputs each, however these are divided into items.
inline std::int64_t loss_workspace(std::int64_t samples, std::int64_t elements) { return 2 * samples * (2 * elements / loss_block + 1); }

/// sums(0) and sums(1) = the sums of `count` pairs, in a fixed order whatever the number of threads.
void add_losses(const Execution& exec, std::int64_t count, Span<const double> partial, Span<double> sums);

/// sums (2) = over the samples and their items of what item(sample, i, LossSums&) adds. `partial`: loss_workspace numbers.
template <class Item>
void sum_loss(const Execution& exec, const char* name, std::int64_t n, std::int64_t items, std::int64_t channels, const Item& add, Span<double> partial,
              Span<double> sums) {
  const std::int64_t most = loss_block_items(channels), per_sample = std::max<std::int64_t>(1, (items + most - 1) / most), blocks = n * per_sample;
  const Item item = add;
  if constexpr (on_host) {
    Kokkos::parallel_for(
        name, Range(exec, 0, blocks), KOKKOS_LAMBDA(std::int64_t b) {
          const std::int64_t sample = b / per_sample, first = b % per_sample * most, end = first + most < items ? first + most : items;
          LossSums found;
          for (std::int64_t i = first; i < end; ++i) item(sample, i, found);
          partial(2 * b) = found.loss;
          partial(2 * b + 1) = found.weight;
        });
  } else {
    if (blocks == 0) return add_losses(exec, 0, partial, sums);
    constexpr int lanes = 128;  // fixed: it determines the order of the sum
    Kokkos::parallel_for(
        name, Team(exec, static_cast<int>(blocks), lanes).set_scratch_size(0, Kokkos::PerTeam(2 * lanes * sizeof(double))),
        KOKKOS_LAMBDA(const Team::member_type& team) {
          const std::int64_t b = team.league_rank(), sample = b / per_sample, first = b % per_sample * most, end = first + most < items ? first + most : items;
          double* const of_lane = static_cast<double*>(team.team_scratch(0).get_shmem(2 * lanes * sizeof(double)));
          LossSums found;
          for (std::int64_t i = first + team.team_rank(); i < end; i += lanes) item(sample, i, found);
          of_lane[2 * team.team_rank()] = found.loss;
          of_lane[2 * team.team_rank() + 1] = found.weight;
          team.team_barrier();
          for (int half = lanes / 2; half > 0; half /= 2) {
            if (team.team_rank() < half)
              for (int k = 0; k < 2; ++k) of_lane[2 * team.team_rank() + k] += of_lane[2 * (team.team_rank() + half) + k];
            team.team_barrier();
          }
          if (team.team_rank() == 0) {
            partial(2 * b) = of_lane[0];
            partial(2 * b + 1) = of_lane[1];
          }
        });
  }
  add_losses(exec, blocks, partial, sums);
}

/// sums (n, width) = of each sample, over its items, of what item(sample, i, double* of_width_numbers) adds. One thread has one block. `partial`:
/// loss_workspace numbers times (width + 1) / 2.
template <class Item>
void sum_samples(const Execution& exec, const char* name, std::int64_t n, std::int64_t items, std::int64_t channels, std::int64_t width, const Item& add,
                 Span<double> partial, Span<double> sums) {
  const std::int64_t most = loss_block_items(channels), per_sample = std::max<std::int64_t>(1, (items + most - 1) / most);
  const Item item = add;
  Kokkos::parallel_for(
      name, Range(exec, 0, n * per_sample), KOKKOS_LAMBDA(std::int64_t b) {
        const std::int64_t sample = b / per_sample, first = b % per_sample * most, end = first + most < items ? first + most : items;
        double* const found = partial.data() + b * width;
        for (std::int64_t k = 0; k < width; ++k) found[k] = 0;
        for (std::int64_t i = first; i < end; ++i) item(sample, i, found);
      });
  Kokkos::parallel_for(
      "trireme::loss::add_up_samples", Range(exec, 0, n * width), KOKKOS_LAMBDA(std::int64_t at) {
        double total = 0;
        for (std::int64_t b = at / width * per_sample; b < (at / width + 1) * per_sample; ++b) total += partial(b * width + at % width);
        sums(at) = total;
      });
}

/// Class weights and label smoothing of cross_entropy.
template <class T>
struct CrossEntropyOptions {
  T smoothing{};
  Span<const T> weights = {};  // one per class; empty: 1
  double weight_sum = 0;       // of all classes
};

/// y: unnormalised scores of n x pixels items, one per class; `targets`: their classes. sums = over the items of
///   -log softmax(y)[label]                                          with smoothing e: (1 - e) of that + e/classes of the sum over all classes
/// times the class's weight, and of these weights (Szegedy et al. 2016, section 7; PyTorch's CrossEntropyLoss). dy = factor * gradient of that sum; dy may be
/// empty (evaluation), and may be the same memory as y. Ignored items count for nothing.
template <class T>
void cross_entropy(const Execution& exec, std::int64_t n, std::int64_t pixels, const LossChannels& channels, Span<const T> y, const ClassTargets<T>& targets,
                   const CrossEntropyOptions<T>& options, T factor, Span<T> dy, Span<double> partial, Span<double> sums);

/// The same with a probability of each class as target: sums = - sum over classes of weight * target * log softmax(y); each item counts 1.
template <class T>
void cross_entropy_of_probabilities(const Execution& exec, std::int64_t n, std::int64_t pixels, const LossChannels& channels, Span<const T> y,
                                    Span<const T> targets, const CrossEntropyOptions<T>& options, T factor, Span<T> dy, Span<double> partial,
                                    Span<double> sums);

/// cross_entropy of flat outputs without weights, where y has a share of the classes alone, (n, share.own), and other ranks the others. First each rank's
/// statistics, (n, 4): the largest y, the sum of exp(y - largest), the label's y (0 where it is not here), the sum of y. Then, from those of all `ranks`,
/// (n, 4 ranks), the whole loss and the gradient of these classes.
inline constexpr std::int64_t class_statistics = 4;
template <class T>
void cross_entropy_statistics(const Execution& exec, std::int64_t n, const OutputShare& share, Span<const T> y, Span<const std::int32_t> labels,
                              Span<double> statistics);
template <class T>
void cross_entropy_of_shares(const Execution& exec, std::int64_t n, const OutputShare& share, std::int64_t ranks, Span<const double> statistics,
                             Span<const T> y, Span<const std::int32_t> labels, T smoothing, T factor, Span<T> dy, Span<double> partial, Span<double> sums);

}  // namespace trireme
