#include "optim/sharded_state.hpp"

#include <algorithm>

#include "base/error.hpp"

namespace trireme {

namespace {

template <class T>
const Buffer<T>& find(const Optimizer<T>& optimizer, std::string_view name) {
  const auto found = std::ranges::find(optimizer.states(), name, &Optimizer<T>::State::name);
  if (found == optimizer.states().end()) throw internal_error("the optimizer has no state '{}'", name);
  return found->values;
}

}  // namespace

template <class T>
HostArena<T> whole_state(const Communicator& comm, const Optimizer<T>& optimizer, std::string_view name) {
  const HostArena<T> mine = Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), find(optimizer, name));
  const Shards& shards = optimizer.shards();
  if (shards.whole()) return mine;
  HostArena<T> whole("trireme::optimizer::whole_state", static_cast<std::size_t>(shards.arena_size()));
  for (const auto& range : shards.owned()) std::copy_n(mine.data() + range.at, range.last - range.first, whole.data() + range.first);
  // Each element is some rank's bits and all others' 0: OR leaves them as they are, where a sum would make -0 into 0.
  const auto bytes = std::as_writable_bytes(std::span(whole.data(), whole.size()));
  constexpr std::size_t largest = std::size_t{1} << 30;
  for (std::size_t at = 0; at < bytes.size(); at += largest) comm.all_reduce(bytes.subspan(at, std::min(largest, bytes.size() - at)), MPI_BOR);
  return whole;
}

template <class T>
void take_state(const Optimizer<T>& optimizer, std::string_view name, const HostArena<T>& whole) {
  const Buffer<T>& state = find(optimizer, name);
  const auto host = Kokkos::create_mirror_view(state);
  for (const auto& range : optimizer.shards().owned()) std::copy_n(whole.data() + range.first, range.last - range.first, host.data() + range.at);
  Kokkos::deep_copy(state, host);
}

#define TRIREME_INSTANTIATE(T)                                                                           \
  template HostArena<T> whole_state(const Communicator&, const Optimizer<T>&, std::string_view);         \
  template void take_state(const Optimizer<T>&, std::string_view, const HostArena<T>&);
TRIREME_INSTANTIATE(float)
TRIREME_INSTANTIATE(double)
#undef TRIREME_INSTANTIATE

}  // namespace trireme
