// lars: layer-wise adaptive rates for SGD with momentum (You, Gitman and Ginsburg 2017).
#include "optim/optimizer_kind.hpp"

namespace trireme {

namespace {

template <class T>
class Lars final : public UpdateRule<T> {
 public:
  explicit Lars(const Deck& deck)
      : options_{.momentum = deck.real("optimizer.momentum"),
                 .weight_decay = deck.real("optimizer.weight_decay"),
                 .trust = deck.real("optimizer.trust"),
                 .epsilon = deck.real("optimizer.epsilon")} {}
  void update(const OptimizerStep<T>& step) const override {
    LarsStep options = options_;
    options.lr = step.lr;
    lars_update<T>(step.exec, step.runs, options, step.clip, step.trust, step.gradients, step.parameters, step.state("momentum"));
  }

 private:
  LarsStep options_;
};

}  // namespace

TRIREME_OPTIMIZER(lars) {
  return {.help =
              "SGD with a learning rate for each parameter tensor, in proportion to the ratio of its norm to its gradient's (You et al. 2017). A tensor with a "
              "root "
              "mean square below 1e-6 moves by the plain learning rate.",
          .layer_norms = true,
          .states = [](const Deck& deck) { return deck.real("optimizer.momentum") > 0 ? std::vector<std::string>{"momentum"} : std::vector<std::string>{}; },
          .make = Maker<UpdateRule, const Deck&>::of<Lars>()};
}

}  // namespace trireme
