#include "train/sample_scores.hpp"

#include <cmath>
#include <cstring>

namespace trireme {

namespace {

template <class T>
auto to_host(const Execution& exec, Span<const T> values) {
  const Kokkos::View<T*, Kokkos::HostSpace> host("trireme::evaluator::host", values.size());
  Kokkos::deep_copy(exec, host, values);
  exec.fence("trireme::evaluator: scores to the host");
  return host;
}

}  // namespace

template <class T>
void ScoreList<T>::add_binary(const Execution& exec, std::int64_t count, const Ignored<T>& ignored, Span<const T> y, Span<const T> targets) {
  const auto score = to_host<T>(exec, slice<const T>(y, 0, count)), target = to_host<T>(exec, slice<const T>(targets, 0, count));
  for (std::size_t i = 0; i < score.size(); ++i)
    if (!ignored(target(i))) scores_.push_back({static_cast<double>(score(i)), target(i) > T(0.5) ? 1 : 0});
}

template <class T>
void ScoreList<T>::add_classes(const Execution& exec, std::int64_t items, const ClassTargets<T>& labels, Span<const T> y) {
  const auto score = to_host<T>(exec, slice<const T>(y, 0, 2 * items));
  ClassTargets<T> here = labels;
  Kokkos::View<std::int32_t*, Kokkos::HostSpace> numbers;
  Kokkos::View<T*, Kokkos::HostSpace> map;
  if (labels.numbers.data() != nullptr) {
    numbers = to_host<std::int32_t>(exec, slice<const std::int32_t>(labels.numbers, 0, items));
  } else {
    map = to_host<T>(exec, slice<const T>(labels.map, 0, items));
  }
  for (std::int64_t i = 0; i < items; ++i) {
    std::int64_t label;
    if (labels.numbers.data() != nullptr) {
      label = numbers(static_cast<std::size_t>(i));
    } else {
      const T t = map(static_cast<std::size_t>(i));
      label = here.ignored(t) ? -1 : t >= T{} ? static_cast<std::int64_t>(t) : -1;
    }
    if (label < 0) continue;
    scores_.push_back({static_cast<double>(score(static_cast<std::size_t>(2 * i + 1))) - static_cast<double>(score(static_cast<std::size_t>(2 * i))), label});
  }
}

template <class T>
MetricValue ScoreList<T>::area(const Communicator& run, bool counts) const {
  const std::span<const ScoredTarget> mine(scores_.data(), counts ? scores_.size() : 0);
  const std::vector<std::byte> bytes = run.all_gather(std::as_bytes(mine));
  std::vector<ScoredTarget> all(bytes.size() / sizeof(ScoredTarget));
  if (!all.empty()) std::memcpy(all.data(), bytes.data(), bytes.size());
  return area_under_roc(std::move(all));
}

template <class T>
void RelativeErrors<T>::add(const Execution& exec, std::int64_t n, std::int64_t targets, const ComparedOutputs<T>& compared, Span<const T> y,
                            Span<const T> target) {
  if (n == 0) return;
  const Span<double> squares = slice<double>(squares_, 0, 2 * n);
  sum_squares<T>(exec, n, targets, compared, y, target, squares);
  if (split_ != nullptr) all_reduce_.run(exec, *split_, squares);
  const auto host = to_host<double>(exec, squares);
  for (std::int64_t s = 0; s < n; ++s) {
    const double error = host(static_cast<std::size_t>(2 * s)), norm = host(static_cast<std::size_t>(2 * s + 1));
    if (norm == 0) continue;
    sum_.add(std::sqrt(error / norm));
    ++samples_;
  }
}

template <class T>
void RelativeErrors<T>::total(const Communicator& run, bool counts, MetricStatistics& statistics) const {
  const double mine[] = {counts ? sum_.high : 0, counts ? sum_.low : 0, counts ? static_cast<double>(samples_) : 0};
  const std::vector<double> all = run.all_gather(std::span<const double>(mine));
  for (std::size_t at = 0; at < all.size(); at += 3) {
    statistics.relative.add({all[at], all[at + 1]});
    statistics.relative_samples += static_cast<std::int64_t>(all[at + 2]);
  }
}

template class ScoreList<float>;
template class ScoreList<double>;
template class RelativeErrors<float>;
template class RelativeErrors<double>;

}  // namespace trireme
