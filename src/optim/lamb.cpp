// lamb: layer-wise adaptive rates for Adam (You et al. 2020).
#include "optim/optimizer_kind.hpp"

namespace trireme {

namespace {

template <class T>
class Lamb final : public UpdateRule<T> {
 public:
  explicit Lamb(const Deck& deck)
      : options_{.beta1 = deck.real("optimizer.beta1"),
                 .beta2 = deck.real("optimizer.beta2"),
                 .epsilon = deck.real("optimizer.epsilon"),
                 .weight_decay = deck.real("optimizer.weight_decay")} {}
  void update(const OptimizerStep<T>& step) const override {
    AdamStep options = options_;
    options.lr = step.lr;
    options.t = step.step + 1;
    lamb_update<T>(step.exec, step.runs, options, step.clip, step.trust, step.gradients, step.parameters, step.state("first_moment"),
                   step.state("second_moment"));
  }

 private:
  AdamStep options_;
};

}  // namespace

TRIREME_OPTIMIZER(lamb) {
  return {
      .help =
          "Adam with a learning rate for each parameter tensor, in proportion to the ratio of its norm to its update's (You et al. 2020), and decoupled weight "
          "decay. A tensor with a root mean square below 1e-6 moves by the plain learning rate; an update below 1e-3 is not scaled up to a whole step.",
      .layer_norms = true,
      .states =
          [](const Deck&) {
            return std::vector<std::string>{"first_moment", "second_moment"};
          },
      .make = Maker<UpdateRule, const Deck&>::of<Lamb>()};
}

}  // namespace trireme
