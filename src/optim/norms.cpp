#include "optim/norms.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "kokkos_kernels/elementwise.hpp"

namespace trireme {

namespace {

template <class E>
Buffer<E> to_device(const std::vector<E>& list, const char* label) {
  Buffer<E> buffer(label, list.size());
  const auto host = Kokkos::create_mirror_view(buffer);
  std::copy(list.begin(), list.end(), host.data());
  Kokkos::deep_copy(buffer, host);
  return buffer;
}

// nvcc does not allow kernels in private member functions, so these are free functions.
void add_up(const Execution& exec, std::int64_t parameters, Span<const double> squares, Span<const std::uint8_t> counts, Span<double> result) {
  Kokkos::parallel_for(
      "trireme::norms::add_up", Range(exec, 0, 1), KOKKOS_LAMBDA(std::int64_t) {
        double sum = 0;
        for (std::int64_t p = 0; p < parameters; ++p)
          if (counts.size() == 0 || counts(p) != 0) sum += squares(p);
        result(0) = sum;
      });
}

// Parts of one parameter on this rank share a number: add them one after the other, so that no two add to the same element at the same time.
void to_global(const Execution& exec, std::int64_t parameters, Span<const double> squares, Span<const std::uint8_t> counts, Span<const std::int32_t> number,
               Span<double> global) {
  Kokkos::parallel_for(
      "trireme::norms::to_global", Range(exec, 0, 2), KOKKOS_LAMBDA(std::int64_t which) {
        for (std::int64_t p = 0; p < parameters; ++p)
          if (counts(p) != 0) global(2 * number(p) + which) += squares(2 * p + which);
      });
}

void from_global(const Execution& exec, std::int64_t parameters, Span<const double> global, Span<const std::int32_t> number, Span<double> squares) {
  Kokkos::parallel_for(
      "trireme::norms::from_global", Range(exec, 0, parameters), KOKKOS_LAMBDA(std::int64_t p) {
        for (int which = 0; which < 2; ++which) squares(2 * p + which) = global(2 * number(p) + which);
      });
}

}  // namespace

template <class T>
Norms<T>::Norms(ParameterChunks runs, std::int64_t parameters, NormScope scope)
    : runs_(runs), parameters_(parameters), shards_(scope.shards), model_(scope.model) {
  const auto n = static_cast<std::size_t>(parameters);
  partial_ = Buffer<double>("trireme::norms::partial", runs.all.size());
  squares_ = Buffer<double>("trireme::norms::squares", n);
  if (scope.model == nullptr) return;
  if (scope.counts.empty()) scope.counts.assign(n, 1);
  const bool fits = scope.counts.size() == n && scope.global_number.size() == n &&
                    std::ranges::all_of(scope.global_number, [&](std::int32_t number) { return number >= 0 && number < scope.global_parameters; });
  if (!fits)
    throw internal_error("Norms: {} parameters, {} counts and {} global numbers below {}", n, scope.counts.size(), scope.global_number.size(),
                         scope.global_parameters);
  counts_ = to_device(scope.counts, "trireme::norms::counts");
  number_ = to_device(scope.global_number, "trireme::norms::number");
  global_ = Buffer<double>("trireme::norms::global", 2 * static_cast<std::size_t>(scope.global_parameters));
}

template <class T>
void Norms<T>::squared(const Execution& exec, Span<const T> gradients, Span<double> result) const {
  squares_of_parameters<T>(exec, runs_, gradients, partial_, squares_);
  add_up(exec, parameters_, squares_, counts_, result);
  if (shards_ != nullptr) sum_.run(exec, *shards_, result);
  if (model_ != nullptr) sum_.run(exec, *model_, result);
}

template <class T>
void Norms<T>::complete(const Execution& exec, Span<double> squares) const {
  if (shards_ != nullptr) sum_.run(exec, *shards_, squares);
  if (model_ == nullptr) return;
  fill<double>(exec, static_cast<std::int64_t>(global_.size()), 0.0, global_);
  to_global(exec, parameters_, squares, counts_, number_, global_);
  sum_.run(exec, *model_, global_);
  from_global(exec, parameters_, global_, number_, squares);
}

template class Norms<float>;
template class Norms<double>;

}  // namespace trireme
