#include "base/stop_signals.hpp"

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <mutex>
#include <optional>
#include <thread>

namespace trireme {

sigset_t stop_signals() {
  // A signal that is both ignored and blocked stays pending all the same, so that nohup's wish would be lost.
  static const bool hangup_counts = [] {
    struct sigaction found {};
    return sigaction(SIGHUP, nullptr, &found) != 0 || found.sa_handler != SIG_IGN;
  }();
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGUSR1);
  sigaddset(&set, SIGINT);
  if (hangup_counts) sigaddset(&set, SIGHUP);
  return set;
}

namespace {

using Clock = std::chrono::steady_clock;

/// As if SIGINT had never been blocked.
void die_of_interrupt() {
  std::fputs("trireme: interrupted a second time: ends at once. Hint: the same command goes on from the last whole checkpoint\n", stderr);
  std::fflush(stderr);
  std::signal(SIGINT, SIG_DFL);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
  std::raise(SIGINT);
}

}  // namespace

class StopSignal::Watch {
 public:
  Watch() {
    const sigset_t set = stop_signals();
    pthread_sigmask(SIG_BLOCK, &set, nullptr);
    thread_ = std::thread([this, set] { loop(set); });
  }
  ~Watch() {
    ends_ = true;
    pthread_kill(thread_.native_handle(), SIGUSR1);
    thread_.join();
  }
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  int first() const { return first_; }

  /// The one that lives, or a new one.
  static std::shared_ptr<Watch> common() {
    const std::lock_guard lock(mutex_);
    auto watch = shared_.lock();
    if (!watch) shared_ = watch = std::make_shared<Watch>();
    return watch;
  }
  static std::shared_ptr<Watch> existing() {
    const std::lock_guard lock(mutex_);
    return shared_.lock();
  }

 private:
  // A launcher may pass a terminal's Ctrl-C on that its ranks got already: that is no second one.
  static constexpr std::chrono::milliseconds moment{300};

  void loop(const sigset_t& set) {
    std::optional<Clock::time_point> interrupted;
    for (int signal = 0;;) {
      if (sigwait(&set, &signal) != 0) continue;
      if (ends_) return;
      int none = 0;
      first_.compare_exchange_strong(none, signal);
      if (signal != SIGINT) continue;
      if (interrupted && Clock::now() - *interrupted >= moment) die_of_interrupt();
      if (!interrupted) interrupted = Clock::now();
    }
  }

  std::atomic<int> first_ = 0;
  std::atomic<bool> ends_ = false;
  std::thread thread_;
  static inline std::mutex mutex_;
  static inline std::weak_ptr<Watch> shared_;
};

StopSignal::StopSignal() : watch_(Watch::common()) {}
StopSignal::~StopSignal() = default;

int StopSignal::received() const { return watch_->first(); }

int StopSignal::seen() {
  const auto watch = Watch::existing();
  return watch ? watch->first() : 0;
}

}  // namespace trireme
