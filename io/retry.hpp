// Retries of input and output after temporary errors: the server of a network file system restarts, or a path fails over.
#pragma once

#include <type_traits>

#include "base/error.hpp"

namespace trireme {

/// Default number of retries; deck key run.io_retries.
inline constexpr int usual_retries = 4;

/// Sleeps before retry number `tried` + 1 of `retries` after `error`; logs the retry if `says`.
void wait_to_retry(const IoError& error, int tried, int retries, bool says = true);

/// Returns the result of `action`. If it throws an IoError that may be temporary (with `any`: any IoError with an errno), logs this and calls it
/// again, up to `retries` times, after 0.2 s, 0.4 s, 0.8 s... `action` must be repeatable.
template <class Action>
std::invoke_result_t<Action&> with_retries(int retries, Action action, bool any = false) {
  for (int tried = 0;; ++tried) {
    try {
      return action();
    } catch (const IoError& error) {
      if (tried >= retries || !(any || error.may_pass())) throw;
      wait_to_retry(error, tried, retries);
    }
  }
}

}  // namespace trireme
