#include "io/retry.hpp"

#include <algorithm>
#include <chrono>
#include <thread>

#include "base/log.hpp"

namespace trireme {

void wait_to_retry(const IoError& error, int tried, int retries, bool says) {
  const auto pause = std::chrono::milliseconds(200) * (1 << std::min(tried, 8));
  if (says) log::warn("{}; this may be temporary: retry in {} ms ({} of {})", error.what(), pause.count(), tried + 1, retries);
  std::this_thread::sleep_for(pause);
}

}  // namespace trireme
