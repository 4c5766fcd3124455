// sgd: stochastic gradient descent with momentum, as torch.optim.SGD.
#include "base/error.hpp"
#include "optim/optimizer_kind.hpp"

namespace trireme {

namespace {

template <class T>
class Sgd final : public UpdateRule<T> {
 public:
  explicit Sgd(const Deck& deck)
      : options_{.momentum = deck.real("optimizer.momentum"),
                 .dampening = deck.real("optimizer.dampening"),
                 .weight_decay = deck.real("optimizer.weight_decay"),
                 .nesterov = deck.boolean("optimizer.nesterov")} {
    if (options_.nesterov && (options_.momentum <= 0 || options_.dampening != 0))
      throw usage_error("optimizer.nesterov = true needs optimizer.momentum > 0 and optimizer.dampening = 0; found momentum {} and dampening {}",
                        options_.momentum, options_.dampening);
  }
  void update(const OptimizerStep<T>& step) const override {
    SgdStep options = options_;
    options.lr = step.lr;
    options.first = step.step == 0;
    sgd_update<T>(step.exec, step.runs, options, step.clip, step.gradients, step.parameters, step.state("momentum"));
  }

 private:
  SgdStep options_;
};

}  // namespace

TRIREME_OPTIMIZER(sgd) {
  return {.help = "Stochastic gradient descent with momentum and L2 weight decay, as torch.optim.SGD.",
          .states = [](const Deck& deck) { return deck.real("optimizer.momentum") > 0 ? std::vector<std::string>{"momentum"} : std::vector<std::string>{}; },
          .make = Maker<UpdateRule, const Deck&>::of<Sgd>()};
}

}  // namespace trireme
