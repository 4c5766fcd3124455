// Each optimizer is one launch over chunks of parameters: a host thread takes a chunk, a team of a device's threads takes one. LARS and LAMB first need norms
// of whole parameters:
//
//   chunks -> sums of squares per chunk -> per parameter, chunks in order (and over ranks) -> trust ratio -> update
//
// Formulas and their papers are in update.hpp.
#include "kokkos_kernels/update.hpp"

#include <cmath>

#include "kokkos_kernels/detail/launch.hpp"

namespace trireme {

namespace {

template <class T>
KOKKOS_INLINE_FUNCTION T clip_factor(const Clip& clip) {
  if (clip.limit <= 0) return T{1};
  const double factor = clip.limit / (Kokkos::sqrt(clip.squared_norm(0)) + 1e-6);
  return factor >= 1 ? T{1} : static_cast<T>(factor);
}

// f(chunk, first, last) for all elements: factors are read once per chunk.
template <class F>
void for_runs(const Execution& exec, const char* label, const ParameterChunks& runs, const F& f) {
  const auto all = runs.all;
  detail::for_ranges(
      exec, label, static_cast<std::int64_t>(all.size()),
      KOKKOS_LAMBDA(std::int64_t r) {
        return detail::IndexRange{all(r).first, all(r).last};
      },
      KOKKOS_LAMBDA(std::int64_t r, std::int64_t first, std::int64_t last) { f(all(r), first, last); });
}

// ratio(p) = of(|parameter|, |u|, sqrt(n)) over parameter p, where u(i) is what is compared with element i, led to 1 where the parameter is near 0; 1 where
// `decays` is not set.
template <class T, class U, class F>
void trust_ratios(const Execution& exec, const ParameterChunks& runs, const TrustRatios& trust, const T* parameter, const U& u, const F& of) {
  const auto all = runs.all;
  const auto first = runs.first;
  const auto partial = trust.partial, squares = trust.squares, ratio = trust.ratio;
  const auto root = trust.root;
  // Item 2 r: the parameter in chunk r; 2 r + 1: what is compared with it.
  detail::for_sums(
      exec, "trireme::update::norms", 2 * static_cast<std::int64_t>(all.size()),
      KOKKOS_LAMBDA(std::int64_t item) {
        return detail::IndexRange{all(item / 2).first, all(item / 2).last};
      },
      KOKKOS_LAMBDA(std::int64_t item, std::int64_t i) {
        const double v = item % 2 == 0 ? static_cast<double>(parameter[i]) : static_cast<double>(u(all(item / 2), i));
        return v * v;
      },
      KOKKOS_LAMBDA(std::int64_t item, double sum) { partial(item) = sum; });
  const auto parameters = static_cast<std::int64_t>(ratio.size());
  Kokkos::parallel_for(
      "trireme::update::squares", Range(exec, 0, parameters), KOKKOS_LAMBDA(std::int64_t p) {
        for (int which = 0; which < 2; ++which) {
          double sum = 0;
          for (std::int64_t r = first(p); r < first(p + 1); ++r) sum += partial(2 * r + which);
          squares(2 * p + which) = sum;
        }
      });
  if (trust.complete) trust.complete(exec, squares);
  Kokkos::parallel_for(
      "trireme::update::trust_ratios", Range(exec, 0, parameters), KOKKOS_LAMBDA(std::int64_t p) {
        // Of a parameter without runs this rank has nothing to update.
        const bool holds = first(p) < first(p + 1) && all(first(p)).decays;
        const double weights = Kokkos::sqrt(squares(2 * p)), plain = 1 - weights / (root(p) * TrustRatios::small_parameter);
        const double of_paper = holds && weights != 0 ? of(weights, Kokkos::sqrt(squares(2 * p + 1)), root(p)) : 1;
        ratio(p) = holds && plain > 0 ? plain + (1 - plain) * of_paper : of_paper;
      });
}

// m = beta1 m + (1 - beta1) d and v = beta2 v + (1 - beta2) d^2, and the factors that take their start at 0 out of them.
template <class T>
struct Moments {
  explicit Moments(const AdamStep& step)
      : b1(static_cast<T>(step.beta1)),
        b2(static_cast<T>(step.beta2)),
        eps(static_cast<T>(step.epsilon)),
        scale(1 / (1 - std::pow(step.beta1, static_cast<double>(step.t)))),
        root(static_cast<T>(1 / std::sqrt(1 - std::pow(step.beta2, static_cast<double>(step.t))))) {}
  KOKKOS_INLINE_FUNCTION void take(T d, T& m, T& v) const {
    m = b1 * m + (T{1} - b1) * d;
    v = b2 * v + (T{1} - b2) * d * d;
  }
  T b1, b2, eps;
  double scale;  // of m
  T root;        // of sqrt(v)
};

}  // namespace

template <class T>
void sgd_update(const Execution& exec, const ParameterChunks& runs, const SgdStep& step, const Clip& clip, Span<const T> gradient, Span<T> parameter,
                Span<T> momentum) {
  const T lr = static_cast<T>(step.lr), mu = static_cast<T>(step.momentum), weight_decay = static_cast<T>(step.weight_decay);
  const T fresh = step.first ? T{1} : static_cast<T>(1 - step.dampening), old = step.first ? T{} : mu;
  const bool nesterov = step.nesterov;
  const T* const g = gradient.data();
  T* const p = parameter.data();
  T* const buffer = momentum.data();
  if (step.momentum == 0) {
    for_runs(
        exec, "trireme::update::sgd", runs, KOKKOS_LAMBDA(const ParameterChunk& run, std::int64_t first, std::int64_t last) {
          const T factor = clip_factor<T>(clip), decay = run.decays ? weight_decay : T{};
          for (std::int64_t i = first; i < last; ++i) p[i] -= lr * (factor * g[i] + decay * p[i]);
        });
    return;
  }
  for_runs(
      exec, "trireme::update::sgd_momentum", runs, KOKKOS_LAMBDA(const ParameterChunk& run, std::int64_t first, std::int64_t last) {
        const T factor = clip_factor<T>(clip), decay = run.decays ? weight_decay : T{};
        T* const state = buffer + run.shift;
        for (std::int64_t i = first; i < last; ++i) {
          const T d = factor * g[i] + decay * p[i];
          const T b = old * state[i] + fresh * d;
          state[i] = b;
          p[i] -= lr * (nesterov ? d + mu * b : b);
        }
      });
}

template <class T>
void adam_update(const Execution& exec, const ParameterChunks& runs, const AdamStep& step, const Clip& clip, Span<const T> gradient, Span<T> parameter,
                 Span<T> first_moment, Span<T> second_moment) {
  const Moments<T> moments(step);
  const T rate = static_cast<T>(step.lr * moments.scale);
  const T keep_weight = step.decoupled ? static_cast<T>(1 - step.lr * step.weight_decay) : T{1};
  const T weight_decay = step.decoupled ? T{} : static_cast<T>(step.weight_decay);
  const T* const g = gradient.data();
  T* const p = parameter.data();
  T* const m = first_moment.data();
  T* const v = second_moment.data();
  for_runs(
      exec, "trireme::update::adam", runs, KOKKOS_LAMBDA(const ParameterChunk& run, std::int64_t first, std::int64_t last) {
        const T factor = clip_factor<T>(clip), decay = run.decays ? weight_decay : T{}, keep = run.decays ? keep_weight : T{1};
        T* const mean = m + run.shift;
        T* const square = v + run.shift;
        for (std::int64_t i = first; i < last; ++i) {
          moments.take(factor * g[i] + decay * p[i], mean[i], square[i]);
          p[i] = keep * p[i] - rate * mean[i] / (Kokkos::sqrt(square[i]) * moments.root + moments.eps);
        }
      });
}

template <class T>
void rmsprop_update(const Execution& exec, const ParameterChunks& runs, const RmspropStep& step, const Clip& clip, Span<const T> gradient, Span<T> parameter,
                    Span<T> square_average, Span<T> gradient_average, Span<T> momentum) {
  const T lr = static_cast<T>(step.lr), alpha = static_cast<T>(step.alpha), eps = static_cast<T>(step.epsilon);
  const T mu = static_cast<T>(step.momentum), weight_decay = static_cast<T>(step.weight_decay);
  const T* const g = gradient.data();
  T* const p = parameter.data();
  T* const squares = square_average.data();
  T* const average = gradient_average.data();
  T* const buffer = momentum.data();
  for_runs(
      exec, "trireme::update::rmsprop", runs, KOKKOS_LAMBDA(const ParameterChunk& run, std::int64_t first, std::int64_t last) {
        const T factor = clip_factor<T>(clip), decay = run.decays ? weight_decay : T{};
        for (std::int64_t i = first; i < last; ++i) {
          const T d = factor * g[i] + decay * p[i];
          const std::int64_t at = i + run.shift;
          squares[at] = alpha * squares[at] + (T{1} - alpha) * d * d;
          T spread = squares[at];
          if (average != nullptr) {
            average[at] = alpha * average[at] + (T{1} - alpha) * d;
            spread -= average[at] * average[at];
            if (spread < T{}) spread = T{};  // by rounding
          }
          T move = d / (Kokkos::sqrt(spread) + eps);
          if (buffer != nullptr) move = buffer[at] = mu * buffer[at] + move;
          p[i] -= lr * move;
        }
      });
}

template <class T>
void lars_update(const Execution& exec, const ParameterChunks& runs, const LarsStep& step, const Clip& clip, const TrustRatios& trust, Span<const T> gradient,
                 Span<T> parameter, Span<T> momentum) {
  const double lr = step.lr, coefficient = step.trust, epsilon = step.epsilon, whole_decay = step.weight_decay;
  const T mu = static_cast<T>(step.momentum), weight_decay = static_cast<T>(step.weight_decay);
  const auto ratio = trust.ratio;
  const T* const g = gradient.data();
  T* const p = parameter.data();
  T* const buffer = momentum.data();
  trust_ratios<T>(
      exec, runs, trust, p, KOKKOS_LAMBDA(const ParameterChunk&, std::int64_t i) { return clip_factor<T>(clip) * g[i]; },
      KOKKOS_LAMBDA(double weights, double gradients, double) {
        const double against = gradients + whole_decay * weights + epsilon;
        return against == 0 ? 1.0 : coefficient * weights / against;
      });
  for_runs(
      exec, "trireme::update::lars", runs, KOKKOS_LAMBDA(const ParameterChunk& run, std::int64_t first, std::int64_t last) {
        const T factor = clip_factor<T>(clip), decay = run.decays ? weight_decay : T{};
        const T rate = static_cast<T>(lr * ratio(run.parameter));
        for (std::int64_t i = first; i < last; ++i) {
          T move = rate * (factor * g[i] + decay * p[i]);
          if (buffer != nullptr) move = buffer[i + run.shift] = mu * buffer[i + run.shift] + move;
          p[i] -= move;
        }
      });
}

template <class T>
void lamb_update(const Execution& exec, const ParameterChunks& runs, const AdamStep& step, const Clip& clip, const TrustRatios& trust, Span<const T> gradient,
                 Span<T> parameter, Span<T> first_moment, Span<T> second_moment) {
  const Moments<T> moments(step);
  const double lr = step.lr;
  const T scale = static_cast<T>(moments.scale), weight_decay = static_cast<T>(step.weight_decay);
  const auto ratio = trust.ratio;
  const T* const g = gradient.data();
  T* const p = parameter.data();
  T* const m = first_moment.data();
  T* const v = second_moment.data();
  for_runs(
      exec, "trireme::update::lamb_moments", runs, KOKKOS_LAMBDA(const ParameterChunk& run, std::int64_t first, std::int64_t last) {
        const T factor = clip_factor<T>(clip);
        for (std::int64_t i = first; i < last; ++i) moments.take(factor * g[i], m[i + run.shift], v[i + run.shift]);
      });
  const auto direction = KOKKOS_LAMBDA(const ParameterChunk& run, std::int64_t i) {
    return scale * m[i + run.shift] / (Kokkos::sqrt(v[i + run.shift]) * moments.root + moments.eps) + (run.decays ? weight_decay : T{}) * p[i];
  };
  trust_ratios<T>(
      exec, runs, trust, p, direction, KOKKOS_LAMBDA(double weights, double directions, double root) {
        const double least = TrustRatios::small_direction * root;
        return weights / (directions < least ? least : directions);
      });
  for_runs(
      exec, "trireme::update::lamb", runs, KOKKOS_LAMBDA(const ParameterChunk& run, std::int64_t first, std::int64_t last) {
        const T rate = static_cast<T>(lr * ratio(run.parameter));
        for (std::int64_t i = first; i < last; ++i) p[i] -= rate * direction(run, i);
      });
}

template <class T>
void squares_of_parameters(const Execution& exec, const ParameterChunks& runs, Span<const T> x, Span<double> partial, Span<double> squares) {
  const auto all = runs.all;
  const auto first = runs.first;
  detail::for_sums(
      exec, "trireme::update::squares_of_runs", static_cast<std::int64_t>(all.size()),
      KOKKOS_LAMBDA(std::int64_t r) {
        return detail::IndexRange{all(r).first, all(r).last};
      },
      KOKKOS_LAMBDA(std::int64_t, std::int64_t i) { return static_cast<double>(x(i)) * static_cast<double>(x(i)); },
      KOKKOS_LAMBDA(std::int64_t r, double sum) { partial(r) = sum; });
  Kokkos::parallel_for(
      "trireme::update::squares", Range(exec, 0, static_cast<std::int64_t>(squares.size())), KOKKOS_LAMBDA(std::int64_t p) {
        double sum = 0;
        for (std::int64_t r = first(p); r < first(p + 1); ++r) sum += partial(r);
        squares(p) = sum;
      });
}

template <class T>
void average_update(const Execution& exec, std::int64_t count, double decay, Span<const T> x, Span<T> average) {
  const T old = static_cast<T>(decay), fresh = static_cast<T>(1 - decay);
  Kokkos::parallel_for(
      "trireme::update::average", Range(exec, 0, count), KOKKOS_LAMBDA(std::int64_t i) { average(i) = old * average(i) + fresh * x(i); });
}

#define TRIREME_INSTANTIATE(T)                                                                                                                                \
  template void sgd_update(const Execution&, const ParameterChunks&, const SgdStep&, const Clip&, Span<const T>, Span<T>, Span<T>);                           \
  template void adam_update(const Execution&, const ParameterChunks&, const AdamStep&, const Clip&, Span<const T>, Span<T>, Span<T>, Span<T>);                \
  template void rmsprop_update(const Execution&, const ParameterChunks&, const RmspropStep&, const Clip&, Span<const T>, Span<T>, Span<T>, Span<T>, Span<T>); \
  template void lars_update(const Execution&, const ParameterChunks&, const LarsStep&, const Clip&, const TrustRatios&, Span<const T>, Span<T>, Span<T>);     \
  template void lamb_update(const Execution&, const ParameterChunks&, const AdamStep&, const Clip&, const TrustRatios&, Span<const T>, Span<T>, Span<T>,      \
                            Span<T>);                                                                                                                         \
  template void squares_of_parameters(const Execution&, const ParameterChunks&, Span<const T>, Span<double>, Span<double>);                                   \
  template void average_update(const Execution&, std::int64_t, double, Span<const T>, Span<T>);
TRIREME_INSTANTIATE(float)
TRIREME_INSTANTIATE(double)
#undef TRIREME_INSTANTIATE

}  // namespace trireme
