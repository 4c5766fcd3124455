// Measures the time of a run: seconds of each phase, the trace (train.trace), the profile of single layers (train.profile), and the communication of each
// axis per step.
//
// Owns the timers, the trace and the profile. Only write_trace() is collective. With train.profile each mark waits for the device.
#pragma once

#include <array>
#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>

#include "base/timer.hpp"
#include "data/data_set.hpp"
#include "network/network.hpp"
#include "run/run_directory.hpp"
#include "train/profile.hpp"
#include "train/run_context.hpp"

namespace trireme {

/// Phases of a run.
enum class RunPhase { data_wait, forward, backward, reduce, update, evaluate, checkpoint };

/// Parts of a step in the profile, besides the layers.
enum class StepPart { data, zero_gradients, stage, loss, reduce, update, account };

template <class T>
class StepProfiler {
 public:
  /// `samples`: maximum per step on this rank; `states`: number of state arrays of the optimizer. `run` must outlive the profiler.
  StepProfiler(RunContext& run, Network<T>& network, const DataSet& data, std::int64_t samples, std::size_t states);

  void begin_step();
  void end_step();
  double step_seconds() const { return step_timer_.seconds(); }  // since begin_step()

  /// Measures a phase during the lifetime of the result.
  [[nodiscard]] Trace::Phase phase(RunPhase phase);
  /// Assigns the work launched since the previous mark to this part.
  void mark(StepPart part) {
    if (profile_) profile_->mark(run_.exec, parts_[static_cast<std::size_t>(part)]);
  }

  double seconds(RunPhase phase) const { return seconds_[static_cast<std::size_t>(phase)]; }
  double all_steps_seconds() const { return steps_seconds_; }
  /// Null without train.profile.
  const Profile* profile() const { return profile_ ? &*profile_ : nullptr; }
  /// With train.trace: writes the phases of all ranks to `file`. Collective.
  void write_trace(const std::filesystem::path& file, const std::string& token) const { trace_.write(run_.comm, file, token); }

 private:
  void begin_profile(Network<T>& network, const DataSet& data, std::int64_t samples, std::size_t states);

  RunContext& run_;
  Trace trace_;
  Timer step_timer_;
  double steps_seconds_ = 0;
  std::array<double, 7> seconds_{};  // of each RunPhase
  std::optional<Profile> profile_;
  std::array<std::size_t, 7> parts_{};  // index in the profile, by StepPart
};

}  // namespace trireme
