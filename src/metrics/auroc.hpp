// The area under the receiver operating characteristic, exactly, from the scores of all targets.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace trireme {

struct ScoredTarget {
  double score;
  std::int64_t positive;
};

/// Evaluations with more targets than this have no AUROC: every rank would have to hold all scores.
inline constexpr std::int64_t most_scores = std::int64_t{1} << 21;

/// Empty if there are no positive or no negative targets; NaN if a score is NaN.
std::optional<double> area_under_roc(std::vector<ScoredTarget> scores);

}  // namespace trireme
