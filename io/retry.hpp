// Input and output that is tried again where an error may pass: the server of a network file system restarts, a path fails over.
#pragma once

#include <type_traits>

#include "base/error.hpp"

namespace trireme {

/// How often where nothing says otherwise: deck key run.io_retries.
inline constexpr int usual_retries = 4;

/// Says, where `says`, that what met `error` is tried again, for the time number `tried` + 1 of `retries`, and sleeps until then.
void wait_to_retry(const IoError& error, int tried, int retries, bool says = true);

/// The result of `action`. Where it throws an IoError that may pass, or, with `any`, one with whatever errno, it is called again, up to `retries` times, after
/// 0.2 s, 0.4 s, 0.8 s..., and that is said. `action` must be able to begin anew.
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
