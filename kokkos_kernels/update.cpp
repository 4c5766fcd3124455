#include "kokkos_kernels/update.hpp"

#include <cmath>

namespace trireme {

namespace {

template <class T>
KOKKOS_INLINE_FUNCTION T clip_factor(const Clip& clip) {
  if (clip.limit <= 0) return T{1};
  const double factor = clip.limit / (Kokkos::sqrt(clip.squared_norm(0)) + 1e-6);
  return factor < 1 ? static_cast<T>(factor) : T{1};
}

// Host threads take long runs, so that the factor is read once a run and the loop vectorises.
constexpr std::int64_t run = on_host ? 4096 : 1;

template <class F>
void for_runs(const Execution& exec, const char* label, std::int64_t count, const F& f) {
  Kokkos::parallel_for(label, Range(exec, 0, (count + run - 1) / run), KOKKOS_LAMBDA(std::int64_t i) {
    f(i * run, (i + 1) * run < count ? (i + 1) * run : count);
  });
}

}  // namespace

template <class T>
void sgd_update(const Execution& exec, std::int64_t count, const SgdStep& step, const Clip& clip, Span<const T> gradient, Span<T> parameter,
                Span<T> momentum) {
  const T lr = static_cast<T>(step.lr), mu = static_cast<T>(step.momentum), decay = static_cast<T>(step.weight_decay);
  const T fresh = step.first ? T{1} : static_cast<T>(1 - step.dampening), old = step.first ? T{} : mu;
  const bool nesterov = step.nesterov;
  const T* const g = gradient.data();
  T* const p = parameter.data();
  T* const buffer = momentum.data();
  if (step.momentum == 0) {
    for_runs(exec, "trireme::update::sgd", count, KOKKOS_LAMBDA(std::int64_t first, std::int64_t last) {
      const T factor = clip_factor<T>(clip);
      for (std::int64_t i = first; i < last; ++i) p[i] -= lr * (factor * g[i] + decay * p[i]);
    });
    return;
  }
  for_runs(exec, "trireme::update::sgd_momentum", count, KOKKOS_LAMBDA(std::int64_t first, std::int64_t last) {
    const T factor = clip_factor<T>(clip);
    for (std::int64_t i = first; i < last; ++i) {
      const T d = factor * g[i] + decay * p[i];
      const T b = old * buffer[i] + fresh * d;
      buffer[i] = b;
      p[i] -= lr * (nesterov ? d + mu * b : b);
    }
  });
}

template <class T>
void adam_update(const Execution& exec, std::int64_t count, const AdamStep& step, const Clip& clip, Span<const T> gradient, Span<T> parameter,
                 Span<T> first_moment, Span<T> second_moment) {
  const double correction1 = 1 - std::pow(step.beta1, static_cast<double>(step.t));
  const double correction2 = 1 - std::pow(step.beta2, static_cast<double>(step.t));
  const T rate = static_cast<T>(step.lr / correction1), root = static_cast<T>(1 / std::sqrt(correction2));
  const T b1 = static_cast<T>(step.beta1), b2 = static_cast<T>(step.beta2), eps = static_cast<T>(step.epsilon);
  const T keep = step.decoupled ? static_cast<T>(1 - step.lr * step.weight_decay) : T{1};
  const T decay = step.decoupled ? T{} : static_cast<T>(step.weight_decay);
  const T* const g = gradient.data();
  T* const p = parameter.data();
  T* const m = first_moment.data();
  T* const v = second_moment.data();
  for_runs(exec, "trireme::update::adam", count, KOKKOS_LAMBDA(std::int64_t first, std::int64_t last) {
    const T factor = clip_factor<T>(clip);
    for (std::int64_t i = first; i < last; ++i) {
      const T d = factor * g[i] + decay * p[i];
      m[i] = b1 * m[i] + (T{1} - b1) * d;
      v[i] = b2 * v[i] + (T{1} - b2) * d * d;
      p[i] = keep * p[i] - rate * m[i] / (Kokkos::sqrt(v[i]) * root + eps);
    }
  });
}

#define TRIREME_INSTANTIATE(T)                                                                                                  \
  template void sgd_update(const Execution&, std::int64_t, const SgdStep&, const Clip&, Span<const T>, Span<T>, Span<T>);       \
  template void adam_update(const Execution&, std::int64_t, const AdamStep&, const Clip&, Span<const T>, Span<T>, Span<T>, Span<T>);
TRIREME_INSTANTIATE(float)
TRIREME_INSTANTIATE(double)
#undef TRIREME_INSTANTIATE

}  // namespace trireme
