// Groups of parameters with a learning rate and weight decay of their own, and parameters that are not trained, by patterns of their names.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/name_pattern.hpp"
#include "base/shape.hpp"
#include "config/deck.hpp"

namespace trireme {

struct ParameterGroup {
  std::string text;  // as in the deck; empty: the parameters of no other group
  std::vector<NamePattern> match = {};
  std::optional<double> lr, weight_decay;  // empty: those of [optimizer]
  double lr_factor = 1;                    // lr / optimizer.lr
  std::int64_t arrays = 0, numbers = 0;    // of the whole model
};

class ParameterGroups {
 public:
  static constexpr int frozen = -1;

  /// From optimizer.groups and optimizer.freeze. `names`, `shapes`: the parameters of the whole model. Throws usage errors: a pattern matches nothing, a group
  /// is empty, nothing is trained.
  ParameterGroups(const Deck& deck, const std::vector<std::string>& names, const std::vector<Shape>& shapes);

  /// The group of all other parameters comes first.
  const std::vector<ParameterGroup>& groups() const { return groups_; }
  /// The number of the group of a parameter, or `frozen`.
  int group_of(const std::string& name) const;
  bool any_frozen() const { return frozen_arrays_ > 0; }
  /// Whether all parameters are trained alike.
  bool trivial() const { return groups_.size() == 1 && !any_frozen(); }
  /// Lines for the log; none if trivial.
  std::vector<std::string> lines() const;

 private:
  std::vector<NamePattern> freeze_;
  std::vector<ParameterGroup> groups_;
  std::int64_t frozen_arrays_ = 0, frozen_numbers_ = 0;
};

}  // namespace trireme
