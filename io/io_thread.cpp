#include "io/io_thread.hpp"

#include "base/stop_signals.hpp"

namespace trireme {

IoThread::IoThread() {
  const StopSignalsBlocked not_for_this_thread;
  thread_ = std::thread([this] { loop(); });
}

IoThread::~IoThread() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void IoThread::push(std::function<void()> task) {
  {
    const std::lock_guard lock(mutex_);
    queue_.push_back(std::move(task));
  }
  wake_.notify_one();
}

void IoThread::loop() {
  while (true) {
    std::function<void()> task;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
      if (queue_.empty()) return;
      task = std::move(queue_.front());
      queue_.pop_front();
    }
    task();  // a packaged task: its exception goes to its future
  }
}

}  // namespace trireme
