// One thread a rank that makes every HDF5 call once training runs (Debian's HDF5 is not thread-safe, and reads shall not wait
// for compute): a first-in first-out queue of closures.
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
  /// Runs what is queued, then ends.
  ~IoThread();
  IoThread(const IoThread&) = delete;
  IoThread& operator=(const IoThread&) = delete;

  /// Queues `action`; its result or exception comes through the future.
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
