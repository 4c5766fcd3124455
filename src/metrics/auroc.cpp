// auroc: area under the receiver operating characteristic, from all scores.
#include "metrics/auroc.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "metrics/metric.hpp"

namespace trireme {

MetricValue area_under_roc(std::vector<ScoredTarget> scores) {
  if (std::ranges::any_of(scores, [](const ScoredTarget& s) { return std::isnan(s.score); })) return std::numeric_limits<double>::quiet_NaN();
  std::ranges::sort(scores, {}, &ScoredTarget::score);
  // Pairs of a positive and a negative, in halves: 2 where the positive has the larger score, 1 where both have the same. Whole numbers below 2^63.
  std::int64_t halves = 0, positives = 0, negatives = 0;
  for (std::size_t at = 0; at < scores.size();) {
    std::int64_t tied_positives = 0, tied_negatives = 0;
    const double score = scores[at].score;
    for (; at < scores.size() && scores[at].score == score; ++at) ++(scores[at].positive != 0 ? tied_positives : tied_negatives);
    halves += tied_positives * (2 * negatives + tied_negatives);
    positives += tied_positives;
    negatives += tied_negatives;
  }
  if (positives == 0 || negatives == 0) return {};
  return static_cast<double>(halves) / (2 * static_cast<double>(positives) * static_cast<double>(negatives));
}

TRIREME_METRIC(auroc) {
  return {
      .help = "Area under the receiver operating characteristic: the probability that a positive target has a larger score than a negative one (ties: 1/2).",
      .label = "AUROC",
      .place = 13,
      .applies = [](const MetricStatistics& s) { return s.targets == LossKind::Targets::binary || s.has_positives(); },
      .is_logged = [](const MetricStatistics& s) { return s.has_positives() && s.auroc.has_value(); },
      .value = [](const MetricStatistics& s) -> MetricValue { return s.has_positives() ? s.auroc : MetricValue(); }};
}

}  // namespace trireme
