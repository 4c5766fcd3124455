// One thread per rank that makes all HDF5 calls while training runs, because Debian's HDF5 is not thread-safe and reads must not wait for
// computation. A first-in first-out queue of closures.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <thread>
#include <type_traits>
#include <utility>

namespace trireme {

class IoThread {
 public:
  IoThread();
  /// Runs all queued closures, then ends.
  ~IoThread();
  IoThread(const IoThread&) = delete;
  IoThread& operator=(const IoThread&) = delete;

  /// Queues `action`; the future returns its result or exception.
  template <class Action>
  auto submit(Action action) -> std::future<std::invoke_result_t<Action&>> {
    auto task = std::make_shared<std::packaged_task<std::invoke_result_t<Action&>()>>(std::move(action));
    auto future = task->get_future();
    push([task] { (*task)(); });
    return future;
  }
  /// submit() and wait for the result.
  template <class Action>
  auto run(Action action) {
    return submit(std::move(action)).get();
  }

 private:
  void push(std::function<void()> task);
  void loop();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> queue_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace trireme
