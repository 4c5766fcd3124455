// rmse, latitude_rmse, relative_l2, psnr: errors of numbers.
#include <cmath>

#include "metrics/metric.hpp"

namespace trireme {

namespace {

bool of_values(const MetricStatistics& s) { return s.targets == LossKind::Targets::values; }
MetricValue root(double square, double count) { return count > 0 ? MetricValue(std::sqrt(square / count)) : MetricValue(); }

}  // namespace

TRIREME_METRIC(rmse) {
  return {.help = "Root of the mean of (y - t)^2 over all targets; of each channel too.",
          .label = "RMSE",
          .format = MetricKind::Format::number,
          .place = 22,
          .applies = of_values,
          .value = [](const MetricStatistics& s) { return root(s.errors.squared.value(), s.errors.count); },
          .values =
              [](const MetricStatistics& s) {
                std::vector<MetricValue> all;
                if (of_values(s))
                  for (const OutputTotals::Channel& channel : s.errors.channels) all.push_back(root(channel.squared.value(), channel.count));
                return all;
              }};
}

TRIREME_METRIC(latitude_rmse) {
  return {.help = "RMSE with the weights of loss.reduction_weights (cosine of the latitude).",
          .label = "latitude-weighted RMSE",
          .format = MetricKind::Format::number,
          .place = 23,
          .applies = [](const MetricStatistics& s) { return of_values(s) && s.errors.weight.value() > 0; },
          .value = [](const MetricStatistics& s) { return root(s.errors.weighted_squared.value(), s.errors.weight.value()); }};
}

TRIREME_METRIC(relative_l2) {
  return {.help = "Mean over samples of ||y - t|| / ||t||; samples whose targets are all 0 do not count.",
          .label = "relative L2",
          .place = 24,
          .applies = of_values,
          .is_logged = [](const MetricStatistics& s) { return s.pixels > 1; },
          .value = [](const MetricStatistics& s) -> MetricValue {
            if (s.relative_samples == 0) return {};
            return s.relative.value() / static_cast<double>(s.relative_samples);
          }};
}

TRIREME_METRIC(psnr) {
  return {.help = "Peak signal-to-noise ratio in dB, 10 log10(range^2 / mean (y - t)^2), where range is the largest minus the smallest target.",
          .label = "PSNR",
          .format = MetricKind::Format::number,
          .place = 25,
          .applies = of_values,
          .is_logged = [](const MetricStatistics&) { return false; },
          .value = [](const MetricStatistics& s) -> MetricValue {
            const double range = s.errors.high - s.errors.low, square = s.errors.count > 0 ? s.errors.squared.value() / s.errors.count : 0;
            if (!(range > 0) || square == 0) return {};
            return 10 * std::log10(range * range / square);
          }};
}

}  // namespace trireme
