// r2: the coefficient of determination.
#include "metrics/metric.hpp"

namespace trireme {

TRIREME_METRIC(r2) {
  return {.help = "1 - sum (y - t)^2 / sum (t - mean t)^2, the mean over outputs whose targets vary; n/a where none varies.",
          .label = "R2",
          .place = 21,
          .applies = [](const MetricStatistics& s) { return s.targets != LossKind::Targets::classes; },
          .value = [](const MetricStatistics& s) -> MetricValue {
            if (s.errors.varying == 0) return {};
            return s.errors.r2.value() / static_cast<double>(s.errors.varying);
          }};
}

}  // namespace trireme
