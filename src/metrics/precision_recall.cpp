// precision, recall and F1 of binary targets (micro average) and of class 1 of two.
#include "metrics/metric.hpp"

namespace trireme {

namespace {

struct Positives {
  std::int64_t hits, false_alarms, misses;
};

Positives positives(const MetricStatistics& s) {
  if (s.targets == LossKind::Targets::binary) return {s.true_positives, s.false_positives, s.false_negatives};
  return {s.confusion[3], s.confusion[1], s.confusion[2]};
}

bool applies(const MetricStatistics& s) { return s.targets == LossKind::Targets::binary || s.has_positives(); }
bool is_logged(const MetricStatistics& s) { return s.has_positives(); }

}  // namespace

TRIREME_METRIC(precision) {
  return {.help = "True positives / (true positives + false positives).",
          .label = "precision",
          .place = 10,
          .applies = applies,
          .is_logged = is_logged,
          .value = [](const MetricStatistics& s) -> MetricValue {
            if (!s.has_positives()) return {};
            const Positives p = positives(s);
            return metric_ratio(p.hits, p.hits + p.false_alarms, s);
          }};
}

TRIREME_METRIC(recall) {
  return {.help = "True positives / (true positives + false negatives).",
          .label = "recall",
          .place = 11,
          .applies = applies,
          .is_logged = is_logged,
          .value = [](const MetricStatistics& s) -> MetricValue {
            if (!s.has_positives()) return {};
            const Positives p = positives(s);
            return metric_ratio(p.hits, p.hits + p.misses, s);
          }};
}

TRIREME_METRIC(f1) {
  return {.help = "Harmonic mean of precision and recall.",
          .label = "F1",
          .place = 12,
          .applies = applies,
          .is_logged = is_logged,
          .value = [](const MetricStatistics& s) -> MetricValue {
            if (!s.has_positives()) return {};
            const Positives p = positives(s);
            return metric_ratio(2 * p.hits, 2 * p.hits + p.false_alarms + p.misses, s);
          }};
}

}  // namespace trireme
