#include "optim/sharded_state.hpp"

#include <algorithm>
#include <numeric>
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

constexpr std::int64_t piece = std::int64_t{1} << 20;  // elements that go at a time: MPI counts them in an int, and they are few beside what a rank has

struct RankRange {
  int rank;
  std::int64_t first, last, at;  // as Shards::Range
};

/// What the ranks own, ascending. Collective.
std::vector<RankRange> all_ranges(const Communicator& comm, const Shards& shards) {
  std::vector<std::int64_t> own;
  for (const auto& range : shards.owned()) own.insert(own.end(), {comm.rank(), range.first, range.last, range.at});
  const std::vector<std::int64_t> all = comm.all_gather(std::span<const std::int64_t>(own));
  std::vector<RankRange> ranges;
  for (std::size_t i = 0; i + 3 < all.size(); i += 4) ranges.push_back({static_cast<int>(all[i]), all[i + 1], all[i + 2], all[i + 3]});
  std::ranges::sort(ranges, {}, &RankRange::first);
  return ranges;
}

struct Transfer {
  int source, target;
  std::int64_t from, to, count;  // where the elements lie on `source`, and where on `target`
};

/// Copies elements of `mine` on their sources to `theirs` on their targets. Collective: all ranks give the same transfers.
template <class T>
void exchange(const Communicator& comm, const std::vector<Transfer>& transfers, const T* mine, T* theirs) {
  const auto ranks = static_cast<std::size_t>(comm.size());
  for (std::size_t begin = 0, end = 0; begin < transfers.size(); begin = end) {
    for (std::int64_t going = 0; end < transfers.size() && (end == begin || going + transfers[end].count <= piece); ++end) going += transfers[end].count;
    std::vector<Transfer> out, in;
    std::vector<int> send_counts(ranks), send_starts(ranks), receive_counts(ranks), receive_starts(ranks);
    std::int64_t arriving = 0;
    for (std::size_t i = begin; i < end; ++i) {
      const Transfer& transfer = transfers[i];
      if (transfer.source == comm.rank()) {
        out.push_back(transfer);
        send_counts[static_cast<std::size_t>(transfer.target)] += static_cast<int>(transfer.count);
      }
      if (transfer.target == comm.rank()) {
        in.push_back(transfer);
        receive_counts[static_cast<std::size_t>(transfer.source)] += static_cast<int>(transfer.count);
        arriving += transfer.count;
      }
    }
    std::exclusive_scan(send_counts.begin(), send_counts.end(), send_starts.begin(), 0);
    std::exclusive_scan(receive_counts.begin(), receive_counts.end(), receive_starts.begin(), 0);
    std::ranges::stable_sort(out, {}, &Transfer::target);
    std::ranges::stable_sort(in, {}, &Transfer::source);
    std::vector<T> sent, received(static_cast<std::size_t>(arriving));
    for (const Transfer& transfer : out) sent.insert(sent.end(), mine + transfer.from, mine + transfer.from + transfer.count);
    comm.begin_all_to_all(sent.data(), send_counts.data(), send_starts.data(), received.data(), receive_counts.data(), receive_starts.data()).wait();
    const T* at = received.data();
    for (const Transfer& transfer : in) {
      std::copy_n(at, transfer.count, theirs + transfer.to);
      at += transfer.count;
    }
  }
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
OwnedState<T> owned_state(const Communicator& comm, const Network<T>& network, const Optimizer<T>& optimizer, std::string_view name) {
  OwnedState<T> state{.rows = {}, .mine = Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), find(optimizer, name)), .joined = {}};
  const std::vector<RankRange> ranges = all_ranges(comm, optimizer.shards());
  std::vector<Transfer> transfers;
  std::int64_t joined = 0;
  struct Cut {
    std::size_t parameter, rows;  // where the row is found
    std::int64_t at;              // in joined
  };
  std::vector<Cut> cuts;
  std::size_t next = 0;
  for (const Parameter& parameter : network.parameters()) {
    auto& rows = state.rows.emplace_back();
    const std::int64_t size = parameter.shape.size(), offset = parameter.offset, end = offset + size;
    if (size == 0) continue;
    const std::int64_t row = parameter.shape.rank() == 0 ? size : size / parameter.shape[0];
    while (ranges[next].last <= offset) ++next;
    for (std::size_t r = next; r < ranges.size() && ranges[r].first < end; ++r) {
      const RankRange& range = ranges[r];
      const std::int64_t begin = std::max(range.first, offset) - offset, stop = std::min(range.last, end) - offset;
      const std::int64_t first = (begin + row - 1) / row, last = (stop + row - 1) / row, uncut = stop / row;
      if (first >= last) continue;
      const bool mine = range.rank == comm.rank();
      const auto at = [&](std::int64_t element) { return range.at + offset + element - range.first; };
      if (mine && first < uncut) rows.push_back({first, uncut - first, state.mine.data() + at(first * row)});
      if (uncut == last) continue;
      // The last row goes on in what others own.
      if (mine) {
        cuts.push_back({state.rows.size() - 1, rows.size(), joined});
        rows.push_back({uncut, 1, nullptr});
        state.joined.resize(static_cast<std::size_t>(joined + row));
        std::copy_n(state.mine.data() + at(uncut * row), stop - uncut * row, state.joined.data() + joined);
      }
      const std::int64_t row_end = offset + last * row;
      for (std::size_t other = r + 1; other < ranges.size() && ranges[other].first < row_end; ++other) {
        const std::int64_t until = std::min(ranges[other].last, row_end);
        for (std::int64_t from = ranges[other].first; from < until; from += piece)
          transfers.push_back({ranges[other].rank, range.rank, ranges[other].at + from - ranges[other].first, joined + from - offset - uncut * row, std::min(piece, until - from)});
      }
      if (mine) joined += row;
    }
  }
  exchange(comm, transfers, state.mine.data(), state.joined.data());
  for (const Cut& cut : cuts) state.rows[cut.parameter][cut.rows].data = state.joined.data() + cut.at;
  return state;
}

template <class T>
void take_owned(const Shards& shards, std::int64_t first, std::int64_t count, const T* from, T* state) {
  for (const auto& range : shards.owned()) {
    const std::int64_t begin = std::max(range.first, first), end = std::min(range.last, first + count);
    if (begin < end) std::copy_n(from + begin - first, end - begin, state + range.at + begin - range.first);
  }
}

#define TRIREME_INSTANTIATE(T)                                                                           \
  template HostArena<T> whole_state(const Communicator&, const Optimizer<T>&, std::string_view);         \
  template OwnedState<T> owned_state(const Communicator&, const Network<T>&, const Optimizer<T>&, std::string_view); \
  template void take_owned(const Shards&, std::int64_t, std::int64_t, const T*, T*);
TRIREME_INSTANTIATE(float)
TRIREME_INSTANTIATE(double)
#undef TRIREME_INSTANTIATE

}  // namespace trireme
