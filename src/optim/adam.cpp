// adam and adamw (Kingma and Ba 2015; Loshchilov and Hutter 2019), as torch.optim.Adam and AdamW.
#include "optim/optimizer_kind.hpp"

namespace trireme {

namespace {

template <class T, bool decoupled>
class AdamRule : public UpdateRule<T> {
 public:
  explicit AdamRule(const Deck& deck)
      : options_{.beta1 = deck.real("optimizer.beta1"),
                 .beta2 = deck.real("optimizer.beta2"),
                 .epsilon = deck.real("optimizer.epsilon"),
                 .weight_decay = deck.real("optimizer.weight_decay"),
                 .decoupled = decoupled} {}
  void update(const OptimizerStep<T>& step) const override {
    AdamStep options = options_;
    options.lr = step.lr;
    options.t = step.step + 1;
    adam_update<T>(step.exec, step.runs, options, step.clip, step.gradients, step.parameters, step.state("first_moment"), step.state("second_moment"));
  }

 private:
  AdamStep options_;
};

template <class T>
class Adam final : public AdamRule<T, false> {
  using AdamRule<T, false>::AdamRule;
};
template <class T>
class AdamW final : public AdamRule<T, true> {
  using AdamRule<T, true>::AdamRule;
};

std::vector<std::string> moments(const Deck&) { return {"first_moment", "second_moment"}; }

}  // namespace

TRIREME_OPTIMIZER(adam) {
  return {.help = "Adam with bias correction (Kingma and Ba 2015) and L2 weight decay, as torch.optim.Adam.",
          .states = moments,
          .make = Maker<UpdateRule, const Deck&>::of<Adam>()};
}

TRIREME_OPTIMIZER(adamw) {
  return {.help = "Adam with decoupled weight decay (Loshchilov and Hutter 2019), as torch.optim.AdamW.",
          .states = moments,
          .make = Maker<UpdateRule, const Deck&>::of<AdamW>()};
}

}  // namespace trireme
