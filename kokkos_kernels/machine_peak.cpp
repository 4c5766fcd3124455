// Rates are medians of runs of at least 20 ms each. Triad: a = b + 3 c on doubles, 24 bytes per element (McCalpin 1995).
#include "kokkos_kernels/machine_peak.hpp"

#include <algorithm>
#include <vector>

#include "base/random.hpp"
#include "base/timer.hpp"
#include "kokkos_kernels/gemm.hpp"

namespace trireme {

double seconds_of(const Execution& exec, int runs, const std::function<void()>& kernel) {
  constexpr double least_seconds = 0.02;
  const auto run = [&](std::int64_t calls) {
    const Timer timer;
    for (std::int64_t i = 0; i < calls; ++i) kernel();
    exec.fence("trireme::rates: the run's end");
    return timer.seconds();
  };
  run(1);  // libraries make their plans at the first call
  std::int64_t calls = 1;
  for (double seconds = run(1); seconds < least_seconds; seconds = run(calls))
    calls = std::max(calls + 1, static_cast<std::int64_t>(static_cast<double>(calls) * std::min(1.2 * least_seconds / std::max(seconds, 1e-9), 100.0)));
  std::vector<double> seconds;
  for (int i = 0; i < runs; ++i) seconds.push_back(run(calls) / static_cast<double>(calls));
  const auto middle = seconds.begin() + runs / 2;
  std::nth_element(seconds.begin(), middle, seconds.end());
  return *middle;
}

double triad_rate(const Execution& exec, std::int64_t count, int runs) {
  const auto n = static_cast<std::size_t>(count);
  const Buffer<double> a("trireme::rates::a", n), b("trireme::rates::b", n), c("trireme::rates::c", n);
  Kokkos::deep_copy(exec, b, 1.0);
  Kokkos::deep_copy(exec, c, 2.0);
  const double seconds = seconds_of(exec, runs, [&] {
    Kokkos::parallel_for(
        "trireme::rates::triad", Range(exec, 0, count), KOKKOS_LAMBDA(std::int64_t i) { a(i) = b(i) + 3.0 * c(i); });
  });
  return 24 * static_cast<double>(count) / seconds;
}

namespace {

template <class T>
Buffer<T> noise(std::int64_t count) {
  const Buffer<T> buffer("trireme::rates::noise", static_cast<std::size_t>(count));
  const auto host = Kokkos::create_mirror_view(buffer);
  RandomStream random(3);
  for (std::size_t i = 0; i < host.size(); ++i) host(i) = static_cast<T>(random.uniform(-1, 1));
  Kokkos::deep_copy(buffer, host);
  return buffer;
}

}  // namespace

template <class T>
double gemm_rate(const Execution& exec, std::int64_t m, std::int64_t k, std::int64_t n, int runs) {
  const Gemm<T> shape{.m = m, .n = n, .k = k};
  const auto a = noise<T>(m * k), b = noise<T>(k * n);
  const Buffer<T> product("trireme::rates::product", static_cast<std::size_t>(m * n)),
      workspace("trireme::rates::workspace", static_cast<std::size_t>(gemm_workspace(shape)));
  return 2 * static_cast<double>(m * k * n) / seconds_of(exec, runs, [&] { gemm<T>(exec, shape, a, b, product, workspace); });
}

template <class T>
MachineRates measure_rates(const Execution& exec) {
  constexpr std::int64_t extent = on_host ? 1024 : 8192, stream = std::int64_t{1} << (on_host ? 23 : 27);
  return {gemm_rate<T>(exec, extent, extent, extent, 7), triad_rate(exec, stream, 7)};
}

template double gemm_rate<float>(const Execution&, std::int64_t, std::int64_t, std::int64_t, int);
template double gemm_rate<double>(const Execution&, std::int64_t, std::int64_t, std::int64_t, int);
template MachineRates measure_rates<float>(const Execution&);
template MachineRates measure_rates<double>(const Execution&);

}  // namespace trireme
