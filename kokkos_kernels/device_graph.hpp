// Records a sequence of launches once and replays it (CUDA graphs): one call instead of hundreds.
#pragma once

#include <array>
#include <functional>
#include <memory>

#include "kokkos_kernels/types.hpp"

namespace trireme {

class DeviceGraph {
 public:
  /// All values on the host that the launches depend on.
  using Key = std::array<std::int64_t, 4>;

  DeviceGraph();
  ~DeviceGraph();
  DeviceGraph(DeviceGraph&&) noexcept;
  DeviceGraph& operator=(DeviceGraph&&) noexcept;

  /// Executes `work`, which must launch on `exec` only, without waiting and without allocating. For each key the first call executes it, the second
  /// records it, and later calls replay it. If it cannot be recorded (other backends than CUDA; work that CUDA refuses to record), every call
  /// executes it. `exec` must always be the same instance.
  void run(const Execution& exec, const Key& key, const std::function<void()>& work);

  /// Number of replays.
  std::int64_t replays() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace trireme
