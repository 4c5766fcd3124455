// What passes through a communicator in the steps of a run: messages, bytes, the time that a rank was blocked in waits, and the time that something was
// on its way to it. Communicator::metered() attaches one; nothing is measured without.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/timer.hpp"

namespace trireme {

class Meter {
 public:
  struct Counts {
    double messages = 0;   // that this rank begins: a send is one, a sum is one, a gather is one for each other rank
    double bytes = 0;      // that it sends where ranks send as little as they can: 2 (p - 1)/p of what is summed, its own part to each other rank
    double waited = 0;     // seconds blocked
    double under_way = 0;  // seconds in which at least one receive, sum or gather was begun and not seen complete: never less than what was waited for them
  };
  static constexpr std::size_t remembered = 1024;

  /// What is between begin_step() and end_step() counts; what lies outside (evaluations, checkpoints) does not.
  void begin_step() { now_ = {}; }
  void end_step();

  std::size_t steps() const { return steps_; }
  /// Of all steps.
  const Counts& total() const { return total_; }
  /// Seconds waited in each of the last steps, `remembered` at most, the same steps on all ranks.
  std::vector<double> last_waits() const;

  // For Communicator and Request.
  void sent(double messages, double bytes) { now_.messages += messages, now_.bytes += bytes; }
  void waited(double seconds) { now_.waited += seconds; }
  void begin();  // something comes
  void end();    // it is here

 private:
  Counts now_, total_;
  std::size_t steps_ = 0;
  std::vector<double> last_;
  int coming_ = 0;
  Timer since_;
};

}  // namespace trireme
