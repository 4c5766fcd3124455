#include "base/stop_signals.hpp"

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <mutex>
#include <optional>
#include <thread>

namespace trireme {

namespace {

/// What SIGHUP did when this was first called: before any library began.
const struct sigaction& hangup_at_start() {
  static const struct sigaction found = [] {
    struct sigaction action {};
    sigaction(SIGHUP, nullptr, &action);
    return action;
  }();
  return found;
}

}  // namespace

void restore_hangup() { sigaction(SIGHUP, &hangup_at_start(), nullptr); }

sigset_t stop_signals() {
  // A signal that is both ignored and blocked would still become pending, which would defeat nohup.
  static const bool hangup_counts = hangup_at_start().sa_handler != SIG_IGN;
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

/// Ends the process as SIGINT does by default.
void die_of_interrupt() {
  std::fputs("trireme: interrupted a second time, ends immediately. Hint: the same command continues from the last complete checkpoint\n", stderr);
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

  /// The existing one, or a new one.
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
  // A launcher may forward a Ctrl-C of the terminal that its ranks received already: this is not a second one.
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
