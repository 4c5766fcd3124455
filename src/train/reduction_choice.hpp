// Chooses how a run reduces its gradients. If the deck does not set a value, the newest checkpoint decides, so a run that resumes on the same number of ranks
// adds in the same order and its results are bitwise identical.
#pragma once

#include <cstdint>

#include "reduction/gradient_reducer.hpp"
#include "train/resume_check.hpp"
#include "train/run_context.hpp"

namespace trireme {

/// Options from parallel.bucket and parallel.reduce, for an arena of `gradients` elements. Collective; usage errors name options that cannot be combined. A
/// checkpoint that cannot be read is ignored here; restoring it reports the error.
ReduceOptions choose_reduction(const RunContext& run, std::int64_t gradients);

/// Adds the choice to `fingerprint`, for the checkpoints of this run. Not collective.
template <class T>
void record_reduction(const RunContext& run, const GradientReducer<T>& reducer, Fingerprint& fingerprint);

}  // namespace trireme
