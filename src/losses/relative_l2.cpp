// relative_l2: the error relative to the norm of the target, ||y - t|| / ||t|| of each sample, as neural operators use (Li et al. 2021).
//
// Ranks that share the pixels of a sample add up its two squares before any of them can find the loss or its gradient.
#include "losses/loss.hpp"

namespace trireme {

namespace {

template <class T>
struct SquaresItem {
  std::int64_t pixels;
  LossChannels at;
  Span<const T> y, targets;
  Ignored<T> ignored;

  KOKKOS_FUNCTION void operator()(std::int64_t sample, std::int64_t pixel, double* sums) const {
    const std::int64_t item = sample * pixels + pixel;
    for (std::int64_t c = 0; c < at.own; ++c) {
      const T t = targets(item * at.t_stride + at.t_first + c);
      if (ignored(t)) continue;
      const auto wanted = static_cast<double>(t), d = static_cast<double>(y(item * at.y_stride + at.y_first + c)) - wanted;
      sums[0] += d * d;
      sums[1] += wanted * wanted;
    }
  }
};

/// The norm that errors are divided by: 1e-12 where the target is 0.
KOKKOS_INLINE_FUNCTION double norm_of(double square) { return square > 1e-24 || square != square ? Kokkos::sqrt(square) : 1e-12; }

template <class T>
struct RelativeItem {
  std::int64_t pixels;
  LossChannels at;
  Span<const T> y, targets;
  T factor;
  Span<T> dy;
  Ignored<T> ignored;
  Span<const double> statistics;

  KOKKOS_FUNCTION void operator()(std::int64_t sample, std::int64_t pixel, LossSums& sums) const {
    const double error = Kokkos::sqrt(statistics(2 * sample)), norm = norm_of(statistics(2 * sample + 1));
    if (pixel == 0) sums.loss += error / norm, sums.weight += 1;
    if (dy.data() == nullptr) return;
    const double scale = error == 0 ? 0.0 : static_cast<double>(factor) / (error * norm);
    const std::int64_t item = sample * pixels + pixel;
    for (std::int64_t c = 0; c < at.own; ++c) {
      const std::int64_t i = item * at.y_stride + at.y_first + c;
      const T t = targets(item * at.t_stride + at.t_first + c);
      dy(i) = ignored(t) ? T{} : static_cast<T>(scale * (static_cast<double>(y(i)) - static_cast<double>(t)));
    }
  }
};

template <class T>
class RelativeL2 : public Loss<T> {
 public:
  RelativeL2(const Deck&, const LossTargets&) {}
  std::int64_t statistics() const override { return 2; }
  void gather(const LossPass<T>& pass, Span<double> statistics) const override {
    sum_samples(pass.exec, "trireme::loss::relative_l2::squares", pass.n, pass.pixels, pass.channels.own, 2,
                SquaresItem<T>{pass.pixels, pass.channels, pass.y, pass.targets.values, pass.ignored}, pass.partial, statistics);
  }
  void apply(const LossPass<T>& pass) const override {
    sum_loss(pass.exec, "trireme::loss::relative_l2", pass.n, pass.pixels, pass.channels.own,
             RelativeItem<T>{pass.pixels, pass.channels, pass.y, pass.targets.values, pass.factor, pass.dy, pass.ignored, pass.statistics}, pass.partial,
             pass.sums);
  }
};

}  // namespace

TRIREME_LOSS(relative_l2) {
  return {.help = "Relative L2 error of each sample, ||y - t|| / ||t||, averaged over samples, as neural operators use (Li et al. 2021).",
          .whole_channels = true,
          .of_samples = true,
          .make = Maker<Loss, const Deck&, const LossTargets&>::of<RelativeL2>()};
}

}  // namespace trireme
