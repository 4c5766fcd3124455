// kl_div: Kullback-Leibler divergence of probabilities from logarithms of probabilities, as torch.nn.KLDivLoss(reduction="batchmean").
#include <limits>

#include "losses/elementwise.hpp"

namespace trireme {

namespace {

template <class T>
struct KlDivElement {
  KOKKOS_FUNCTION static T value(T y, T t) {
    if (!is_probability(t)) return loss_outside_domain(t, -std::numeric_limits<T>::infinity());
    return (t > T{} ? t * Kokkos::log(t) : T{}) - t * y;
  }
  KOKKOS_FUNCTION static T slope(T y, T t) { return y == y ? -t : y; }
};

template <class T>
using KlDiv = ElementwiseLoss<T, KlDivElement>;

}  // namespace

TRIREME_LOSS(kl_div) {
  return {.help =
              "Kullback-Leibler divergence, t (log t - y), summed over outputs and averaged over samples, as torch.nn.KLDivLoss(reduction='batchmean'). y is "
              "the logarithm of a probability: end the network with log_softmax. Targets are probabilities.",
          .probability_targets = true,
          .divisor_is_samples = true,
          .make = Maker<Loss, const Deck&, const LossTargets&>::of<KlDiv>()};
}

}  // namespace trireme
