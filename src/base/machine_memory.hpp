// The memory limit of this process.
#pragma once

#include <cstdint>

namespace trireme {

/// Bytes of the machine's memory, or the limit of its control group (Slurm, a container) if that is smaller. For tests, TRIREME_MACHINE_MEMORY (MiB)
/// replaces the memory of the machine. Returns the largest integer if the limit is unknown.
std::int64_t machine_memory();

}  // namespace trireme
