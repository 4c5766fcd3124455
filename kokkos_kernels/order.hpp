// Order between execution-space instances, without the caller's waiting.
#pragma once

#include "kokkos_kernels/types.hpp"

namespace trireme {

/// An instance whose work may run beside that of `exec`; on the host, where launches end before they return, `exec` itself.
Execution beside(const Execution& exec);

/// What is launched on `later` from now on starts when all that was launched on `earlier` until now has ended.
void run_after(const Execution& later, const Execution& earlier);

}  // namespace trireme
