// iou, mean_iou, mean_dice: overlap of predicted and true classes, from the confusion matrix, as torchmetrics' JaccardIndex and F1Score (macro average over the
// classes that occur).
#include "metrics/metric.hpp"

namespace trireme {

namespace {

bool has_confusion(const MetricStatistics& s) { return s.targets == LossKind::Targets::classes && !s.confusion.empty(); }

/// Of each class: hits / (hits + weight * (false positives + false negatives)); empty if the class occurs neither as target nor as prediction.
std::vector<MetricValue> overlaps(const MetricStatistics& s, double weight) {
  std::vector<MetricValue> all;
  const std::int64_t n = s.classes;
  const auto count = [&](std::int64_t t, std::int64_t p) { return s.confusion[static_cast<std::size_t>(t * n + p)]; };
  for (std::int64_t c = 0; c < n; ++c) {
    std::int64_t wrong = 0;
    for (std::int64_t other = 0; other < n; ++other)
      if (other != c) wrong += count(c, other) + count(other, c);
    const std::int64_t hits = count(c, c);
    const MetricValue defined = metric_ratio(hits, hits + wrong, s);  // n/a and NaN as everywhere
    all.push_back(defined && *defined == *defined ? MetricValue(static_cast<double>(hits) / (static_cast<double>(hits) + weight * static_cast<double>(wrong)))
                                                  : defined);
  }
  return all;
}

MetricValue mean_of(const std::vector<MetricValue>& all) {
  double sum = 0;
  std::int64_t count = 0;
  for (const MetricValue& value : all)
    if (value) sum += *value, ++count;
  return count == 0 ? MetricValue() : sum / static_cast<double>(count);
}

bool of_pixels(const MetricStatistics& s) { return s.class_targets() > s.samples || s.pixels > 1; }

}  // namespace

TRIREME_METRIC(iou) {
  return {.help = "Intersection over union, true positives / (true positives + false positives + false negatives); with classes, of each.",
          .label = "IoU",
          .place = 14,
          .applies = [](const MetricStatistics& s) { return s.targets == LossKind::Targets::binary; },
          .is_logged = [](const MetricStatistics& s) { return s.has_positives() && s.pixels > 1; },
          .value = [](const MetricStatistics& s) -> MetricValue {
            if (!s.has_positives()) return {};
            return metric_ratio(s.true_positives, s.true_positives + s.false_positives + s.false_negatives, s);
          },
          .values = [](const MetricStatistics& s) { return has_confusion(s) ? overlaps(s, 1) : std::vector<MetricValue>(); }};
}

TRIREME_METRIC(mean_iou) {
  return {.help = "Mean over the classes that occur of the intersection over union.",
          .label = "mIoU",
          .place = 15,
          .applies = has_confusion,
          .is_logged = of_pixels,
          .value = [](const MetricStatistics& s) { return mean_of(overlaps(s, 1)); }};
}

TRIREME_METRIC(dice) {
  return {.help = "Dice score (F1) of each class, 2 true positives / (2 true positives + false positives + false negatives).",
          .label = "Dice",
          .applies = [](const MetricStatistics&) { return false; },
          .value = [](const MetricStatistics&) { return MetricValue(); },
          .values = [](const MetricStatistics& s) { return has_confusion(s) ? overlaps(s, 0.5) : std::vector<MetricValue>(); }};
}

TRIREME_METRIC(mean_dice) {
  return {.help = "Mean over the classes that occur of the Dice score (macro F1).",
          .label = "mDice",
          .place = 16,
          .applies = has_confusion,
          .is_logged = of_pixels,
          .value = [](const MetricStatistics& s) { return mean_of(overlaps(s, 0.5)); }};
}

}  // namespace trireme
