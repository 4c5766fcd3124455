// dice: 1 - the overlap of predicted and true areas (Milletari et al. 2016, with sums of probabilities instead of squares), of each sample and class.
//
//   classes:  p = softmax(y) over the channels, t = 1 where the pixel has the class        binary:  p = sigmoid(y), t = the target of the output
//   loss of a sample = mean over its classes (or channels) of 1 - (2 sum p t + s) / (sum p + sum t + s), with sums over the pixels that count, s = loss.smooth
//
// Ranks that share the pixels of a sample add up its sums before any of them can find the loss or its gradient.
#include "losses/loss.hpp"

namespace trireme {

namespace {

/// Sums of a channel: of p t, of p + t.
constexpr std::int64_t numbers = 2;

template <class T>
struct DiceItem {
  bool classes;
  std::int64_t pixels;
  LossChannels at;
  Span<const T> y;
  ClassTargets<T> labels;
  Span<const T> targets;
  Ignored<T> ignored;

  /// Calls f(c, p, t) for each channel of a pixel that counts.
  template <class F>
  KOKKOS_FUNCTION void each(std::int64_t item, const F& f) const {
    const T* const row = y.data() + item * at.y_stride + at.y_first;
    if (!classes) {
      for (std::int64_t c = 0; c < at.own; ++c) {
        const T t = targets(item * at.t_stride + at.t_first + c);
        if (!ignored(t)) f(c, 1 / (1 + Kokkos::exp(-static_cast<double>(row[c]))), static_cast<double>(t));
      }
      return;
    }
    const std::int64_t label = labels.at(item, at.own);
    if (label == ClassTargets<T>::ignored_class) return;
    const double wrong = label < 0 ? Kokkos::Experimental::quiet_NaN_v<double> : 0.0;
    double top = static_cast<double>(row[0]), total = 0;
    for (std::int64_t c = 1; c < at.own; ++c) top = static_cast<double>(row[c]) > top ? static_cast<double>(row[c]) : top;
    for (std::int64_t c = 0; c < at.own; ++c) total += Kokkos::exp(static_cast<double>(row[c]) - top);
    for (std::int64_t c = 0; c < at.own; ++c) f(c, Kokkos::exp(static_cast<double>(row[c]) - top) / total, c == label ? 1.0 : wrong);
  }
};

template <class T>
struct DiceSums {
  DiceItem<T> of;
  KOKKOS_FUNCTION void operator()(std::int64_t sample, std::int64_t pixel, double* sums) const {
    of.each(sample * of.pixels + pixel, [&](std::int64_t c, double p, double t) {
      sums[numbers * c] += p * t;
      sums[numbers * c + 1] += p + t;
    });
  }
};

template <class T>
struct DiceLossItem {
  DiceItem<T> of;
  double smooth;
  T factor;
  Span<T> dy;
  Span<const double> statistics;

  /// The derivative of the loss of a sample by p of channel c where the target is t.
  KOKKOS_FUNCTION double slope(const double* sums, std::int64_t c, double t) const {
    const double area = sums[numbers * c + 1] + smooth;
    return -(2 * t * area - (2 * sums[numbers * c] + smooth)) / (area * area) / static_cast<double>(of.at.own);
  }
  KOKKOS_FUNCTION void operator()(std::int64_t sample, std::int64_t pixel, LossSums& found) const {
    const std::int64_t channels = of.at.own, item = sample * of.pixels + pixel;
    const double* const sums = statistics.data() + sample * channels * numbers;
    if (pixel == 0) {
      double total = 0;
      for (std::int64_t c = 0; c < channels; ++c) total += 1 - (2 * sums[numbers * c] + smooth) / (sums[numbers * c + 1] + smooth);
      found.loss += total / static_cast<double>(channels);
      found.weight += 1;
    }
    if (dy.data() == nullptr) return;
    T* const out = dy.data() + item * of.at.y_stride + of.at.y_first;  // may be the memory of y: y of a channel is read before its gradient is written
    const auto scale = static_cast<double>(factor);
    if (!of.classes) {
      const T* const row = of.y.data() + item * of.at.y_stride + of.at.y_first;
      for (std::int64_t c = 0; c < channels; ++c) {
        const T t = of.targets(item * of.at.t_stride + of.at.t_first + c);
        const double p = 1 / (1 + Kokkos::exp(-static_cast<double>(row[c])));
        out[c] = of.ignored(t) ? T{} : static_cast<T>(scale * slope(sums, c, static_cast<double>(t)) * p * (1 - p));
      }
      return;
    }
    double dot = 0;  // sum over channels of p * slope: the gradient by y is p (slope - dot)
    bool counts = false;
    of.each(item, [&](std::int64_t c, double p, double t) { dot += p * slope(sums, c, t), counts = true; });
    if (!counts) {
      for (std::int64_t c = 0; c < channels; ++c) out[c] = T{};
      return;
    }
    of.each(item, [&](std::int64_t c, double p, double t) { out[c] = static_cast<T>(scale * p * (slope(sums, c, t) - dot)); });
  }
};

template <class T>
class Dice : public Loss<T> {
 public:
  Dice(const Deck& deck, const LossTargets& targets)
      : classes_(targets.classes > 0), channels_(classes_ ? targets.classes : targets.shape[0]), smooth_(deck.real("loss.smooth")) {}
  std::int64_t statistics() const override { return numbers * channels_; }
  void gather(const LossPass<T>& pass, Span<double> statistics) const override {
    sum_samples(pass.exec, "trireme::loss::dice::sums", pass.n, pass.pixels, pass.channels.own, this->statistics(), DiceSums<T>{item(pass)}, pass.partial,
                statistics);
  }
  void apply(const LossPass<T>& pass) const override {
    sum_loss(pass.exec, "trireme::loss::dice", pass.n, pass.pixels, pass.channels.own,
             DiceLossItem<T>{item(pass), smooth_, pass.factor, pass.dy, pass.statistics}, pass.partial, pass.sums);
  }

 private:
  DiceItem<T> item(const LossPass<T>& pass) const {
    return {classes_,
            pass.pixels,
            pass.channels,
            pass.y,
            {pass.targets.classes, pass.targets.values, pass.channels.t_stride, pass.channels.t_first, pass.ignored},
            pass.targets.values,
            pass.ignored};
  }
  bool classes_;
  std::int64_t channels_;
  double smooth_;
};

}  // namespace

TRIREME_LOSS(dice) {
  return {.help =
              "Dice loss of logits, 1 - (2 sum p t + s) / (sum p + sum t + s) over the pixels of a sample, averaged over samples and classes (Milletari et al. "
              "2016). p is the softmax over the channels if labels are class numbers, else the sigmoid.",
          .keys = {number("loss.smooth", KeySpec::Type::real, "1", at_least(0), "Smoothing term s of dice, which keeps the loss of absent classes finite.")},
          .targets = LossTargets::Type::binary,
          .classes_or_binary = true,
          .logits = true,
          .whole_channels = true,
          .of_samples = true,
          .uses = {"loss.ignore", "loss.targets"},
          .make = Maker<Loss, const Deck&, const LossTargets&>::of<Dice>()};
}

}  // namespace trireme
