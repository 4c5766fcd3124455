// Communication statistics of a communicator over the steps of a run: messages, bytes, the time that a rank was blocked in waits, and the time that
// operations were in flight to it. Communicator::metered() attaches a meter; without it nothing is measured.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/timer.hpp"

namespace trireme {

class Meter {
 public:
  struct Counts {
    double messages = 0;   // that this rank starts: one per send, one per all-reduce, one per other rank in a gather
    double bytes = 0;      // sent at the theoretical minimum: 2 (p - 1)/p of the reduced bytes, its own part to each other rank
    double waited = 0;     // seconds blocked
    double under_way = 0;  // seconds with at least one receive, sum or gather started and not seen complete; never less than the time waited for them
  };
  static constexpr std::size_t remembered = 1024;

  /// Only communication between begin_step() and end_step() counts; evaluations and checkpoints lie outside.
  void begin_step() { now_ = {}; }
  void end_step();

  std::size_t steps() const { return steps_; }
  /// Over all steps.
  const Counts& total() const { return total_; }
  /// Seconds waited in each of the last steps, at most `remembered` steps, the same steps on all ranks.
  std::vector<double> last_waits() const;

  // Used by Communicator and Request.
  void sent(double messages, double bytes) { now_.messages += messages, now_.bytes += bytes; }
  void waited(double seconds) { now_.waited += seconds; }
  void begin();  // a transfer to this rank starts
  void end();    // it is complete

 private:
  Counts now_, total_;
  std::size_t steps_ = 0;
  std::vector<double> last_;
  int coming_ = 0;
  Timer since_;
};

}  // namespace trireme
