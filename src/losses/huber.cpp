// huber and smooth_l1: quadratic near 0 and linear beyond, as torch.nn.HuberLoss and SmoothL1Loss (Girshick 2015).
#include "losses/elementwise.hpp"

namespace trireme {

namespace {

/// With d = y - t: d^2 / 2 * inner where |d| <= edge, else outer * (|d| - edge / 2).
template <class T>
struct QuadraticThenLinear {
  T edge, inner, outer;
  KOKKOS_FUNCTION T value(T y, T t) const {
    const T d = y > t ? y - t : t - y;
    return d <= edge ? d * d / 2 * inner : outer * (d - edge / 2);
  }
  KOKKOS_FUNCTION T slope(T y, T t) const {
    const T d = y - t;
    return d > edge ? outer : d < -edge ? -outer : d * inner;
  }
};

template <class T>
struct HuberElement : QuadraticThenLinear<T> {
  explicit HuberElement(const Deck& deck) {
    const auto delta = static_cast<T>(deck.real("loss.delta"));
    this->edge = delta, this->inner = 1, this->outer = delta;
  }
};

template <class T>
struct SmoothL1Element : QuadraticThenLinear<T> {
  explicit SmoothL1Element(const Deck& deck) {
    const auto beta = static_cast<T>(deck.real("loss.beta"));
    this->edge = beta, this->inner = 1 / beta, this->outer = 1;
  }
};

template <class T>
using Huber = ElementwiseLoss<T, HuberElement>;
template <class T>
using SmoothL1 = ElementwiseLoss<T, SmoothL1Element>;

}  // namespace

TRIREME_LOSS(huber) {
  return {.help = "Huber loss with d = |y - t|: d^2 / 2 up to loss.delta, delta (d - delta / 2) beyond, as torch.nn.HuberLoss.",
          .keys = {number("loss.delta", KeySpec::Type::real, "1", above(0), "Error at which huber changes from quadratic to linear.")},
          .uses = {"loss.ignore", "loss.reduction_weights"},
          .make = Maker<Loss, const Deck&, const LossTargets&>::of<Huber>()};
}

TRIREME_LOSS(smooth_l1) {
  return {.help = "Smooth L1 loss with d = |y - t|: d^2 / (2 beta) up to loss.beta, d - beta / 2 beyond, as torch.nn.SmoothL1Loss.",
          .keys = {number("loss.beta", KeySpec::Type::real, "1", above(0), "Error at which smooth_l1 changes from quadratic to linear.")},
          .uses = {"loss.ignore", "loss.reduction_weights"},
          .make = Maker<Loss, const Deck&, const LossTargets&>::of<SmoothL1>()};
}

}  // namespace trireme
