#include "optim/sharded_state.hpp"

#include <algorithm>
#include <span>

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
  const ZeroPartition& shards = optimizer.shards();
  if (shards.whole()) return mine;
  HostArena<T> whole("trireme::optimizer::whole_state", static_cast<std::size_t>(shards.arena_size()));
  for (const auto& range : shards.owned()) std::copy_n(mine.data() + range.at, range.last - range.first, whole.data() + range.first);
  // Each element holds one rank's bits and 0 on all others: OR keeps the bits, whereas a sum would change -0 to 0.
  const auto bytes = std::as_writable_bytes(std::span(whole.data(), whole.size()));
  constexpr std::size_t largest = std::size_t{1} << 30;
  for (std::size_t at = 0; at < bytes.size(); at += largest) comm.all_reduce(bytes.subspan(at, std::min(largest, bytes.size() - at)), MPI_BOR);
  return whole;
}

template <class T>
std::vector<std::int64_t> row_cuts(const Network<T>& network, int ranks) {
  const std::int64_t size = network.arena_size();
  std::vector<std::int64_t> cuts{0};
  for (int r = 1; r < ranks; ++r) {
    const std::int64_t wanted = size / ranks * r + size % ranks * r / ranks;
    std::int64_t cut = size;
    for (const Parameter& parameter : network.parameters()) {
      const std::int64_t end = parameter.offset + parameter.shape.size();
      if (wanted > end || parameter.shape.size() == 0) continue;
      const std::int64_t row = parameter.shape.rank() == 0 ? 1 : parameter.shape.size() / parameter.shape[0];
      cut = parameter.offset + std::max<std::int64_t>(0, (wanted - parameter.offset + row - 1) / row) * row;
      break;
    }
    cuts.push_back(std::max(cut, cuts.back()));
  }
  cuts.push_back(size);
  return cuts;
}

template <class T>
void state_between(const Communicator& comm, const Optimizer<T>& optimizer, std::string_view name, const std::vector<std::int64_t>& cuts,
                   const std::function<void(std::int64_t, std::int64_t, const T*)>& take) {
  const HostArena<T> mine = Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), find(optimizer, name));
  const auto ranks = static_cast<std::size_t>(comm.size()), rank = static_cast<std::size_t>(comm.rank());
  std::vector<std::int64_t> own;  // rank, first, last
  for (const auto& range : optimizer.shards().owned()) own.insert(own.end(), {static_cast<std::int64_t>(rank), range.first, range.last});
  const std::vector<std::int64_t> all = comm.all_gather(std::span<const std::int64_t>(own));

  const std::int64_t begin = cuts[rank], end = cuts[rank + 1];
  // One piece of the arena at a time: messages between two ranks fit MPI's counts, and buffers are small compared with a rank's share.
  constexpr std::int64_t piece = std::int64_t{1} << 18;
  std::vector<T> sent, received;
  sent.reserve(static_cast<std::size_t>(piece));
  received.reserve(static_cast<std::size_t>(piece));
  for (std::int64_t from = 0; from < cuts.back(); from += piece) {
    const std::int64_t to = std::min(cuts.back(), from + piece);
    std::vector<int> send_counts(ranks), send_starts(ranks), receive_counts(ranks), receive_starts(ranks);
    sent.clear();
    for (std::size_t q = 0; q < ranks; ++q) {
      send_starts[q] = static_cast<int>(sent.size());
      for (const auto& range : optimizer.shards().owned()) {
        const std::int64_t first = std::max({range.first, cuts[q], from}), last = std::min({range.last, cuts[q + 1], to});
        if (first < last) sent.insert(sent.end(), mine.data() + range.at + first - range.first, mine.data() + range.at + last - range.first);
      }
      send_counts[q] = static_cast<int>(sent.size()) - send_starts[q];
    }
    struct Arrival {
      std::int64_t first, count;
    };
    std::vector<Arrival> arrivals;
    std::int64_t arrived = 0;
    for (std::size_t i = 0; i + 2 < all.size(); i += 3) {  // by rank, ascending within each
      const auto source = static_cast<std::size_t>(all[i]);
      const std::int64_t first = std::max({all[i + 1], begin, from}), last = std::min({all[i + 2], end, to});
      if (first >= last) continue;
      arrivals.push_back({first, last - first});
      receive_counts[source] += static_cast<int>(last - first);
      arrived += last - first;
    }
    for (std::size_t r = 1; r < ranks; ++r) receive_starts[r] = receive_starts[r - 1] + receive_counts[r - 1];
    received.resize(static_cast<std::size_t>(arrived));
    comm.begin_all_to_all(sent.data(), send_counts.data(), send_starts.data(), received.data(), receive_counts.data(), receive_starts.data()).wait();
    const T* at = received.data();
    for (const Arrival& arrival : arrivals) {
      take(arrival.first, arrival.count, at);
      at += arrival.count;
    }
  }
}

template <class T>
void take_owned(const ZeroPartition& shards, std::int64_t first, std::int64_t count, const T* from, T* state) {
  for (const auto& range : shards.owned()) {
    const std::int64_t begin = std::max(range.first, first), end = std::min(range.last, first + count);
    if (begin < end) std::copy_n(from + begin - first, end - begin, state + range.at + begin - range.first);
  }
}

#define TRIREME_INSTANTIATE(T)                                                                                              \
  template HostArena<T> whole_state(const Communicator&, const Optimizer<T>&, std::string_view);                            \
  template std::vector<std::int64_t> row_cuts(const Network<T>&, int);                                                      \
  template void state_between(const Communicator&, const Optimizer<T>&, std::string_view, const std::vector<std::int64_t>&, \
                              const std::function<void(std::int64_t, std::int64_t, const T*)>&);                            \
  template void take_owned(const ZeroPartition&, std::int64_t, std::int64_t, const T*, T*);
TRIREME_INSTANTIATE(float)
TRIREME_INSTANTIATE(double)
#undef TRIREME_INSTANTIATE

}  // namespace trireme
