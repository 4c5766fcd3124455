// cross_entropy, as torch.nn.CrossEntropyLoss, of samples or of pixels. Its kernels are in kokkos_kernels/loss.hpp, since a rank may hold a share of the
// classes.
#include "losses/loss.hpp"

namespace trireme {

namespace {

template <class T>
class CrossEntropy : public Loss<T> {
 public:
  CrossEntropy(const Deck& deck, const LossTargets& targets)
      : probabilities_(targets.probabilities), smoothing_(static_cast<T>(deck.real("loss.label_smoothing"))) {}
  void apply(const LossPass<T>& pass) const override {
    const CrossEntropyOptions<T> options{smoothing_, pass.class_weights, pass.class_weight_sum};
    if (probabilities_)
      return cross_entropy_of_probabilities<T>(pass.exec, pass.n, pass.pixels, pass.channels, pass.y, pass.targets.values, options, pass.factor, pass.dy,
                                               pass.partial, pass.sums);
    const ClassTargets<T> targets{pass.targets.classes, pass.targets.values, pass.channels.t_stride, pass.channels.t_first, pass.ignored};
    cross_entropy<T>(pass.exec, pass.n, pass.pixels, pass.channels, pass.y, targets, options, pass.factor, pass.dy, pass.partial, pass.sums);
  }

 private:
  bool probabilities_;
  T smoothing_;
};

}  // namespace

TRIREME_LOSS(cross_entropy) {
  return {.help =
              "Cross-entropy of class scores (logits) and class numbers, -log softmax(y)[class], as torch.nn.CrossEntropyLoss. With an output of pixels, "
              "(C, extents...), each pixel has a class; with loss.targets = probabilities, labels are the probability of each class.",
          .targets = LossTargets::Type::classes,
          .whole_channels = true,
          .uses = {"loss.ignore", "loss.class_weights", "loss.label_smoothing", "loss.targets"},
          .make = Maker<Loss, const Deck&, const LossTargets&>::of<CrossEntropy>()};
}

}  // namespace trireme
