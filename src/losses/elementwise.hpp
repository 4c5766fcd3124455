// The kernel of losses that are sums over elements: a loss provides a functor of one output and one target.
#pragma once

#include <limits>
#include <type_traits>

#include "losses/loss.hpp"

namespace trireme {

/// One pixel of an elementwise loss. `Plain`: every element counts 1.
template <class T, class Element, bool Plain>
struct ElementwiseItem {
  Element element;
  std::int64_t pixels;
  LossChannels at;
  Span<const T> y, targets;
  T factor;
  Span<T> dy;
  Ignored<T> ignored;
  RowWeights rows;

  KOKKOS_FUNCTION void operator()(std::int64_t sample, std::int64_t pixel, LossSums& sums) const {
    const std::int64_t item = sample * pixels + pixel;
    const bool with_gradient = dy.data() != nullptr;
    const double weight = Plain ? 1.0 : rows.at(pixel);
    for (std::int64_t c = 0; c < at.own; ++c) {
      const std::int64_t i = item * at.y_stride + at.y_first + c;
      const T value = y(i), target = targets(item * at.t_stride + at.t_first + c);
      if constexpr (Plain) {
        sums.loss += static_cast<double>(element.value(value, target));
        if (with_gradient) dy(i) = factor * element.slope(value, target);
      } else {
        const bool counts = !ignored(target);
        if (counts) {
          sums.loss += weight * static_cast<double>(element.value(value, target));
          sums.weight += weight;
        }
        if (with_gradient) dy(i) = counts ? static_cast<T>(weight) * factor * element.slope(value, target) : T{};
      }
    }
  }
};

/// `Element` has `T value(T y, T t)`, the loss of one output, and `T slope(T y, T t)`, its derivative with respect to y; both KOKKOS_FUNCTION and const, or
/// static.
template <class T, class Element>
void elementwise_loss(const LossPass<T>& pass, const Element& element) {
  const bool plain = !pass.ignored.on && pass.rows.of_row.data() == nullptr;
  LossChannels at = pass.channels;
  std::int64_t pixels = pass.pixels;
  if (at.dense() && pass.rows.of_row.data() == nullptr) pixels *= at.own, at = {1, 0, 1, 0, 1};
  const auto run = [&](const auto& item) { sum_loss(pass.exec, "trireme::loss::elementwise", pass.n, pixels, at.own, item, pass.partial, pass.sums); };
  if (plain)
    run(ElementwiseItem<T, Element, true>{element, pixels, at, pass.y, pass.targets.values, pass.factor, pass.dy, {}, {}});
  else
    run(ElementwiseItem<T, Element, false>{element, pixels, at, pass.y, pass.targets.values, pass.factor, pass.dy, pass.ignored, pass.rows});
}

/// The loss of an element functor, which may be made from a deck.
template <class T, template <class> class Element>
class ElementwiseLoss : public Loss<T> {
 public:
  ElementwiseLoss(const Deck& deck, const LossTargets&) : element_(made(deck)) {}
  void apply(const LossPass<T>& pass) const override { elementwise_loss<T>(pass, element_); }

 private:
  static Element<T> made(const Deck& deck) {
    if constexpr (std::is_constructible_v<Element<T>, const Deck&>)
      return Element<T>(deck);
    else
      return {};
  }
  Element<T> element_;
};

// Probabilities, for losses with targets in [0, 1].

/// Whether v is in [0, 1], up to rounding. False for NaN.
template <class T>
KOKKOS_INLINE_FUNCTION bool is_probability(T v) {
  constexpr T slack = 4 * std::numeric_limits<T>::epsilon();
  return v >= -slack && v <= T{1} + slack;
}

/// The loss of a value that is not a probability: `infinity`, or NaN if the value is NaN.
template <class T>
KOKKOS_INLINE_FUNCTION T loss_outside_domain(T v, T infinity) {
  return v != v ? v : infinity;
}

}  // namespace trireme
