#include "comm/rank_status.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <thread>

namespace trireme {

namespace {

thread_local RankStatus* mine = nullptr;

template <std::size_t n>
void copy_text(char (&to)[n], std::string_view text) {
  const std::size_t size = std::min(text.size(), n - 1);
  std::memcpy(to, text.data(), size);
  to[size] = '\0';
}

/// Changes this thread's entry so that readers see all changes or none.
template <class F>
void change(const F& action) {
  const std::uint32_t version = mine->version.load(std::memory_order_relaxed);
  mine->version.store(version + 1, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_release);
  action(*mine);
  mine->since = steady_nanoseconds();
  mine->version.store(version + 2, std::memory_order_release);
}

}  // namespace

std::int64_t steady_nanoseconds() { return std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count(); }

std::string RankStatus::Copy::place() const {
  if (step == 0) return "before the first step";
  return layer.empty() ? fmt::format("step {}", step) : fmt::format("step {}, {} of '{}'", step, backward ? "backward" : "forward", layer);
}

RankStatus::Copy RankStatus::read() const {
  Copy copy{};
  for (int tries = 0; tries < 1000; ++tries) {
    const std::uint32_t before = version.load(std::memory_order_acquire);
    if (tries > 100) std::this_thread::sleep_for(std::chrono::microseconds(10));
    copy = {static_cast<Doing>(doing.load(std::memory_order_relaxed)),
            beat.load(std::memory_order_relaxed),
            since,
            step,
            backward != 0,
            std::string(layer, strnlen(layer, sizeof layer)),
            std::string(operation, strnlen(operation, sizeof operation)),
            false};
    std::atomic_thread_fence(std::memory_order_acquire);
    copy.of_one_moment = before % 2 == 0 && version.load(std::memory_order_relaxed) == before;
    if (copy.of_one_moment) break;
  }
  return copy;
}

void write_whereabouts_to(RankStatus* entry) {
  RankStatus* const before = mine;
  mine = entry;
  if (entry != nullptr)
    change([&](RankStatus& here) {
      here.doing = RankStatus::computing;
      if (before == nullptr) return;
      here.step = before->step, here.backward = before->backward;
      std::memcpy(here.layer, before->layer, sizeof here.layer);
    });
}

std::string place_of_this_thread() { return mine == nullptr || mine->step == 0 ? std::string() : mine->read().place(); }

void record_step(std::int64_t step) {
  if (mine == nullptr) return;
  change([&](RankStatus& here) { here.step = step, here.layer[0] = '\0'; });
}

void now_in_layer(std::string_view name, bool backward) {
  if (mine == nullptr) return;
  change([&](RankStatus& here) {
    here.backward = backward ? 1 : 0;
    copy_text(here.layer, name);
  });
}

WaitScope::WaitScope(const char* operation, MPI_Comm comm) {
  if (mine == nullptr || mine->doing != RankStatus::computing) return;
  outermost_ = true;
  char name[MPI_MAX_OBJECT_NAME] = "";
  int length = 0;
  if (comm != MPI_COMM_NULL && MPI_Comm_get_name(comm, name, &length) != MPI_SUCCESS) name[0] = '\0';
  change([&](RankStatus& here) {
    here.doing = RankStatus::waiting;
    std::size_t size = std::min(std::strlen(operation), sizeof here.operation - 1);
    std::memcpy(here.operation, operation, size);
    if (name[0] != '\0' && size + 4 < sizeof here.operation) {
      const std::size_t room = sizeof here.operation - size - 4, taken = std::min(std::strlen(name), room);
      std::memcpy(here.operation + size, " (", 2);
      std::memcpy(here.operation + size + 2, name, taken);
      here.operation[size + 2 + taken] = ')';
      size += taken + 3;
    }
    here.operation[size] = '\0';
  });
}

WaitScope::WaitScope(const char* operation) {
  if (mine == nullptr || mine->doing != RankStatus::computing) return;
  outermost_ = true;
  change([&](RankStatus& here) {
    here.doing = RankStatus::reading;
    copy_text(here.operation, operation);
  });
}

WaitScope::~WaitScope() {
  if (outermost_ && mine != nullptr) change([](RankStatus& here) { here.doing = RankStatus::computing, here.operation[0] = '\0'; });
}

}  // namespace trireme
