// Callbacks of Kokkos' tools interface: a label's beginning gives its purpose. A tool that was there before still gets its events.
#include "kokkos_kernels/allocations.hpp"

#include <Kokkos_Core.hpp>
#include <algorithm>
#include <mutex>
#include <string_view>

namespace trireme {

namespace {

namespace Tools = Kokkos::Tools::Experimental;

std::mutex mutex;
AllocationCounter* counter = nullptr;
Tools::EventSet tool;  // that was there before

MemoryUse use_of(std::string_view label) {
  struct Known {
    std::string_view begins;
    MemoryUse use;
  };
  constexpr Known known[] = {{"trireme::network::temporary", MemoryUse::activations}, {"trireme::network::workspace", MemoryUse::workspace},
                             {"trireme::halo_exchange::", MemoryUse::messages},       {"trireme::channel_shares::", MemoryUse::messages},
                             {"trireme::stage_links::", MemoryUse::messages},         {"trireme::rank_sum::", MemoryUse::messages}};
  for (const Known& one : known)
    if (label.starts_with(one.begins)) return one.use;
  return MemoryUse::other;
}

void allocated(Kokkos::Profiling::SpaceHandle space, const char* label, const void* memory, std::uint64_t bytes) {
  if (tool.allocate_data != nullptr) tool.allocate_data(space, label, memory, bytes);
  const std::scoped_lock lock(mutex);
  if (counter != nullptr) counter->add(label, static_cast<std::int64_t>(bytes));
}

void freed(Kokkos::Profiling::SpaceHandle space, const char* label, const void* memory, std::uint64_t bytes) {
  if (tool.deallocate_data != nullptr) tool.deallocate_data(space, label, memory, bytes);
  const std::scoped_lock lock(mutex);
  if (counter != nullptr) counter->add(label, -static_cast<std::int64_t>(bytes));
}

void add_to(AllocationCounter::Bytes& count, std::int64_t bytes) {
  count.now += bytes;
  count.peak = std::max(count.peak, count.now);
}

}  // namespace

AllocationCounter::AllocationCounter() {
  const std::scoped_lock lock(mutex);
  before_ = counter;
  counter = this;
  if (before_ != nullptr) return;
  tool = Tools::get_callbacks();
  Tools::set_allocate_data_callback(allocated);
  Tools::set_deallocate_data_callback(freed);
}

AllocationCounter::~AllocationCounter() {
  const std::scoped_lock lock(mutex);
  counter = before_;
  if (before_ != nullptr) return;
  Tools::set_allocate_data_callback(tool.allocate_data);
  Tools::set_deallocate_data_callback(tool.deallocate_data);
}

void AllocationCounter::add(const char* label, std::int64_t bytes) {
  add_to(uses_[static_cast<std::size_t>(use_of(label))], bytes);
  add_to(all_, bytes);
}

AllocationCounter::Bytes AllocationCounter::of(MemoryUse use) const {
  const std::scoped_lock lock(mutex);
  return uses_[static_cast<std::size_t>(use)];
}

AllocationCounter::Bytes AllocationCounter::all() const {
  const std::scoped_lock lock(mutex);
  return all_;
}

}  // namespace trireme
