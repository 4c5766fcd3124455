// One fused update over the parameter arena. Semantics and names are PyTorch's (torch.optim.SGD, Adam, AdamW, RMSprop); what PyTorch
// lacks (LARS, LAMB) is the papers'.
#pragma once

#include <functional>

#include "kokkos_kernels/types.hpp"

namespace trireme {

/// A piece of one parameter in the arenas, what a thread or a team takes at a time.
struct UpdateRun {
  static constexpr std::int64_t length = 4096;  // at most
  std::int64_t first = 0, last = 0;             // elements
  std::int32_t parameter = 0;                   // its number
  bool decays = true;                           // whether weight decay and trust ratios hold for it
  std::int64_t shift = 0;                       // state of element i lies at i + shift: a rank that owns a part of the arenas keeps state for that alone
};

/// All parameters in runs; parameter p has the runs [first(p), first(p + 1)).
struct UpdateRuns {
  Span<const UpdateRun> all;
  Span<const std::int32_t> first;
};

/// Gradient clipping to a norm (torch.nn.utils.clip_grad_norm_): gradients count as g * min(1, limit / (sqrt(squared_norm(0)) + 1e-6)). A norm that is
/// not a number makes all gradients not a number, as in PyTorch.
struct Clip {
  double limit = 0;  // 0: no clipping, squared_norm is not read
  Span<const double> squared_norm;
};

struct SgdStep {
  double lr = 0.01, momentum = 0, dampening = 0, weight_decay = 0;
  bool nesterov = false;
  bool first = false;  // the momentum buffer starts as the gradient
};

/// g = clip(grad) + weight_decay p;  buf = momentum buf + (1 - dampening) g;  g = nesterov ? g + momentum buf : buf;  p -= lr g.
/// `momentum` may be empty when step.momentum is 0.
template <class T>
void sgd_update(const Execution& exec, const UpdateRuns& runs, const SgdStep& step, const Clip& clip, Span<const T> gradient, Span<T> parameter,
                Span<T> momentum);

struct AdamStep {
  double lr = 1e-3, beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, weight_decay = 0;
  bool decoupled = false;  // AdamW (Loshchilov and Hutter 2019): p -= lr weight_decay p, apart from the moments
  std::int64_t t = 1;      // number of this update, from 1
};

/// Kingma and Ba 2015, algorithm 1, with PyTorch's place of epsilon: p -= lr m^ / (sqrt(v^) + epsilon).
template <class T>
void adam_update(const Execution& exec, const UpdateRuns& runs, const AdamStep& step, const Clip& clip, Span<const T> gradient, Span<T> parameter,
                 Span<T> first_moment, Span<T> second_moment);

struct RmspropStep {
  double lr = 0.01, alpha = 0.99, epsilon = 1e-8, momentum = 0, weight_decay = 0;
};

/// Hinton 2012, as PyTorch has it: g = clip(grad) + weight_decay p;  s = alpha s + (1 - alpha) g^2;  centered: a = alpha a + (1 - alpha) g;
/// d = g / (sqrt(s - a^2) + epsilon);  buf = momentum buf + d;  p -= lr buf. An empty `gradient_average` is not centered, an empty
/// `momentum` has none.
template <class T>
void rmsprop_update(const Execution& exec, const UpdateRuns& runs, const RmspropStep& step, const Clip& clip, Span<const T> gradient, Span<T> parameter,
                    Span<T> square_average, Span<T> gradient_average, Span<T> momentum);

/// Where trust ratios are made: two numbers a run, two and one a parameter. Norms are summed run by run in order: no number depends on threads.
///
/// Ratios are continuous where a norm is 0, so that a norm of 0 on one grid and of 1e-17 by rounding on another give the same update. Below, rms(x) is
/// |x| / sqrt(n) of a parameter of n elements, and r is the paper's ratio. A parameter near 0 moves by the plain learning rate, as implementations of the
/// papers let a parameter of zeros do: with w = max(0, 1 - rms(p) / 1e-6) its ratio is w + (1 - w) r. From rms(p) = 1e-6 on the ratio is r itself.
struct TrustRatios {
  static constexpr double small_parameter = 1e-6, small_direction = 1e-3;  // of rms(p), and of lamb's rms(u)
  Span<double> partial, squares, ratio;
  Span<const double> root;  // sqrt(n) of each whole parameter
  /// Makes sums over the runs of this rank into sums over whole parameters: squares(2p) of the parameter, squares(2p + 1) of what it is compared
  /// with. Called between kernels; empty where the runs are whole parameters.
  std::function<void(const Execution&, Span<double> squares)> complete;
};

/// squares(p) = sum of x^2 over the runs of parameter p; run by run in order. `partial`: one number a run.
template <class T>
void squares_of_parameters(const Execution& exec, const UpdateRuns& runs, Span<const T> x, Span<double> partial, Span<double> squares);

struct LarsStep {
  double lr = 0.01, momentum = 0, weight_decay = 0, trust = 0.001, epsilon = 1e-8;
};

/// You, Gitman and Ginsburg 2017, algorithm 1, for each parameter: r = trust |p| / (|g| + weight_decay |p| + epsilon), also where g is 0 (1 where the
/// denominator is 0); of p near 0 see TrustRatios. buf = momentum buf + lr r (g + weight_decay p);  p -= buf. `momentum` may be empty when step.momentum is 0.
template <class T>
void lars_update(const Execution& exec, const UpdateRuns& runs, const LarsStep& step, const Clip& clip, const TrustRatios& trust, Span<const T> gradient,
                 Span<T> parameter, Span<T> momentum);

/// You et al. 2020, algorithm 2, with phi the identity: u = m^ / (sqrt(v^) + epsilon) + weight_decay p;  p -= lr r u for each parameter, with
/// r = |p| / max(|u|, 1e-3 sqrt(n)), so that a direction of nothing but rounding does not become a whole step; of p near 0 see TrustRatios.
/// step.decoupled is not read.
template <class T>
void lamb_update(const Execution& exec, const UpdateRuns& runs, const AdamStep& step, const Clip& clip, const TrustRatios& trust, Span<const T> gradient,
                 Span<T> parameter, Span<T> first_moment, Span<T> second_moment);

/// average = decay average + (1 - decay) x
template <class T>
void average_update(const Execution& exec, std::int64_t count, double decay, Span<const T> x, Span<T> average);

}  // namespace trireme
