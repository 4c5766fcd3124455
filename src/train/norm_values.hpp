// Checks that every batch_norm, instance_norm and group_norm of a network normalizes over more than one value in each training pass. The variance of
// one value is 0: the output would always be the bias, whatever the input, and the running variance would become 0. PyTorch refuses this, too
// ("Expected more than 1 value per channel when training").
#pragma once

#include <cstdint>

#include "config/deck.hpp"
#include "parallel/plan.hpp"

namespace trireme {

/// Usage errors name the layer, the passes with one value, and the remedy. `rows`: rows of the training set; 0: unknown, only full batches are
/// checked.
void require_norm_values(const ParallelPlan& plan, const Deck& deck, std::int64_t rows);

}  // namespace trireme
