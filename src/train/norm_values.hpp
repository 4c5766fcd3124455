// Whether every batch_norm, instance_norm and group_norm of a network takes its moments of more than one value in each pass of a training. Of one value the variance is 0: every output is
// then the bias, whatever the input, and the running variance becomes 0. PyTorch refuses it, too ("Expected more than 1 value per channel when training").
#pragma once

#include <cstdint>

#include "config/deck.hpp"
#include "parallel/plan.hpp"

namespace trireme {

/// Usage errors name the layer, the passes that have one value, and the remedy. `rows`: of the training set; 0: not known, only whole batches are looked at.
void require_norm_values(const ParallelPlan& plan, const Deck& deck, std::int64_t rows);

}  // namespace trireme
