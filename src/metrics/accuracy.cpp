// accuracy and top-5 accuracy.
#include "metrics/metric.hpp"

namespace trireme {

TRIREME_METRIC(accuracy) {
  return {.help = "Share of samples (or pixels) whose largest score is their class's; of binary targets, of outputs on the right side of 1/2.",
          .label = "accuracy",
          .format = MetricKind::Format::percent,
          .place = 1,
          .applies = [](const MetricStatistics& s) { return s.targets != LossKind::Targets::values; },
          .is_logged = [](const MetricStatistics& s) { return s.targets == LossKind::Targets::classes || s.soft_targets == 0; },
          .value = [](const MetricStatistics& s) -> MetricValue {
            if (s.targets == LossKind::Targets::classes) return metric_ratio(s.hits, s.class_targets(), s);
            if (s.soft_targets > 0) return {};
            return metric_ratio(s.true_positives + s.true_negatives, s.true_positives + s.false_positives + s.false_negatives + s.true_negatives, s);
          }};
}

TRIREME_METRIC(top5) {
  return {.help = "Share of samples (or pixels) whose class is among the five largest scores.",
          .label = "top-5",
          .format = MetricKind::Format::percent,
          .place = 2,
          .applies = [](const MetricStatistics& s) { return s.targets == LossKind::Targets::classes; },
          .is_logged = [](const MetricStatistics& s) { return s.classes != 2; },
          .value = [](const MetricStatistics& s) { return metric_ratio(s.top5_hits, s.class_targets(), s); }};
}

}  // namespace trireme
