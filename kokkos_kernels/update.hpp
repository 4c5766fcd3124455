// Optimizer updates, fused into one kernel over the parameter arena. Semantics and names are those of PyTorch (torch.optim.SGD, Adam, AdamW,
// RMSprop); LARS and LAMB, which PyTorch does not have, follow the papers.
#pragma once

#include <functional>

#include "kokkos_kernels/types.hpp"

namespace trireme {

/// A chunk of one parameter in the arenas, processed by one thread or team.
struct ParameterChunk {
  static constexpr std::int64_t length = 4096;  // maximum
  std::int64_t first = 0, last = 0;             // elements
  std::int32_t parameter = 0;                   // number of the parameter
  bool decays = true;                           // whether weight decay and trust ratios apply to it
  std::int64_t shift = 0;                       // the state of element i is at i + shift: with a ZeRO partition a rank stores state for its own part only
};

/// All parameters in chunks; parameter p has chunks [first(p), first(p + 1)).
struct ParameterChunks {
  Span<const ParameterChunk> all;
  Span<const std::int32_t> first;
};

/// Gradient clipping to a norm (torch.nn.utils.clip_grad_norm_): each gradient is g * min(1, limit / (sqrt(squared_norm(0)) + 1e-6)). A NaN norm
/// makes all gradients NaN, as in PyTorch.
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
void sgd_update(const Execution& exec, const ParameterChunks& runs, const SgdStep& step, const Clip& clip, Span<const T> gradient, Span<T> parameter,
                Span<T> momentum);

struct AdamStep {
  double lr = 1e-3, beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, weight_decay = 0;
  bool decoupled = false;  // AdamW (Loshchilov and Hutter 2019): p -= lr weight_decay p, separate from the moments
  std::int64_t t = 1;      // number of this update, from 1
};

/// Kingma and Ba 2015, algorithm 1, with epsilon in PyTorch's place: p -= lr m^ / (sqrt(v^) + epsilon).
template <class T>
void adam_update(const Execution& exec, const ParameterChunks& runs, const AdamStep& step, const Clip& clip, Span<const T> gradient, Span<T> parameter,
                 Span<T> first_moment, Span<T> second_moment);

struct RmspropStep {
  double lr = 0.01, alpha = 0.99, epsilon = 1e-8, momentum = 0, weight_decay = 0;
};

/// Hinton 2012, as in PyTorch: g = clip(grad) + weight_decay p;  s = alpha s + (1 - alpha) g^2;  centered: a = alpha a + (1 - alpha) g; d = g /
/// (sqrt(s - a^2) + epsilon);  buf = momentum buf + d;  p -= lr buf. Not centered if `gradient_average` is empty, without momentum if `momentum` is
/// empty.
template <class T>
void rmsprop_update(const Execution& exec, const ParameterChunks& runs, const RmspropStep& step, const Clip& clip, Span<const T> gradient, Span<T> parameter,
                    Span<T> square_average, Span<T> gradient_average, Span<T> momentum);

/// Workspace for trust ratios: two numbers per chunk, and two and one per parameter. Norms are summed over the chunks in order, so no result depends
/// on the number of threads.
///
/// Ratios are continuous where a norm is 0, so that a norm of 0 on one grid and a rounding error of 1e-17 on another give the same update. Below,
/// rms(x) is |x| / sqrt(n) for a parameter of n elements, and r is the ratio of the paper. A parameter near 0 moves with the plain learning rate, as
/// a zero parameter does in implementations of the papers: with w = max(0, 1 - rms(p) / 1e-6) its ratio is w + (1 - w) r. For rms(p) >= 1e-6 the
/// ratio is r.
struct TrustRatios {
  static constexpr double small_parameter = 1e-6, small_direction = 1e-3;  // for rms(p), and for rms(u) of lamb
  Span<double> partial, squares, ratio;
  Span<const double> root;  // sqrt(n) of each whole parameter
  /// Converts sums over the chunks of this rank to sums over whole parameters: squares(2p) of the parameter, squares(2p + 1) of the compared vector.
  /// Called between kernels; empty if the chunks cover whole parameters.
  std::function<void(const Execution&, Span<double> squares)> complete;
};

/// squares(p) = sum of x^2 over the chunks of parameter p, chunk by chunk in order. `partial`: one number per chunk.
template <class T>
void squares_of_parameters(const Execution& exec, const ParameterChunks& runs, Span<const T> x, Span<double> partial, Span<double> squares);

struct LarsStep {
  double lr = 0.01, momentum = 0, weight_decay = 0, trust = 0.001, epsilon = 1e-8;
};

/// You, Gitman and Ginsburg 2017, algorithm 1, for each parameter: r = trust |p| / (|g| + weight_decay |p| + epsilon), also if g is 0 (1 if the
/// denominator is 0); for p near 0 see TrustRatios. buf = momentum buf + lr r (g + weight_decay p);  p -= buf. `momentum` may be empty if
/// step.momentum is 0.
template <class T>
void lars_update(const Execution& exec, const ParameterChunks& runs, const LarsStep& step, const Clip& clip, const TrustRatios& trust, Span<const T> gradient,
                 Span<T> parameter, Span<T> momentum);

/// You et al. 2020, algorithm 2, with phi the identity: u = m^ / (sqrt(v^) + epsilon) + weight_decay p;  p -= lr r u for each parameter, with r = |p|
/// / max(|u|, 1e-3 sqrt(n)), so that a direction of pure rounding errors does not become a full step; for p near 0 see TrustRatios. step.decoupled is
/// not used.
template <class T>
void lamb_update(const Execution& exec, const ParameterChunks& runs, const AdamStep& step, const Clip& clip, const TrustRatios& trust, Span<const T> gradient,
                 Span<T> parameter, Span<T> first_moment, Span<T> second_moment);

/// average = decay average + (1 - decay) x
template <class T>
void average_update(const Execution& exec, std::int64_t count, double decay, Span<const T> x, Span<T> average);

}  // namespace trireme
