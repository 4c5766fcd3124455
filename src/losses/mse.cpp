// mse and mae: squared and absolute errors, as torch.nn.MSELoss and L1Loss.
#include "losses/elementwise.hpp"

namespace trireme {

namespace {

template <class T>
struct SquaredError {
  KOKKOS_FUNCTION static T value(T y, T t) { return (y - t) * (y - t); }
  KOKKOS_FUNCTION static T slope(T y, T t) { return 2 * (y - t); }
};

template <class T>
struct AbsoluteError {
  KOKKOS_FUNCTION static T value(T y, T t) { return y > t ? y - t : t - y; }
  KOKKOS_FUNCTION static T slope(T y, T t) { return y > t ? T{1} : y < t ? T{-1} : y == t ? T{} : y - t; }
};

template <class T>
using MeanSquaredError = ElementwiseLoss<T, SquaredError>;
template <class T>
using MeanAbsoluteError = ElementwiseLoss<T, AbsoluteError>;

}  // namespace

TRIREME_LOSS(mse) {
  return {.help = "Mean squared error, (y - t)^2, as torch.nn.MSELoss.",
          .uses = {"loss.ignore", "loss.reduction_weights"},
          .make = Maker<Loss, const Deck&, const LossTargets&>::of<MeanSquaredError>()};
}

TRIREME_LOSS(mae) {
  return {.help = "Mean absolute error, |y - t|, as torch.nn.L1Loss.",
          .uses = {"loss.ignore", "loss.reduction_weights"},
          .make = Maker<Loss, const Deck&, const LossTargets&>::of<MeanAbsoluteError>()};
}

}  // namespace trireme
