// The cores of the threads of a node's ranks: a fair number of threads, and warnings if ranks share cores.
#pragma once

#include <bitset>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "comm/communicator.hpp"

namespace trireme {

/// The cores (numbered as by the system) on which a thread may run.
using CpuMask = std::bitset<4096>;

/// Mask of the calling thread.
CpuMask cpu_mask();
/// Stores the mask that the launcher gave this process. Call it before the OpenMP library starts, because that binds the first thread to one core if
/// binding is on; later calls have no effect. Makes system calls only.
void remember_launch_mask();

/// Fair number of threads of rank `mine`: the sum over its cores of 1 / (ranks that may use the core); at least 1.
int fair_threads(std::span<const CpuMask> of_ranks, std::size_t mine);

/// Cores of one rank.
struct RankCpus {
  CpuMask launched;  // from the launcher
  CpuMask used;      // of its threads now
  int threads = 1;
};
/// A text that names the ranks of a node (whose first rank is `first`) that have more threads than cores together, with a remedy. Empty if there are
/// none, or if only the number of ranks exceeds the `machine` cores of the machine.
std::string crowded_text(std::span<const RankCpus> ranks, int first, const std::string& host, int machine);

/// The ranks of the node.
class CpuPlacement {
 public:
  /// Collective over `world`.
  explicit CpuPlacement(const Communicator& world);
  int place() const { return place_; }  // of this rank on its node
  int fair_threads() const { return trireme::fair_threads(launched_, static_cast<std::size_t>(place_)); }
  /// `used`: the cores on which this rank's threads may run. Warns once if ranks share cores, and sets cores(). Collective over `world`.
  void settle(const CpuMask& used, int threads);
  /// Number of cores that the threads of the job may use, as of the last settle(); 0: never called.
  static std::int64_t cores() { return cores_; }

 private:
  const Communicator& world_;
  std::vector<CpuMask> launched_;
  int place_ = 0;
  static inline std::int64_t cores_ = 0;
};

}  // namespace trireme
