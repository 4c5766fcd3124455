// What evaluations decide: the best checkpoint (train.best), the end for want of improvement (train.patience) or at a target (train.target), and the reductions
// of the plateau schedule.
//
// All decisions follow from the metrics of evaluations at the ends of epochs and from QualityState, which checkpoints keep: a restart decides as a run that
// nothing interrupted. Not collective; every rank decides from the same numbers.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "config/deck.hpp"
#include "train/quality_state.hpp"

namespace trireme {

/// A metric and its better direction: "loss", "accuracy", "max:NAME", "min:NAME".
struct QualityMetric {
  std::string name;
  bool higher = false;

  /// Throws a usage error that names `what` if the direction is not known.
  static QualityMetric parse(const std::string& text, const std::string& what);
  bool better(double value, double than) const { return higher ? value > than : value < than; }
};

class Quality {
 public:
  /// `validates`, `tests`: whether the run has validation and test data that it evaluates. Throws usage errors that name keys of [train] and [schedule].
  Quality(const Deck& deck, bool validates, bool tests);

  /// Whether the deck asks for any decision.
  bool wanted() const { return best_ || target_ || plateau_; }
  /// The evaluation that decides: "validation", or "test" without validation data.
  const std::string& source() const { return source_; }
  /// Usage error unless evaluations report all metrics that the deck names.
  void require_metrics(const std::vector<std::string>& names) const;

  struct Verdict {
    bool improved = false;  // a new best
    bool reached = false;   // the target
    bool reduced = false;   // the plateau schedule's factor
  };
  /// Takes the metrics of the evaluation at `step` into account, once.
  Verdict observe(const nlohmann::json& metrics, std::int64_t step, QualityState& state) const;

  /// Why the run ends before its last step; empty: it goes on.
  std::string end_reason(const QualityState& state) const;
  bool keeps_best() const { return best_.has_value(); }
  std::string best_text(const QualityState& state) const;    // "validation accuracy 0.97"
  std::string target_text(const QualityState& state) const;  // "validation accuracy 0.971 >= 0.97"
  nlohmann::json target_json(const QualityState& state) const;
  nlohmann::json best_json(const QualityState& state) const;
  /// A warning for the log; empty: none.
  std::string warning() const;

 private:
  bool meets_target(double value) const { return target_at_least_ ? value >= target_value_ : value <= target_value_; }
  bool observe_plateau(double value, QualityState& state) const;

  std::string source_;
  std::optional<QualityMetric> best_, plateau_;
  std::int64_t patience_;
  std::optional<std::string> target_;  // name of the metric
  bool target_at_least_ = true;
  double target_value_ = 0;
  // plateau
  std::int64_t tolerated_ = 0, cooldown_ = 0;
  double threshold_ = 0, gamma_ = 1, least_ = 0;
};

}  // namespace trireme
