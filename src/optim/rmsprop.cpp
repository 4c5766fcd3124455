// rmsprop (Hinton 2012), as torch.optim.RMSprop.
#include "optim/optimizer_kind.hpp"

namespace trireme {

namespace {

template <class T>
class Rmsprop final : public UpdateRule<T> {
 public:
  explicit Rmsprop(const Deck& deck)
      : options_{.alpha = deck.real("optimizer.alpha"),
                 .epsilon = deck.real("optimizer.epsilon"),
                 .momentum = deck.real("optimizer.momentum"),
                 .weight_decay = deck.real("optimizer.weight_decay")} {}
  void update(const OptimizerStep<T>& step) const override {
    RmspropStep options = options_;
    options.lr = step.lr;
    rmsprop_update<T>(step.exec, step.runs, options, step.clip, step.gradients, step.parameters, step.state("square_average"), step.state("gradient_average"),
                      step.state("momentum"));
  }

 private:
  RmspropStep options_;
};

std::vector<std::string> states(const Deck& deck) {
  std::vector<std::string> names{"square_average"};
  if (deck.boolean("optimizer.centered")) names.emplace_back("gradient_average");
  if (deck.real("optimizer.momentum") > 0) names.emplace_back("momentum");
  return names;
}

}  // namespace

TRIREME_OPTIMIZER(rmsprop) {
  return {.help = "Gradients divided by a running root mean square (Hinton 2012), as torch.optim.RMSprop.",
          .states = states,
          .make = Maker<UpdateRule, const Deck&>::of<Rmsprop>()};
}

}  // namespace trireme
