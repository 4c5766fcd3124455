// bce and bce_with_logits: binary cross-entropy of probabilities and of logits, as torch.nn.BCELoss and BCEWithLogitsLoss.
#include <limits>

#include "base/error.hpp"
#include "losses/elementwise.hpp"

namespace trireme {

namespace {

// A target outside [0, 1] makes the loss -inf, an output outside [0, 1] makes bce's +inf: LossFunction::domain_fault tells them apart.
template <class T>
struct BinaryCrossEntropy {
  static constexpr T infinity = std::numeric_limits<T>::infinity();

  KOKKOS_FUNCTION static T clamped_log(T v) {
    const T l = v > T{} ? Kokkos::log(v) : T{-100};  // rounding may have made v negative
    return l > T{-100} ? l : T{-100};
  }
  KOKKOS_FUNCTION static T value(T y, T t) {
    if (!is_probability(t)) return loss_outside_domain(t, -infinity);
    if (!is_probability(y)) return loss_outside_domain(y, infinity);
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
    if (!is_probability(t)) return loss_outside_domain(t, -std::numeric_limits<T>::infinity());
    return (y > T{} ? y : T{}) - y * t + Kokkos::log1p(Kokkos::exp(y > T{} ? -y : y));
  }
  KOKKOS_FUNCTION static T slope(T y, T t) { return T{1} / (T{1} + Kokkos::exp(-y)) - t; }
};

/// With weights of positive targets: (1 - t) y + (1 + (w - 1) t) (log(1 + exp(-|y|)) + max(-y, 0)).
template <class T>
struct WeightedPositivesItem {
  std::int64_t pixels;
  LossChannels at;
  Span<const T> y, targets, weights;  // one weight, or one per channel
  T factor;
  Span<T> dy;
  Ignored<T> ignored;

  KOKKOS_FUNCTION void operator()(std::int64_t sample, std::int64_t pixel, LossSums& sums) const {
    const std::int64_t item = sample * pixels + pixel;
    for (std::int64_t c = 0; c < at.own; ++c) {
      const std::int64_t i = item * at.y_stride + at.y_first + c;
      const T score = y(i), t = targets(item * at.t_stride + at.t_first + c);
      const bool counts = !ignored(t);
      const T weight = T{1} + (weights(weights.size() == 1 ? 0 : at.t_first + c) - 1) * t;
      if (counts) {
        const T softplus = Kokkos::log1p(Kokkos::exp(score > T{} ? -score : score)) + (score < T{} ? -score : T{});  // -log sigmoid(score)
        sums.loss +=
            static_cast<double>(is_probability(t) ? (T{1} - t) * score + weight * softplus : loss_outside_domain(t, -std::numeric_limits<T>::infinity()));
        sums.weight += 1;
      }
      if (dy.data() == nullptr) continue;
      const T other = T{1} / (T{1} + Kokkos::exp(score));  // 1 - sigmoid(score)
      dy(i) = counts ? factor * (T{1} - t - weight * other) : T{};
    }
  }
};

template <class T>
class BceWithLogits : public Loss<T> {
 public:
  BceWithLogits(const Deck& deck, const LossTargets& targets) {
    const auto weights = deck.reals("loss.pos_weight");
    if (weights.size() > 1 && static_cast<std::int64_t>(weights.size()) != targets.shape[0])
      throw usage_error("loss.pos_weight has {} numbers; the network's output {} has {} channels. Expected one number, or one per channel", weights.size(),
                        targets.shape.text(), targets.shape[0]);
    weights_ = Buffer<T>("trireme::loss::pos_weight", weights.size());
    const auto host = Kokkos::create_mirror_view(weights_);
    for (std::size_t i = 0; i < weights.size(); ++i) host(i) = static_cast<T>(weights[i]);
    Kokkos::deep_copy(weights_, host);
  }
  void apply(const LossPass<T>& pass) const override {
    if (weights_.size() == 0) return elementwise_loss<T>(pass, BinaryCrossEntropyWithLogits<T>());
    sum_loss(pass.exec, "trireme::loss::bce_with_logits", pass.n, pass.pixels, pass.channels.own,
             WeightedPositivesItem<T>{pass.pixels, pass.channels, pass.y, pass.targets.values, weights_, pass.factor, pass.dy, pass.ignored}, pass.partial,
             pass.sums);
  }

 private:
  Buffer<T> weights_;
};

template <class T>
using Bce = ElementwiseLoss<T, BinaryCrossEntropy>;

}  // namespace

TRIREME_LOSS(bce) {
  return {.help =
              "Binary cross-entropy of probabilities, -(t log y + (1 - t) log(1 - y)) with logarithms of at least -100, as torch.nn.BCELoss. "
              "Outputs and targets must lie in [0, 1].",
          .targets = LossKind::Targets::binary,
          .output_domain =
              "loss.kind = bce needs outputs in [0, 1], and an output of the network is outside. Hint: end the network with 'layer = sigmoid', or "
              "set loss.kind = bce_with_logits, which takes any output",
          .make = Maker<Loss, const Deck&, const LossTargets&>::of<Bce>()};
}

TRIREME_LOSS(bce_with_logits) {
  return {.help = "Binary cross-entropy of sigmoid(y), as torch.nn.BCEWithLogitsLoss. Targets must lie in [0, 1].",
          .keys = {number("loss.pos_weight", KeySpec::Type::list, "", at_least(0),
                          "Weight of positive targets in bce_with_logits: one number, or one per output channel, as pos_weight= of torch.nn.BCEWithLogitsLoss. "
                          "Empty: 1.")},
          .targets = LossKind::Targets::binary,
          .logits = true,
          .make = Maker<Loss, const Deck&, const LossTargets&>::of<BceWithLogits>()};
}

}  // namespace trireme
