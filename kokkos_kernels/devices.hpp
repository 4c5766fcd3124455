// The devices of this node, before Kokkos starts.
#pragma once

namespace trireme {

/// How many devices this build's kernels could run on; 0 in a build for the host. A usage error that says why where a build for a device finds none.
int device_count();

/// Once, when Kokkos has started: has it take the little memory that it would else ask for with each launch of teams, though nobody wants it.
void settle_team_memory();

}  // namespace trireme
