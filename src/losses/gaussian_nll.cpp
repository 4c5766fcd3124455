// gaussian_nll: negative log-likelihood of a normal distribution whose mean and variance the network predicts (Nix and Weigend 1994), as
// torch.nn.GaussianNLLLoss.
//
//   channels of the output:  [ mean 0 ... mean C-1 | variance 0 ... variance C-1 ]      targets: C channels
#include "losses/loss.hpp"

namespace trireme {

namespace {

template <class T>
struct GaussianItem {
  std::int64_t pixels;
  LossChannels at;
  Span<const T> y, targets;
  T factor, least;
  Span<T> dy;
  Ignored<T> ignored;
  RowWeights rows;

  KOKKOS_FUNCTION void operator()(std::int64_t sample, std::int64_t pixel, LossSums& sums) const {
    const std::int64_t item = sample * pixels + pixel, channels = at.own / 2;
    const double weight = rows.at(pixel);
    for (std::int64_t c = 0; c < channels; ++c) {
      const std::int64_t mean = item * at.y_stride + at.y_first + c, variance = mean + channels;
      const T t = targets(item * at.t_stride + at.t_first + c), d = y(mean) - t, given = y(variance), v = given < least ? least : given;
      const bool counts = !ignored(t);
      if (counts) {
        sums.loss += weight * static_cast<double>((Kokkos::log(v) + d * d / v) / 2);
        sums.weight += weight;
      }
      if (dy.data() == nullptr) continue;
      const T scale = counts ? static_cast<T>(weight) * factor : T{};
      dy(mean) = counts ? scale * (d / v) : T{};
      dy(variance) = counts ? scale * ((1 - d * d / v) / v / 2) : T{};  // also where the variance is at its least, as PyTorch
    }
  }
};

template <class T>
class GaussianNll : public Loss<T> {
 public:
  GaussianNll(const Deck& deck, const LossTargets&) : least_(static_cast<T>(deck.real("loss.eps"))) {}
  void apply(const LossPass<T>& pass) const override {
    sum_loss(pass.exec, "trireme::loss::gaussian_nll", pass.n, pass.pixels, pass.channels.own,
             GaussianItem<T>{pass.pixels, pass.channels, pass.y, pass.targets.values, pass.factor, least_, pass.dy, pass.ignored, pass.rows}, pass.partial,
             pass.sums);
  }

 private:
  T least_;
};

}  // namespace

TRIREME_LOSS(gaussian_nll) {
  return {.help =
              "Negative log-likelihood of targets under normal distributions, (log v + (m - t)^2 / v) / 2, as torch.nn.GaussianNLLLoss. The first half of "
              "the output's channels are the means m, the second half the variances v: make them positive, for example with softplus.",
          .keys = {number("loss.eps", KeySpec::Type::real, "1e-6", above(0), "Smallest variance in gaussian_nll: smaller ones count as this.")},
          .whole_channels = true,
          .outputs_per_target = 2,
          .uses = {"loss.ignore", "loss.reduction_weights"},
          .make = Maker<Loss, const Deck&, const LossTargets&>::of<GaussianNll>()};
}

}  // namespace trireme
