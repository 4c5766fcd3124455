// Input and output that is tried again where an error may pass: the server of a network file system restarts, a path fails over.
#pragma once

#include <algorithm>
#include <chrono>
#include <functional>
#include <thread>
#include <type_traits>

#include "base/error.hpp"
#include "base/log.hpp"

namespace trireme {

/// How often where nothing says otherwise: deck key run.io_retries.
inline constexpr int usual_retries = 4;

inline std::chrono::milliseconds retry_pause(int tried) { return std::chrono::milliseconds(200) * (1 << std::min(tried, 8)); }

/// The result of `action`. Where it throws an IoError that may pass, it is called again, up to `retries` times, after 0.2 s, 0.4 s, 0.8 s..., and that is said.
/// `action` must be able to begin anew.
template <class Action>
std::invoke_result_t<Action&> with_retries(int retries, Action action) {
  for (int tried = 0;; ++tried) {
    try {
      return action();
    } catch (const IoError& error) {
      if (tried >= retries || !error.may_pass()) throw;
      log::warn("{}; this may pass: tried again in {} ms ({} of {})", error.what(), retry_pause(tried).count(), tried + 1, retries);
    }
    std::this_thread::sleep_for(retry_pause(tried));
  }
}

}  // namespace trireme
