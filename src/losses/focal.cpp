// focal: cross-entropy that well-classified targets enter little (Lin et al. 2017); of binary targets as torchvision's sigmoid_focal_loss.
#include "losses/elementwise.hpp"

namespace trireme {

namespace {

/// q^g and its derivative by q, for q in [0, 1].
KOKKOS_INLINE_FUNCTION double power(double q, double g) { return g == 0 ? 1.0 : q > 0 ? Kokkos::pow(q, g) : q != q ? q : 0.0; }
KOKKOS_INLINE_FUNCTION double power_slope(double q, double g) { return g == 0 || q <= 0 ? 0.0 : g * Kokkos::pow(q, g - 1); }

/// alpha_t (1 - p_t)^gamma times the cross-entropy of sigmoid(y).
template <class T>
struct BinaryFocalElement {
  double gamma, alpha;  // alpha < 0: none

  KOKKOS_FUNCTION static double probability(double y) { return 1 / (1 + Kokkos::exp(-y)); }
  KOKKOS_FUNCTION static double entropy(double y, double t) { return (y > 0 ? y : 0.0) - y * t + Kokkos::log1p(Kokkos::exp(y > 0 ? -y : y)); }
  KOKKOS_FUNCTION double balance(double t) const { return alpha < 0 ? 1.0 : alpha * t + (1 - alpha) * (1 - t); }
  KOKKOS_FUNCTION T value(T y, T t) const {
    if (!is_probability(t)) return loss_outside_domain(t, -Kokkos::Experimental::infinity_v<T>);
    const auto score = static_cast<double>(y), wanted = static_cast<double>(t);
    const double p = probability(score), miss = p * (1 - wanted) + (1 - p) * wanted;
    const double factor = balance(wanted) * power(miss, gamma);
    return factor == 0 ? T{} : static_cast<T>(factor * entropy(score, wanted));
  }
  KOKKOS_FUNCTION T slope(T y, T t) const {
    const auto score = static_cast<double>(y), wanted = static_cast<double>(t);
    const double p = probability(score), miss = p * (1 - wanted) + (1 - p) * wanted, of_miss = (1 - 2 * wanted) * p * (1 - p);
    const double bent = of_miss == 0 ? 0.0 : power_slope(miss, gamma) * of_miss * entropy(score, wanted);
    return static_cast<T>(balance(wanted) * (power(miss, gamma) * (p - wanted) + bent));
  }
};

/// weight (1 - p)^gamma (-log p), where p is the softmax of the label.
template <class T>
struct FocalItem {
  std::int64_t pixels;
  LossChannels at;
  Span<const T> y;
  ClassTargets<T> labels;
  Span<const T> weights;
  double gamma;
  T factor;
  Span<T> dy;

  KOKKOS_FUNCTION void operator()(std::int64_t sample, std::int64_t pixel, LossSums& sums) const {
    const std::int64_t item = sample * pixels + pixel, classes = at.own, label = labels.at(item, classes);
    const T* const row = y.data() + item * at.y_stride + at.y_first;
    T* const out = dy.data() == nullptr ? nullptr : dy.data() + item * at.y_stride + at.y_first;
    if (label < 0) return take_no_class(label, classes, out, sums);
    double top = static_cast<double>(row[0]), total = 0, others = 0;
    for (std::int64_t c = 1; c < classes; ++c) top = static_cast<double>(row[c]) > top ? static_cast<double>(row[c]) : top;
    for (std::int64_t c = 0; c < classes; ++c) {
      const double e = Kokkos::exp(static_cast<double>(row[c]) - top);
      total += e;
      if (c != label) others += e;
    }
    const double log_p = static_cast<double>(row[label]) - top - Kokkos::log(total), p = Kokkos::exp(log_p), miss = others / total;
    const double weight = weights.data() == nullptr ? 1.0 : static_cast<double>(weights(label)), bend = power(miss, gamma);
    sums.loss += bend == 0 ? 0.0 : -weight * bend * log_p;
    sums.weight += 1;
    if (out == nullptr) return;
    const double pull = p == 0 ? 0.0 : power_slope(miss, gamma) * p * log_p, by_label = weight * (pull - bend);
    for (std::int64_t c = 0; c < classes; ++c) {
      const double q = Kokkos::exp(static_cast<double>(row[c]) - top) / total;
      out[c] = static_cast<T>(static_cast<double>(factor) * by_label * (c == label ? miss : -q));
    }
  }
};

template <class T>
class Focal : public Loss<T> {
 public:
  Focal(const Deck& deck, const LossTargets& targets) : classes_(targets.classes > 0), gamma_(deck.real("loss.gamma")), alpha_(deck.real("loss.alpha")) {}
  void apply(const LossPass<T>& pass) const override {
    if (!classes_) return elementwise_loss<T>(pass, BinaryFocalElement<T>{gamma_, alpha_});
    const ClassTargets<T> labels{pass.targets.classes, pass.targets.values, pass.channels.t_stride, pass.channels.t_first, pass.ignored};
    sum_loss(pass.exec, "trireme::loss::focal", pass.n, pass.pixels, pass.channels.own,
             FocalItem<T>{pass.pixels, pass.channels, pass.y, labels, pass.class_weights, gamma_, pass.factor, pass.dy}, pass.partial, pass.sums);
  }

 private:
  bool classes_;
  double gamma_, alpha_;
};

}  // namespace

TRIREME_LOSS(focal) {
  return {
      .help =
          "Focal loss of logits, (1 - p)^gamma (-log p) where p is the predicted probability of the target (Lin et al. 2017), for rare classes. Yes or no "
          "in each output as torchvision's sigmoid_focal_loss; with several output channels, softmax and class numbers, and loss.class_weights as factors.",
      .keys = {number("loss.gamma", KeySpec::Type::real, "2", at_least(0), "Exponent of focal. 0: cross-entropy."),
               number("loss.alpha", KeySpec::Type::real, "-1", between(-1, 1),
                      "Weight of positive targets in focal with yes or no; negative targets have 1 - alpha. torchvision's default is 0.25. -1: no weights.")},
      .targets = LossTargets::Type::binary,
      .classes_or_binary = true,
      .logits = true,
      .whole_channels = true,
      .uses = {"loss.ignore", "loss.targets", "loss.class_weights"},
      .make = Maker<Loss, const Deck&, const LossTargets&>::of<Focal>()};
}

}  // namespace trireme
