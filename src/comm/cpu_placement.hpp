// On which cores the threads of a node's ranks may run: their fair number, and what is wrong where ranks are on each other's cores.
#pragma once

#include <bitset>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "comm/communicator.hpp"

namespace trireme {

/// The cores (as the system numbers them) that a thread may run on.
using CpuMask = std::bitset<4096>;

/// Of the calling thread.
CpuMask cpu_mask();
/// Keeps the mask that the launcher gave this process. To be called before OpenMP's library begins, which binds the first thread to one core where it is told to
/// bind at all; later calls change nothing. Makes system calls only.
void remember_launch_mask();

/// How many threads rank `mine` may fairly have: its cores, each divided among the ranks that may use it; at least 1.
int fair_threads(std::span<const CpuMask> of_ranks, std::size_t mine);

/// What a rank got.
struct RankCpus {
  CpuMask launched;  // what the launcher gave it
  CpuMask used;      // where its threads may run now
  int threads = 1;
};
/// Says which ranks of a node (of which `first` is the first) have more threads than cores together, and what to do; empty where none, or where only the number of ranks
/// is larger than the machine, whose cores are `machine`.
std::string crowded_text(std::span<const RankCpus> ranks, int first, const std::string& host, int machine);

/// The node's ranks.
class CpuPlacement {
 public:
  /// Collective over `world`.
  explicit CpuPlacement(const Communicator& world);
  int place() const { return place_; }  // of this rank in its node
  int fair_threads() const { return trireme::fair_threads(launched_, static_cast<std::size_t>(place_)); }
  /// `used`: where this rank's threads may run. Warns once where ranks are crowded, and keeps cores(). Collective over `world`.
  void settle(const CpuMask& used, int threads);
  /// Cores that the threads of the job may run on, as last settled; 0: never.
  static std::int64_t cores() { return cores_; }

 private:
  const Communicator& world_;
  std::vector<CpuMask> launched_;
  int place_ = 0;
  static inline std::int64_t cores_ = 0;
};

}  // namespace trireme
