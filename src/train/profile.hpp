// Measures the time of each part of a step and compares it with the minimum time of this machine for the same operations and bytes (a roofline:
// Williams, Waterman and Patterson 2009). It waits for the device after each part, so a profiled run is a little slower.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/timer.hpp"
#include "kokkos_kernels/machine_peak.hpp"
#include "network/network.hpp"

namespace trireme {

class Profile {
 public:
  /// Work that is measured as one part of the step.
  struct Part {
    std::string name, kind;
    Work work;           // per step
    double seconds = 0;  // over all measured steps
  };
  struct Row {
    std::string name, kind;
    double seconds, least_seconds;  // per step
    bool bound_by_memory;
  };

  /// Adds a part and returns its index. Parts are printed in the order in which they were added.
  std::size_t add(const std::string& name, const std::string& kind, Work work);

  /// Starts a step. Time before this call is not counted, and the first `warm_up` steps are not measured.
  void begin_step(const Execution& exec);
  /// Assigns the time since the previous mark, or since the start of the step, to `part`. Waits for the device.
  void mark(const Execution& exec, std::size_t part);
  void end_step();

  std::int64_t steps() const { return steps_ - warm_up; }  // measured so far
  std::vector<Row> rows(const MachineRates& rates) const;
  /// Table for the log. All parts below 0.2 % of the step are shown in one line.
  std::string table(const MachineRates& rates) const;
  nlohmann::json json(const MachineRates& rates) const;

  static constexpr std::int64_t warm_up = 5;

 private:
  std::vector<Part> parts_;
  Timer clock_;
  double last_ = 0;
  std::int64_t steps_ = 0;
};

}  // namespace trireme
