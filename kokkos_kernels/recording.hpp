// Launches that are the same each time, recorded once and replayed (CUDA graphs): one call in place of hundreds.
#pragma once

#include <array>
#include <functional>
#include <memory>

#include "kokkos_kernels/types.hpp"

namespace trireme {

class Recording {
 public:
  /// Everything from the host's side that the launches depend on.
  using Key = std::array<std::int64_t, 4>;

  Recording();
  ~Recording();
  Recording(Recording&&) noexcept;
  Recording& operator=(Recording&&) noexcept;

  /// Does `work`, which launches on `exec` alone, waits for nothing and takes no memory. The first time for a key it is called, the second time
  /// recorded, from then on replayed. Where nothing can be recorded (elsewhere than on CUDA; work that the library refuses to record) it is called
  /// every time. `exec` must be the same each time.
  void run(const Execution& exec, const Key& key, const std::function<void()>& work);

  /// How often work was replayed rather than called.
  std::int64_t replays() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace trireme
