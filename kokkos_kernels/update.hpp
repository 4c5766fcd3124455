// One fused update over the whole parameter arena. Semantics and names are PyTorch's (torch.optim.SGD, Adam, AdamW).
#pragma once

#include "kokkos_kernels/types.hpp"

namespace trireme {

/// Gradient clipping to a norm (torch.nn.utils.clip_grad_norm_): gradients count as g * min(1, limit / (sqrt(squared_norm(0)) + 1e-6)).
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
void sgd_update(const Execution& exec, std::int64_t count, const SgdStep& step, const Clip& clip, Span<const T> gradient, Span<T> parameter,
                Span<T> momentum);

struct AdamStep {
  double lr = 1e-3, beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, weight_decay = 0;
  bool decoupled = false;  // AdamW (Loshchilov and Hutter 2019): p -= lr weight_decay p, apart from the moments
  std::int64_t t = 1;      // number of this update, from 1
};

/// Kingma and Ba 2015, algorithm 1, with PyTorch's place of epsilon: p -= lr m^ / (sqrt(v^) + epsilon).
template <class T>
void adam_update(const Execution& exec, std::int64_t count, const AdamStep& step, const Clip& clip, Span<const T> gradient, Span<T> parameter,
                 Span<T> first_moment, Span<T> second_moment);

}  // namespace trireme
