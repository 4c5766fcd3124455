// Where the time of a step goes, beside the least that this machine could take for the same operations and bytes (a roofline: Williams, Waterman and
// Patterson 2009). Waits for the device after each part, so a profiled run is a little slower.
#pragma once

#include <nlohmann/json.hpp>

#include <string>
#include <vector>

#include "base/timer.hpp"
#include "kokkos_kernels/rates.hpp"
#include "network/network.hpp"

namespace trireme {

class Profile {
 public:
  /// A part of the step that is measured as one.
  struct Part {
    std::string name, kind;
    Work work;           // of one step
    double seconds = 0;  // of all measured steps
  };
  struct Row {
    std::string name, kind;
    double seconds, least_seconds;  // of one step
    bool bound_by_memory;
  };

  /// Index of a new part. Parts are shown in the order in which they were added.
  std::size_t add(const std::string& name, const std::string& kind, Work work);

  /// A step begins: what happened before is nobody's. The first `warm_up` steps are not measured.
  void begin_step(const Execution& exec);
  /// What was launched since the mark before, or the step's beginning, was `part`'s. Waits for it.
  void mark(const Execution& exec, std::size_t part);
  void end_step();

  std::int64_t steps() const { return steps_ - warm_up; }  // measured so far
  std::vector<Row> rows(const MachineRates& rates) const;
  /// For people; parts below 0.2 % of the step are shown as one line.
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
