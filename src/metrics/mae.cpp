// mae: the mean absolute error.
#include "metrics/metric.hpp"

namespace trireme {

TRIREME_METRIC(mae) {
  return {.help = "Mean of |y - t| over all samples and outputs; with bce_with_logits y is the sigmoid of the output.",
          .label = "MAE",
          .format = MetricKind::Format::number,
          .place = 20,
          .applies = [](const MetricStatistics& s) { return s.targets != LossKind::Targets::classes; },
          .value = [](const MetricStatistics& s) -> MetricValue {
            // Without ignored targets there are as many as outputs.
            return s.errors.absolute.value() / (s.errors.count > 0 ? s.errors.count : static_cast<double>(s.samples) * static_cast<double>(s.outputs));
          }};
}

}  // namespace trireme
