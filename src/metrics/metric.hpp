// Metrics: the registry of evaluation results. A file of this folder registers one with TRIREME_METRIC(name). docs/metrics.md defines each.
//
// A metric is a function of exact sums and counts over all samples (MetricStatistics), which the evaluator computes on any number of ranks.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "losses/loss.hpp"
#include "metrics/output_sums.hpp"

namespace trireme {

/// Sums and counts over all samples; for binary targets and values also over all outputs.
struct MetricStatistics {
  LossKind::Targets targets = LossKind::Targets::values;
  std::int64_t samples = 0, outputs = 0;  // outputs: per sample
  std::int64_t counted = -1;              // classes: samples or pixels that are not ignored; -1: all samples

  std::int64_t pixels = 1;  // targets of one kind per sample: pixels of the output

  // Targets::classes
  std::int64_t classes = 0;
  std::int64_t hits = 0, top5_hits = 0;  // samples (or pixels) whose largest score, or one of the five largest, is that of their class
  std::int64_t undefined = 0;            // samples with a NaN score, or pairs with a NaN; they are in no other count
  std::vector<std::int64_t> confusion;   // (true, predicted), row-major; empty: not counted

  // Targets::binary
  std::int64_t true_positives = 0, false_positives = 0, false_negatives = 0, true_negatives = 0;
  std::int64_t soft_targets = 0;  // targets that are neither 0 nor 1

  // Targets::binary and values
  OutputTotals errors;
  LongSum relative;                   // values: sum over samples of ||y - t|| / ||t||
  std::int64_t relative_samples = 0;  // samples with ||t|| > 0

  /// Of binary targets, and of two classes; empty: not known (too many targets, or all of one kind).
  std::optional<double> auroc = {};

  std::int64_t class_targets() const { return counted < 0 ? samples : counted; }
  /// Two classes, or binary targets that are all 0 or 1: precision and recall are defined.
  bool has_positives() const { return targets == LossKind::Targets::binary ? soft_targets == 0 : targets == LossKind::Targets::classes && classes == 2; }
};

/// Empty: the metric is not defined here ("n/a", null in JSON). Not finite: "nan" or "inf", and null.
using MetricValue = std::optional<double>;

struct MetricKind {
  std::string name = {};  // its key in JSON; the registry sets it
  std::string help;       // one sentence, for docs/metrics.md
  std::string label;      // in the log: "top-5"
  enum class Format { percent, fraction, number } format = Format::fraction;
  int place = 100;  // position in the log line, ascending
  /// Whether evaluations with these targets report the metric, with or without a value.
  std::function<bool(const MetricStatistics&)> applies;
  /// Whether an applicable metric is in the log line; empty: always.
  std::function<bool(const MetricStatistics&)> is_logged = {};
  std::function<MetricValue(const MetricStatistics&)> value;
  /// One value per class or channel, for the JSON of `trireme evaluate`: NAME_by_class or NAME_by_channel. Empty list: none.
  std::function<std::vector<MetricValue>(const MetricStatistics&)> values = {};
};

/// All metrics, in the order of their files.
const std::vector<MetricKind>& metric_kinds();

#define TRIREME_METRIC(kind) MetricKind metric_kind_##kind()

/// a / b. Empty if b is 0, NaN if a sample or output is undefined.
MetricValue metric_ratio(std::int64_t a, std::int64_t b, const MetricStatistics& of);

}  // namespace trireme
