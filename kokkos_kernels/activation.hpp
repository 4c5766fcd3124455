// Elementwise activations with PyTorch's definitions. x and y (and dx and dy) may be the same memory.
#pragma once

#include "kokkos_kernels/types.hpp"

namespace trireme {

enum class Activation { relu, leaky_relu, tanh, sigmoid, gelu, silu, elu, softplus };

/// Whether the backward pass reads x (otherwise it reads only y).
constexpr bool backward_reads_input(Activation kind) { return kind == Activation::gelu || kind == Activation::silu || kind == Activation::softplus; }

/// y = f(x). `slope` is the negative slope of leaky_relu; alpha of elu (not negative: f(x) = alpha (exp(x) - 1) for negative x); beta of softplus
/// (f(x) = log(1 + exp(beta x)) / beta, or x where beta x > threshold). gelu is the exact form, x Phi(x) (Hendrycks and Gimpel 2016).
template <class T>
void activation_forward(const Execution& exec, Activation kind, std::int64_t count, Span<const T> x, Span<T> y, T slope, T threshold = {});

/// dx = f'(x) dy; x may be empty unless backward_reads_input(kind). f'(0) = 0 for relu, `slope` for leaky_relu and elu, as in PyTorch.
template <class T>
void activation_backward(const Execution& exec, Activation kind, std::int64_t count, Span<const T> x, Span<const T> y, Span<const T> dy, Span<T> dx, T slope,
                         T threshold = {});

}  // namespace trireme
