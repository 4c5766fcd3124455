#include "reduction/virtual_rank_exchange.hpp"

#include <algorithm>

#include "base/error.hpp"

namespace trireme {

template <class T>
VirtualRankExchange<T>::VirtualRankExchange(const Communicator& comm, const ReductionTree& tree, const std::vector<VirtualRankRange>& virtual_ranks,
                                            Span<T> arena, bool staged)
    : comm_(comm), arena_(arena), staged_(staged), sums_(tree, virtual_ranks.at(static_cast<std::size_t>(comm.rank())), arena) {
  const auto ranks = static_cast<std::size_t>(comm.size()), rank = static_cast<std::size_t>(comm.rank());
  if (virtual_ranks.size() != ranks) throw internal_error("VirtualRankExchange: virtual ranks for {} ranks on {} ranks", virtual_ranks.size(), ranks);
  std::size_t others = 0;
  for (std::size_t r = 0; r < ranks; ++r) {
    const auto nodes = tree.nodes_of(virtual_ranks[r]);
    rounds_ = std::max(rounds_, nodes.size());
    for (std::size_t n = 0; n < nodes.size(); ++n) all_.push_back({nodes[n], r, n, r == rank ? 0 : others++});
  }
  others_ = static_cast<std::int64_t>(others);
  // The order of the tree need not be that of the ranks.
  std::ranges::sort(all_, {}, [](const Owned& owned) { return owned.node.first; });
  std::vector<VirtualRankRange> ranges;
  for (const Owned& owned : all_) ranges.push_back(owned.node);
  const auto additions = tree.additions(ranges);
  additions_ = Buffer<NodeAddition>("trireme::virtual_ranks::additions", additions.size());
  const auto host = Kokkos::create_mirror_view(additions_);
  for (std::size_t a = 0; a < additions.size(); ++a) host(a) = {additions[a].first, additions[a].second};
  Kokkos::deep_copy(additions_, host);
}

template <class T>
void VirtualRankExchange<T>::add_piece(std::int64_t first, const std::vector<int>& counts, const std::vector<int>& starts) {
  constexpr std::int64_t largest = std::int64_t{1} << 30;  // MPI counts in int
  const auto ranks = static_cast<std::size_t>(comm_.size()), rank = static_cast<std::size_t>(comm_.rank());
  const std::int64_t own = counts[rank], received_at = pieces_.empty() ? 0 : pieces_.back().received_at + pieces_.back().own * others_;
  if (own * others_ > largest)
    throw usage_error("data.virtual_ranks: {} gradients of {} tree nodes are too large for MPI's counts. Hint: set a smaller parallel.bucket", own, others_);
  Piece piece{first, starts.back() + counts.back(), first + starts[rank], own, received_at, starts, {}, {}};
  const std::vector<int> none(ranks, 0);
  for (std::size_t q = 0; q < rounds_; ++q) {
    piece.rounds.push_back({q < nodes() ? counts : none, none, none, {}});
    piece.rounds.back().send_counts[rank] = 0;
  }
  for (const Owned& owned : all_) {
    if (owned.rank == rank) continue;
    piece.rounds[owned.number].receive_counts[owned.rank] = static_cast<int>(own);
    piece.rounds[owned.number].receive_starts[owned.rank] = static_cast<int>(static_cast<std::int64_t>(owned.received) * own);
  }
  pieces_.push_back(std::move(piece));
}

template <class T>
void VirtualRankExchange<T>::allocate() {
  const auto rank = static_cast<std::size_t>(comm_.rank());
  received_.make("received_nodes", pieces_.empty() ? 0 : pieces_.back().received_at + pieces_.back().own * others_, staged_);
  if (staged_)
    for (std::size_t n = 0; n < nodes(); ++n) staging_.emplace_back("trireme::virtual_ranks::staging", arena_.size());
  for (Piece& piece : pieces_) {
    piece.nodes = Buffer<NodeMemory<T>>("trireme::virtual_ranks::nodes", all_.size());
    const auto host = Kokkos::create_mirror_view(piece.nodes);
    for (std::size_t i = 0; i < all_.size(); ++i)
      host(i) = {all_[i].rank == rank ? sums_.node(all_[i].number).data() + piece.own_first
                                      : received_.memory.data() + piece.received_at + static_cast<std::int64_t>(all_[i].received) * piece.own};
    Kokkos::deep_copy(piece.nodes, host);
  }
}

template <class T>
void VirtualRankExchange<T>::finish_virtual_ranks(const Execution& exec, std::size_t p) {
  const Piece& piece = pieces_[p];
  sums_.finish(exec, piece.first, piece.first + piece.count);
  for (std::size_t n = 0; n < staging_.size(); ++n)
    Kokkos::deep_copy(exec, host_slice(staging_[n], piece.first, piece.count), slice<T>(sums_.node(n), piece.first, piece.count));
}

template <class T>
void VirtualRankExchange<T>::begin(std::size_t p) {
  Piece& piece = pieces_[p];
  for (std::size_t q = 0; q < rounds_; ++q) {
    Round& round = piece.rounds[q];
    const std::size_t node = std::min(q, nodes() - 1);  // if this rank has no such node, it sends nothing
    const T* const from = (staged_ ? staging_[node].data() : sums_.node(node).data()) + piece.first;
    round.request = comm_.begin_all_to_all(from, round.send_counts.data(), piece.starts.data(), received_.data() + piece.received_at,
                                           round.receive_counts.data(), round.receive_starts.data());
  }
}

template <class T>
bool VirtualRankExchange<T>::done(std::size_t p) {
  bool all = true;
  for (Round& round : pieces_[p].rounds) all = round.request.done() && all;
  return all;
}

template <class T>
void VirtualRankExchange<T>::wait(std::size_t p) {
  for (Round& round : pieces_[p].rounds) round.request.wait();
}

template <class T>
void VirtualRankExchange<T>::add_up(const Execution& exec, std::size_t p) {
  const Piece& piece = pieces_[p];
  if (piece.own == 0) return;
  received_.from_mpi(exec, piece.received_at, piece.own * others_);
  add_nodes<T>(exec, piece.own, piece.nodes, additions_, slice<T>(arena_, piece.own_first, piece.own));
}

template class VirtualRankExchange<float>;
template class VirtualRankExchange<double>;

}  // namespace trireme
