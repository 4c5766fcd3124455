#include "reduction/gradient_reducer.hpp"

#include <algorithm>
#include <cmath>
#include <functional>

#include "base/error.hpp"
#include "base/text.hpp"
#include "kokkos_kernels/elementwise.hpp"

namespace trireme {

namespace {

constexpr std::int64_t largest_message = std::int64_t{1} << 30;  // elements: MPI counts in int

std::uint16_t* bits(Bf16* wire) { return reinterpret_cast<std::uint16_t*>(wire); }

}  // namespace

template <class T>
GradientReducer<T>::GradientReducer(const Communicator& comm, Span<T> arena, std::vector<std::int64_t> cuts, const ReduceOptions& options)
    : comm_(comm.duplicate()),
      arena_(arena),
      gradients_(options.gradients < 0 ? static_cast<std::int64_t>(arena.size()) : options.gradients),
      shard_(options.shard && comm.size() > 1),
      bf16_(options.bf16 && comm.size() > 1),
      axis_(options.axis),
      shards_(gradients_),
      staged_(!on_host && comm.size() > 1 && !mpi_takes_device_memory()) {
  if (gradients_ > end()) throw internal_error("GradientReducer: {} gradients in an arena of {}", gradients_, end());
  comm_.named(axis_ + ": gradients");
  mode_ = !options.virtual_ranks.empty() ? Mode::virtual_ranks : bf16_ ? Mode::exchange : shard_ ? Mode::scatter : Mode::sum;
  choose(gradients_ * static_cast<std::int64_t>(sizeof(T)), options);
  cut(std::move(cuts), bucket_bytes_);
  if (mode_ == Mode::scatter || mode_ == Mode::exchange) {
    divide();
    tail_comm_.emplace(comm.duplicate()).named(axis_ + ": control");
    if (mode_ == Mode::scatter) own_.make("own", shards_.size(), staged_);
  }
  if (mode_ == Mode::exchange) {
    std::int64_t own = 0;
    for (const Bucket& bucket : buckets_) own += bucket.own_last - bucket.own_first;
    sent_.make("sent", gradients_, staged_);
    received_.make("received", own * (comm_.size() - 1), staged_);
    error_ = Buffer<T>("trireme::reducer::error", static_cast<std::size_t>(gradients_));
    if (!shard_) second_.emplace(comm.duplicate()).named(axis_ + ": sums");
  }
  if (mode_ == Mode::virtual_ranks) {
    divide();
    virtual_ranks_.emplace(comm_, options.reduction_tree(), options.virtual_ranks, arena_, staged_);
    for (const Bucket& bucket : buckets_) virtual_ranks_->add_piece(bucket.first, bucket.counts, bucket.starts);
    virtual_ranks_->allocate();
    second_.emplace(comm.duplicate()).named(axis_ + ": sums");
  }
  if (shard_) third_.emplace(comm.duplicate()).named(axis_ + ": values"), gathers_.resize(buckets_.size());
  stages_ = mode_ == Mode::hierarchical ? 3 : mode_ == Mode::virtual_ranks || (mode_ == Mode::exchange && !shard_) ? 2 : 1;
  if (staged_) staging_ = HostBuffer<T>("trireme::reducer::staging", arena.size());
  if (staged_ && shard_) gather_staging_ = HostBuffer<T>("trireme::reducer::gather_staging", static_cast<std::size_t>(gradients_));
}

template <class T>
void GradientReducer<T>::cut(std::vector<std::int64_t> cuts, std::int64_t bucket_bytes) {
  std::ranges::sort(cuts, std::greater<>());
  const std::int64_t elements = std::max<std::int64_t>(bucket_bytes / static_cast<std::int64_t>(sizeof(T)), 1);
  // Control numbers are part of the first bucket if it is reduced in full on all ranks; otherwise they are separate. With virtual ranks and shard
  // they have their own bucket.
  std::int64_t last = mode_ == Mode::sum || mode_ == Mode::hierarchical || (mode_ == Mode::virtual_ranks && !shard_) ? end() : gradients_;
  if (mode_ == Mode::virtual_ranks && shard_ && end() > gradients_) {
    Bucket tail;
    tail.first = gradients_, tail.last = end(), tail.gradients = false;
    buckets_.push_back(std::move(tail));
  }
  const auto close = [&](std::int64_t first) {
    const auto add = [&](std::int64_t from) {
      Bucket bucket;
      bucket.first = from, bucket.last = last;
      buckets_.push_back(std::move(bucket));
      last = from;
    };
    while (last - first > largest_message) add(last - largest_message);
    add(first);
  };
  for (const std::int64_t at : cuts)
    if (last - at >= elements) close(at);
  if (last > 0 || buckets_.empty()) close(0);
}

template <class T>
void GradientReducer<T>::divide() {
  const int ranks = comm_.size(), rank = comm_.rank();
  const auto to_int = [](std::int64_t n) { return static_cast<int>(n); };
  std::vector<std::int64_t> bounds{0};
  std::int64_t own_at = 0;
  // Compact memory is in ascending order, as in the ZeRO partition.
  for (auto bucket = buckets_.rbegin(); bucket != buckets_.rend(); ++bucket) {
    const std::int64_t m = bucket->last - bucket->first;
    if (bucket->gradients) bounds.push_back(bucket->last);
    for (int r = 0; r < ranks; ++r) {
      bucket->starts.push_back(to_int(ZeroPartition::begin(m, ranks, r)));
      bucket->counts.push_back(to_int(ZeroPartition::begin(m, ranks, r + 1) - ZeroPartition::begin(m, ranks, r)));
    }
    const std::int64_t own = bucket->counts[static_cast<std::size_t>(rank)];
    bucket->own_first = bucket->first + bucket->starts[static_cast<std::size_t>(rank)];
    bucket->own_last = bucket->own_first + own;
    bucket->own_at = own_at;
    own_at += own;
    if (mode_ != Mode::exchange) continue;
    for (int r = 0; r < ranks; ++r) {
      bucket->send_counts.push_back(r == rank ? 0 : bucket->counts[static_cast<std::size_t>(r)]);
      bucket->receive_counts.push_back(r == rank ? 0 : to_int(own));
      bucket->receive_starts.push_back(to_int((r - (r > rank ? 1 : 0)) * own));
    }
    if (own * (ranks - 1) > largest_message)
      throw usage_error("parallel.reduce_dtype = bf16: a bucket of {} gradients is too large for MPI's counts. Hint: set a smaller parallel.bucket", m);
  }
  if (shard_) shards_ = ZeroPartition(bounds, ranks, rank);
}

template <class T>
void GradientReducer<T>::to_staging(const Execution& exec, std::int64_t first, std::int64_t last) {
  if (staged_ && last > first) Kokkos::deep_copy(exec, host_slice(staging_, first, last - first), slice<T>(arena_, first, last - first));
}

template <class T>
void GradientReducer<T>::start(const Execution& exec, std::size_t index) {
  Bucket& bucket = buckets_[index];
  const bool tail = index == 0 && tail_comm_ && end() > gradients_;
  if (tail) to_staging(exec, gradients_, end());
  begin(exec, bucket);
  bucket.stage = 1;
  if (tail) tail_ = tail_comm_->begin_all_reduce(memory(gradients_), static_cast<std::size_t>(end() - gradients_));
}

template <class T>
void GradientReducer<T>::begin(const Execution& exec, Bucket& bucket) {
  const auto count = static_cast<std::size_t>(bucket.last - bucket.first);
  if (mode_ == Mode::exchange) {
    // The part that this rank sums itself is not sent, and not rounded.
    for (const bool below : {true, false}) {
      const std::int64_t first = below ? bucket.first : bucket.own_last, last = below ? bucket.own_first : bucket.last;
      if (first == last) continue;
      encode<T>(exec, last - first, slice<T>(arena_, first, last - first), slice<T>(error_, first, last - first),
                slice<Bf16>(sent_.memory, first, last - first));
      sent_.to_mpi(exec, first, last - first);
    }
  } else if (mode_ == Mode::virtual_ranks) {
    virtual_ranks_->finish_virtual_ranks(exec, number_of(bucket));
  } else {
    to_staging(exec, bucket.first, bucket.last);
  }
  exec.fence("trireme::reducer: bucket complete before MPI");
  switch (mode_) {
    case Mode::sum:
      bucket.request = comm_.begin_all_reduce(memory(bucket.first), count);
      break;
    case Mode::hierarchical:
      bucket.request = node_->begin_reduce(memory(bucket.first), count, 0);
      break;
    case Mode::scatter:
      bucket.request = comm_.begin_reduce_scatter(memory(bucket.first), own_.data() + bucket.own_at, bucket.counts.data());
      break;
    case Mode::exchange:
      bucket.request =
          comm_.begin_all_to_all(bits(sent_.data()) + bucket.first, bucket.send_counts.data(), bucket.starts.data(),
                                 bits(received_.data()) + bucket.own_at * (comm_.size() - 1), bucket.receive_counts.data(), bucket.receive_starts.data());
      break;
    case Mode::virtual_ranks:
      virtual_ranks_->begin(number_of(bucket));
      break;
  }
}

template <class T>
void GradientReducer<T>::advance(const Execution& exec, Bucket& bucket) {
  const auto count = static_cast<std::size_t>(bucket.last - bucket.first);
  const std::int64_t own = bucket.own_last - bucket.own_first;
  switch (mode_) {
    case Mode::sum:
      break;
    case Mode::hierarchical:
      if (bucket.stage == 1 && leads_) bucket.request = second_->begin_all_reduce(memory(bucket.first), count);
      if (bucket.stage == 2) bucket.request = third_->begin_broadcast(memory(bucket.first), count, 0);
      break;
    case Mode::scatter:
      if (own == 0) break;
      own_.from_mpi(exec, bucket.own_at, own);
      copy<T>(exec, own, slice<T>(own_.memory, bucket.own_at, own), slice<T>(arena_, bucket.own_first, own));
      break;
    case Mode::exchange:
      if (bucket.stage == 2) {
        sent_.from_mpi(exec, bucket.first, bucket.last - bucket.first);
        decode<T>(exec, bucket.last - bucket.first, slice<Bf16>(sent_.memory, bucket.first, bucket.last - bucket.first),
                  slice<T>(arena_, bucket.first, bucket.last - bucket.first));
        break;
      }
      if (own > 0) {
        const std::int64_t others = comm_.size() - 1, at = bucket.own_at * others;
        const Span<T> sums = slice<T>(arena_, bucket.own_first, own), error = slice<T>(error_, bucket.own_first, own);
        received_.from_mpi(exec, at, own * others);
        add_received<T>(exec, own, others, comm_.rank(), slice<Bf16>(received_.memory, at, own * others), error, sums);
        fill<T>(exec, own, T{}, error);
        if (!shard_) {
          encode<T>(exec, own, sums, error, slice<Bf16>(sent_.memory, bucket.own_first, own));
          sent_.to_mpi(exec, bucket.own_first, own);
        }
      }
      if (shard_) break;
      exec.fence("trireme::reducer: rounded sums complete before MPI");
      bucket.request = second_->begin_all_gather(bits(sent_.data()) + bucket.first, bucket.counts.data(), bucket.starts.data());
      break;
    case Mode::virtual_ranks:
      if (bucket.stage == 2) break;
      virtual_ranks_->add_up(exec, number_of(bucket));
      if (!gathers(bucket)) {
        bucket.stage = stages_;
        break;
      }
      to_staging(exec, bucket.own_first, bucket.own_last);
      exec.fence("trireme::reducer: sums complete before MPI");
      bucket.request = second_->begin_all_gather(memory(bucket.first), bucket.counts.data(), bucket.starts.data());
      break;
  }
  ++bucket.stage;
}

// Operations of one kind start in the order of the buckets, on every rank.
template <class T>
void GradientReducer<T>::poll(const Execution& exec) {
  for (std::size_t b = 0; b < next_; ++b) {
    Bucket& bucket = buckets_[b];
    while (bucket.stage <= stages_ && (b == 0 || buckets_[b - 1].stage > bucket.stage) && done(bucket)) advance(exec, bucket);
    // A non-blocking reduction progresses only in MPI calls.
    if (bucket.stage <= stages_) done(bucket);
  }
  tail_.done();
}

template <class T>
bool GradientReducer<T>::done(Bucket& bucket) {
  const bool exchanged = !virtual_ranks_ || virtual_ranks_->done(number_of(bucket));
  return bucket.request.done() && exchanged;
}

template <class T>
void GradientReducer<T>::wait(Bucket& bucket) {
  if (virtual_ranks_) virtual_ranks_->wait(number_of(bucket));
  bucket.request.wait();
}

template <class T>
void GradientReducer<T>::ready(const Execution& exec, std::int64_t offset) {
  if (comm_.size() == 1) return;
  for (; next_ < buckets_.size() && buckets_[next_].first >= offset; ++next_) start(exec, next_);
  poll(exec);
}

template <class T>
void GradientReducer<T>::finish(const Execution& exec) {
  if (virtual_ranks_) virtual_ranks_->sums().restart();
  if (comm_.size() == 1) {
    if (virtual_ranks_) virtual_ranks_->sums().finish(exec, 0, end());
    return;
  }
  for (; next_ < buckets_.size(); ++next_) start(exec, next_);
  const Timer timer;
  for (int stage = 1; stage <= stages_; ++stage)
    for (Bucket& bucket : buckets_) {
      if (bucket.stage != stage) continue;
      wait(bucket);
      advance(exec, bucket);
    }
  tail_.wait();
  reduces_.add(timer.seconds());
  if (staged_) {
    if (mode_ == Mode::sum || mode_ == Mode::hierarchical || (mode_ == Mode::virtual_ranks && !shard_))
      Kokkos::deep_copy(exec, arena_, staging_);
    else if (end() > gradients_)
      Kokkos::deep_copy(exec, slice<T>(arena_, gradients_, end() - gradients_), host_slice(staging_, gradients_, end() - gradients_));
  }
  for (Bucket& bucket : buckets_) bucket.stage = 0;
  next_ = 0;
}

template <class T>
void GradientReducer<T>::begin_gather(const Execution& exec, Span<T> values) {
  if (!shard_) return;
  gathered_ = values;
  T* const from = staged_ ? gather_staging_.data() : values.data();
  if (staged_)
    for (const Bucket& bucket : buckets_)
      if (const std::int64_t own = bucket.own_last - bucket.own_first; own > 0 && bucket.gradients)
        Kokkos::deep_copy(exec, host_slice(gather_staging_, bucket.own_first, own), slice<T>(values, bucket.own_first, own));
  exec.fence("trireme::reducer: updated values complete before MPI");
  for (std::size_t b = 0; b < buckets_.size(); ++b)
    if (buckets_[b].gradients) gathers_[b] = third_->begin_all_gather(from + buckets_[b].first, buckets_[b].counts.data(), buckets_[b].starts.data());
}

template <class T>
void GradientReducer<T>::finish_gather(const Execution& exec) {
  if (!shard_ || gathered_.data() == nullptr) return;
  const Timer timer;
  for (Request& request : gathers_) request.wait();
  gather_waits_.add(timer.seconds());
  if (staged_) Kokkos::deep_copy(exec, slice<T>(gathered_, 0, gradients_), host_slice(gather_staging_, 0, gradients_));
  gathered_ = Span<T>();
}

template <class T>
std::vector<T> GradientReducer<T>::whole_error(const Execution& exec) {
  if (mode_ != Mode::exchange) return {};
  std::vector<T> whole(static_cast<std::size_t>(gradients_));
  exec.fence("trireme::reducer: errors are read");
  Kokkos::deep_copy(Kokkos::View<T*, Kokkos::HostSpace, Kokkos::MemoryTraits<Kokkos::Unmanaged>>(whole.data(), whole.size()), error_);
  for (std::size_t at = 0; at < whole.size(); at += largest_message)
    comm_.all_reduce(std::span(whole).subspan(at, std::min<std::size_t>(whole.size() - at, largest_message)));
  take_error(exec, whole);
  return whole;
}

template <class T>
void GradientReducer<T>::take_error(const Execution& exec, const std::vector<T>& whole) {
  if (mode_ != Mode::exchange) return;
  const auto host = Kokkos::create_mirror_view(error_);
  std::fill_n(host.data(), host.size(), T{});
  for (const Bucket& bucket : buckets_) std::copy(whole.begin() + bucket.own_first, whole.begin() + bucket.own_last, host.data() + bucket.own_first);
  exec.fence("trireme::reducer: errors are written");
  Kokkos::deep_copy(error_, host);
}

template class GradientReducer<float>;
template class GradientReducer<double>;

}  // namespace trireme
