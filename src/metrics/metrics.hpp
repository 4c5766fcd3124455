// The results of an evaluation. docs/metrics.md defines each metric.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "metrics/metric.hpp"

namespace trireme {

struct Metrics {
  static constexpr std::int64_t most_confused = 1000;  // maximum number of classes with a confusion matrix

  MetricStatistics statistics;
  double loss = 0;  // mean over samples, and except for cross_entropy over outputs

  /// Of each loss, if there are several ([loss NAME]). `statistics` is then that of the first, and `loss` the weighted sum.
  struct Term {
    std::string name;
    double loss = 0;
    MetricStatistics statistics = {};
  };
  std::vector<Term> terms = {};

  /// The value of a metric by name, or of one loss as NAME.METRIC; empty if it is not defined or does not apply.
  MetricValue value(const std::string& name) const;
  /// {"samples", "loss", and each metric that applies}, and with several losses the same for each by its name instead. With `details` and classes also
  /// "confusion", null if there are too many classes.
  nlohmann::json json(bool details = false) const;
  /// "loss 0.0312  accuracy 99.04 %  top-5 99.99 %"
  std::string text() const;
};

}  // namespace trireme
