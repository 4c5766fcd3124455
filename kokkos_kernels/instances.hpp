// Dependencies between execution-space instances, without blocking the host.
#pragma once

#include "kokkos_kernels/types.hpp"

namespace trireme {

/// A new instance whose work may run concurrently with that of `exec`; on the host, where launches complete before they return, `exec` itself.
Execution new_instance(const Execution& exec);

/// All work launched on `later` after this call starts after all work launched on `earlier` before it.
void wait_for(const Execution& later, const Execution& earlier);

}  // namespace trireme
