#include "optim/gradient_reducer.hpp"

#include <algorithm>
#include <functional>

#include "base/timer.hpp"

namespace trireme {

namespace {

constexpr std::int64_t largest_message = std::int64_t{1} << 30;  // elements: MPI counts in int

std::int64_t usual_bucket(std::int64_t arena_bytes) { return std::clamp<std::int64_t>(arena_bytes / 4, 64 << 10, 4 << 20); }

}  // namespace

template <class T>
GradientReducer<T>::GradientReducer(const Communicator& comm, Span<T> arena, std::vector<std::int64_t> cuts, std::int64_t bucket_bytes)
    : comm_(comm.duplicate()), arena_(arena), staged_(!on_host && comm.size() > 1 && !mpi_takes_device_memory()) {
  std::ranges::sort(cuts, std::greater<>());
  const std::int64_t wanted = bucket_bytes > 0 ? bucket_bytes : usual_bucket(bytes());
  const std::int64_t elements = std::max<std::int64_t>(wanted / static_cast<std::int64_t>(sizeof(T)), 1);
  std::int64_t end = static_cast<std::int64_t>(arena.size());
  const auto close = [&](std::int64_t first) {
    while (end - first > largest_message) firsts_.push_back(end -= largest_message);
    firsts_.push_back(end = first);
  };
  for (const std::int64_t cut : cuts)
    if (end - cut >= elements) close(cut);
  if (end > 0 || firsts_.empty()) close(0);
  requests_.resize(firsts_.size());
  if (staged_) staging_ = HostBuffer<T>("trireme::reducer::staging", arena.size());
}

template <class T>
void GradientReducer<T>::start(const Execution& exec, std::size_t bucket) {
  const std::int64_t first = firsts_[bucket], end = bucket == 0 ? static_cast<std::int64_t>(arena_.size()) : firsts_[bucket - 1];
  const std::size_t count = static_cast<std::size_t>(end - first);
  T* buffer = arena_.data() + first;
  if (staged_) {
    buffer = staging_.data() + first;
    Kokkos::deep_copy(exec, Kokkos::View<T*, Kokkos::SharedHostPinnedSpace, Kokkos::MemoryTraits<Kokkos::Unmanaged>>(buffer, count),
                      slice<T>(arena_, first, end - first));
  }
  exec.fence("trireme::reducer: bucket complete before MPI");
  requests_[bucket] = comm_.begin_all_reduce(buffer, count);
}

template <class T>
void GradientReducer<T>::ready(const Execution& exec, std::int64_t offset) {
  if (comm_.size() == 1) return;
  for (; next_ < firsts_.size() && firsts_[next_] >= offset; ++next_) start(exec, next_);
  // A non-blocking sum moves on only when MPI is asked.
  for (std::size_t bucket = 0; bucket < next_; ++bucket) requests_[bucket].done();
}

template <class T>
void GradientReducer<T>::finish(const Execution& exec) {
  if (comm_.size() == 1) return;
  for (; next_ < firsts_.size(); ++next_) start(exec, next_);
  const Timer timer;
  for (auto& request : requests_) request.wait();
  exposed_ += timer.seconds();
  if (staged_) Kokkos::deep_copy(exec, arena_, staging_);
  next_ = 0;
}

template class GradientReducer<float>;
template class GradientReducer<double>;

}  // namespace trireme
