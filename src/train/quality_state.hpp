// The part of a run's progress that evaluations have decided (quality.hpp).
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>

namespace trireme {

struct QualityState {
  std::int64_t evaluated_step = -1;                                      // of the last evaluation that counted; -1: none
  std::int64_t best_step = -1, without = 0;                              // evaluations since the best one
  std::int64_t target_step = -1;                                         // first evaluation that met the target
  std::int64_t plateau_bad = 0, plateau_cooldown = 0, plateau_seen = 0;  // plateau_seen: plateau_best has a value
  double best = 0, target = 0, plateau_best = 0;
  double plateau_factor = 1;  // of the learning rate

  std::array<std::int64_t*, 7> integers() { return {&evaluated_step, &best_step, &without, &target_step, &plateau_bad, &plateau_cooldown, &plateau_seen}; }
  std::array<double*, 4> reals() { return {&best, &target, &plateau_best, &plateau_factor}; }
  static constexpr std::array<const char*, 7> integer_names{"quality_evaluated_step", "quality_best_step", "quality_without",     "quality_target_step",
                                                            "quality_plateau_bad",    "quality_cooldown",  "quality_plateau_seen"};
  static constexpr std::array<const char*, 4> real_names{"quality_best", "quality_target", "quality_plateau_best", "quality_plateau_factor"};

  /// To and from the content of a checkpoint. Nothing is stored before the first evaluation that counts, so that files of other runs keep their content.
  void store(std::map<std::string, std::int64_t>& to_integers, std::map<std::string, double>& to_reals) const {
    if (evaluated_step < 0) return;
    QualityState copy = *this;
    for (std::size_t i = 0; i < integer_names.size(); ++i) to_integers[integer_names[i]] = *copy.integers()[i];
    for (std::size_t i = 0; i < real_names.size(); ++i) to_reals[real_names[i]] = *copy.reals()[i];
  }
  static QualityState from(const std::map<std::string, std::int64_t>& integers, const std::map<std::string, double>& reals) {
    QualityState state;
    for (std::size_t i = 0; i < integer_names.size(); ++i)
      if (const auto at = integers.find(integer_names[i]); at != integers.end()) *state.integers()[i] = at->second;
    for (std::size_t i = 0; i < real_names.size(); ++i)
      if (const auto at = reals.find(real_names[i]); at != reals.end()) *state.reals()[i] = at->second;
    return state;
  }
};

}  // namespace trireme
