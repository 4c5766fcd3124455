// Compares the planned memory of a run with the memory that it allocated.
//
// Owns the counter of Kokkos allocations, the plan, and the resident memory of the process before the run. Create it before all other parts of the run,
// because it counts from its construction.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "comm/communicator.hpp"
#include "config/deck.hpp"
#include "kokkos_kernels/allocations.hpp"
#include "network/network.hpp"
#include "train/run_memory.hpp"

namespace trireme {

class MemoryReport {
 public:
  /// Not collective.
  MemoryReport() : resident_before_(resident_memory().now) {}

  /// Sets the plan for the comparison. Not collective.
  void set_plan(const RunMemory& plan) { plan_ = plan; }
  const RunMemory& plan() const { return plan_; }
  /// The plan of this rank as one line of the log. Not collective.
  std::string plan_text() const;

  /// Maximum over the ranks: as JSON for metrics.jsonl, and as one line of the log.
  struct Comparison {
    nlohmann::json json;
    std::string text;
  };
  /// Collective.
  template <class T>
  Comparison compare(const Deck& deck, const Communicator& comm, const Network<T>& network) const;

 private:
  AllocationCounter allocations_;
  std::int64_t resident_before_;  // bytes
  RunMemory plan_;
};

}  // namespace trireme
