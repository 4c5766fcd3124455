// The devices of this node, before Kokkos is initialized.
#pragma once

namespace trireme {

/// Number of devices that this build can use; 0 in a host build. Throws a usage error with the reason if a device build finds none.
int device_count();

/// Call it once after Kokkos is initialized: launches one team kernel, so that Kokkos now allocates the small scratch memory that it otherwise requests
/// at each team launch, although no kernel needs it.
void settle_team_memory();

}  // namespace trireme
