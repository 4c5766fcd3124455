// How much memory this process may use at most.
#pragma once

#include <cstdint>

namespace trireme {

/// Bytes of the machine's memory, or of what its control group (Slurm, a container) allows if that is less. The environment's TRIREME_MACHINE_MEMORY, in
/// MiB, stands for the machine in tests. The most that an integer holds where nothing can be found out.
std::int64_t machine_memory();

}  // namespace trireme
