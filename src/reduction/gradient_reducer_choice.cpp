// Choice and measurement of the reduction algorithm, and its report.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.hpp"
#include "base/share.hpp"
#include "base/text.hpp"
#include "kokkos_kernels/elementwise.hpp"
#include "parallel/plan.hpp"
#include "reduction/gradient_reducer.hpp"

namespace trireme {

namespace {

constexpr std::int64_t smallest_bucket = 64 << 10, largest_bucket = 64 << 20;  // bytes, for measured bucket sizes

/// Seconds of `action` on the slowest rank, minimum of `times` calls. Collective.
template <class F>
double seconds_of(const Communicator& comm, int times, const F& action) {
  double best = 1e300;
  for (int i = 0; i < times; ++i) {
    comm.barrier();
    const Timer timer;
    action();
    best = std::min(best, timer.seconds());
  }
  return comm.all_reduce(best, MPI_MAX);
}

}  // namespace

ReduceOptions ReduceOptions::from(const Deck& deck, const GridShape& grid, std::int64_t gradients) {
  ReduceOptions options;
  options.bucket_bytes = static_cast<std::int64_t>(deck.real("parallel.bucket") * 1024 * 1024);
  options.gradients = gradients;
  options.shard = deck.boolean("optimizer.shard");
  options.bf16 = deck.text("parallel.reduce_dtype") == "bf16";
  const std::string& reduce = deck.text("parallel.reduce");
  options.algorithm = reduce == "flat" ? Algorithm::flat : reduce == "hierarchical" ? Algorithm::hierarchical : Algorithm::automatic;
  if (const std::int64_t virtual_ranks = virtual_ranks_of(deck, grid); virtual_ranks > 0) {
    // Order of the reduction group: data, then spatial. Virtual ranks with the same part of the pixels are consecutive.
    for (int d = 0; d < grid.data; ++d)
      for (int s = 0; s < grid.spatial_ranks(); ++s) {
        const Share own = share_of(virtual_ranks, d, grid.data);
        options.virtual_ranks.push_back({s * virtual_ranks + own.first, s * virtual_ranks + own.first + own.count});
      }
  }
  return options;
}

ReductionTree ReduceOptions::reduction_tree() const {
  std::int64_t leaves = 0;
  for (const VirtualRankRange& range : virtual_ranks) leaves = std::max(leaves, range.last);
  return ReductionTree(leaves);
}

std::int64_t ReduceOptions::nodes_of(int rank) const {
  return static_cast<std::int64_t>(reduction_tree().nodes_of(virtual_ranks[static_cast<std::size_t>(rank)]).size());
}

std::int64_t ReduceOptions::virtual_rank_memory(std::int64_t arena, int rank) const {
  if (virtual_ranks.empty()) return 0;
  std::int64_t others = 0;
  for (int r = 0; r < static_cast<int>(virtual_ranks.size()); ++r) others += r == rank ? 0 : nodes_of(r);
  return VirtualRankSchedule(reduction_tree(), virtual_ranks[static_cast<std::size_t>(rank)]).slots() * arena +
         others * arena / static_cast<std::int64_t>(virtual_ranks.size());
}

// Chooses bucket size and algorithm. Measurements use the times of the slowest rank, which all ranks know.
template <class T>
void GradientReducer<T>::choose(std::int64_t gradient_bytes, const ReduceOptions& options) {
  bucket_bytes_ = options.bucket_bytes;
  const bool measures = bucket_bytes_ == 0 && comm_.size() > 1 && gradient_bytes > smallest_bucket;
  if (bucket_bytes_ == 0) bucket_bytes_ = smallest_bucket;
  HostBuffer<T> host;
  Buffer<T> device;
  const auto scratch = [&](std::int64_t elements) {
    if (!staged_) return (device = Buffer<T>("trireme::reducer::measured", static_cast<std::size_t>(elements))).data();
    return (host = HostBuffer<T>("trireme::reducer::measured", static_cast<std::size_t>(elements))).data();
  };
  const auto flat = [&](T* memory, std::int64_t elements) { comm_.begin_all_reduce(memory, static_cast<std::size_t>(elements)).wait(); };
  if (measures) {
    const std::int64_t small = 1024 / sizeof(T), large = std::min<std::int64_t>(1 << 20, gradient_bytes) / static_cast<std::int64_t>(sizeof(T));
    T* const memory = scratch(large);
    Kokkos::fence("trireme::reducer: scratch is made");
    const double start = seconds_of(comm_, 7, [&] { flat(memory, small); });
    const double all = seconds_of(comm_, 4, [&] { flat(memory, large); });
    const double a_byte = std::max(all - start, 0.1 * all) / static_cast<double>((large - small) * static_cast<std::int64_t>(sizeof(T)));
    const double best = std::sqrt(static_cast<double>(gradient_bytes) * start / a_byte);
    bucket_bytes_ = std::clamp<std::int64_t>(std::int64_t{1} << std::lround(std::log2(best)), smallest_bucket, largest_bucket);
    why_ = fmt::format("measured: {:.1f} us per all-reduce plus {:.0f} us per MiB", 1e6 * start, 1e6 * a_byte * (1 << 20));
  }
  if (options.algorithm == ReduceOptions::Algorithm::flat || mode_ != Mode::sum || comm_.size() == 1) return;
  Communicator node = comm_.split_by_node();
  leads_ = node.rank() == 0;
  ranks_of_node_ = comm_.all_reduce(node.size(), MPI_MAX);
  nodes_ = comm_.all_reduce(leads_ ? 1 : 0);
  if (options.algorithm == ReduceOptions::Algorithm::automatic && (nodes_ == 1 || nodes_ == comm_.size())) return;
  second_.emplace(comm_.split(leads_ ? 0 : 1, comm_.rank())).named(axis_ + ": between nodes");
  const auto hierarchical = [&](T* memory, std::int64_t elements) {
    const auto n = static_cast<std::size_t>(elements);
    node.begin_reduce(memory, n, 0).wait();
    if (leads_) second_->begin_all_reduce(memory, n).wait();
    node.begin_broadcast(memory, n, 0).wait();
  };
  bool takes = options.algorithm == ReduceOptions::Algorithm::hierarchical;
  if (!takes) {
    const std::int64_t elements = std::min(bucket_bytes_, gradient_bytes) / static_cast<std::int64_t>(sizeof(T));
    T* const memory = scratch(std::max<std::int64_t>(elements, 1));
    Kokkos::fence("trireme::reducer: scratch is made");
    const double one = seconds_of(comm_, 4, [&] { flat(memory, elements); }), other = seconds_of(comm_, 4, [&] { hierarchical(memory, elements); });
    takes = other < 0.9 * one;  // prefer flat in a tie, because it has fewer differences between runs
    why_ += fmt::format("{}{} nodes of up to {} ranks: one bucket takes {:.0f} us flat, {:.0f} us hierarchical", why_.empty() ? "" : "; ", nodes_,
                        ranks_of_node_, 1e6 * one, 1e6 * other);
  }
  if (!takes) return second_.reset();
  mode_ = Mode::hierarchical;
  third_.emplace(node.duplicate()).named(axis_ + ": broadcast within the node");
  node_ = std::move(node);
  node_->named(axis_ + ": within the node");
}

template <class T>
void GradientReducer<T>::measure(const Execution& exec) {
  if (comm_.size() == 1) return;
  fill<T>(exec, end(), T{}, arena_);
  alone_ = seconds_of(comm_, 3, [&] { finish(exec); });
  if (shard_)
    gather_alone_ = seconds_of(comm_, 3, [&] {
      begin_gather(exec, slice<T>(arena_, 0, gradients_));
      finish_gather(exec);
    });
  exec.fence("trireme::reducer: measured");
  reduces_ = gather_waits_ = Waits();
}

template <class T>
double GradientReducer<T>::Waits::least(const Communicator& comm) const {
  const std::size_t n = std::min(steps, remembered);
  if (n == 0) return 0;
  std::vector<double> waits(last.begin(), last.begin() + static_cast<std::ptrdiff_t>(n));
  comm.all_reduce(std::span(waits), MPI_MIN);
  double sum = 0;
  for (const double wait : waits) sum += wait;
  return sum / static_cast<double>(n);
}

template <class T>
std::string GradientReducer<T>::plan() const {
  if (comm_.size() == 1) return fmt::format("{}: one rank, no reduction", axis_);
  const char* const ways[] = {"all-reduce", "hierarchical all-reduce", "reduce-scatter, and all-gather of the updated parameters", "bf16 all-to-all",
                              "virtual-rank exchange"};
  return fmt::format("{} over {} ranks: {}{} in {} bucket(s) of about {}{}", axis_, comm_.size(), ways[static_cast<int>(mode_)],
                     mode_ == Mode::exchange || mode_ == Mode::virtual_ranks ? shard_                         ? ", and all-gather of the updated parameters"
                                                                               : mode_ == Mode::virtual_ranks ? " and all-gather"
                                                                                                              : " and bf16 all-gather"
                                                                             : "",
                     buckets_.size(), human_bytes(static_cast<double>(bucket_bytes_)), why_.empty() ? "" : " (" + why_ + ")");
}

template <class T>
void GradientReducer<T>::report(CommunicationReport& report) const {
  if (comm_.size() == 1) return;
  const double p = comm_.size(), m = nodes_, share = (p - 1) / p, size = sizeof(T), n = static_cast<double>(buckets_.size());
  const double all = static_cast<double>(end()), gradients = static_cast<double>(gradients_), tail = end() > gradients_ ? 1 : 0;
  double own = 0;
  for (const Bucket& bucket : buckets_) own += static_cast<double>(bucket.own_last - bucket.own_first);
  CommunicationLine line{.axis = axis_, .alone_s = alone_ > 0 ? alone_ : -1, .exposed_s = reduces_.least(comm_), .waited_s = reduces_.mean()};
  const double control = 2 * share * (all - gradients) * size;
  switch (mode_) {
    case Mode::sum:
      line.what = "all-reduce", line.messages = n, line.bytes = 2 * share * all * size;
      break;
    case Mode::hierarchical:
      line.what = "hierarchical all-reduce", line.messages = (leads_ ? 3 : 2) * n, line.bytes = leads_ ? 2 * (m - 1) / m * all * size : 0;
      break;
    case Mode::scatter:
      line.what = "reduce-scatter", line.messages = n + tail, line.bytes = share * gradients * size + control;
      break;
    case Mode::exchange:
      line.what = shard_ ? "bf16 all-to-all" : "bf16 all-to-all and all-gather", line.messages = (shard_ ? 1 : 2) * n + tail;
      line.bytes = 2 * (gradients - own + (shard_ ? 0 : (p - 1) * own)) + control;
      break;
    case Mode::virtual_ranks: {
      double gathered = 0;
      for (const Bucket& bucket : buckets_) gathered += gathers(bucket) ? static_cast<double>(bucket.own_last - bucket.own_first) : 0;
      line.what = gathered > 0 && !shard_ ? "virtual-rank exchange and all-gather" : "virtual-rank exchange";
      line.messages = static_cast<double>(virtual_ranks_->rounds()) * n + (shard_ ? tail : n);
      line.bytes = size * (static_cast<double>(virtual_ranks_->nodes()) * (all - own) + (p - 1) * gathered);
      break;
    }
  }
  report.add(line);
  if (shard_)
    report.add({.axis = axis_,
                .what = "parameter all-gather",
                .messages = static_cast<double>(std::ranges::count_if(buckets_, [](const Bucket& bucket) { return bucket.gradients; })),
                .bytes = (p - 1) * static_cast<double>(shards_.size()) * size,
                .alone_s = gather_alone_ > 0 ? gather_alone_ : -1,
                .exposed_s = gather_waits_.least(comm_),
                .waited_s = gather_waits_.mean()});
}

#define TRIREME_INSTANTIATE(T)                                                  \
  template void GradientReducer<T>::choose(std::int64_t, const ReduceOptions&); \
  template void GradientReducer<T>::measure(const Execution&);                  \
  template double GradientReducer<T>::Waits::least(const Communicator&) const;  \
  template std::string GradientReducer<T>::plan() const;                        \
  template void GradientReducer<T>::report(CommunicationReport&) const;
TRIREME_INSTANTIATE(float)
TRIREME_INSTANTIATE(double)
#undef TRIREME_INSTANTIATE

}  // namespace trireme
