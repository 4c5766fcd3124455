// Normalisation of channels-last activations, y = (x - mean) / sqrt(var + eps) * weight + bias: over a batch (Ioffe and Szegedy 2015), or within
// groups of a sample's channels (Wu and He 2018), of which layer and instance normalisation are the ends.
//
// Moments are taken in one pass over blocks of rows whose size depends on the shape alone: a block sums d = x - x0 and d^2 in T, x0 its first row. No
// value lies further than sqrt(n - 1) standard deviations from the mean of n (Samuelson 1968), so that sum(d^2) - sum(d)^2 / n loses at most a
// factor n, the block's length, of T's precision. Blocks are joined in double in their order: bits do not depend on the number of threads.
#pragma once

#include "kokkos_kernels/types.hpp"

namespace trireme {

/// What a training pass of batch normalisation keeps for its backward pass; memory is the caller's.
template <class T>
struct BatchMoments {
  Span<double> mean, deviation;  // (channels): deviation is 1 / sqrt(var + eps)
  Span<double> rows;             // (1): how many the moments are of
  Span<T> factor, shift;         // (channels): y = factor x + shift
};

/// Doubles of scratch that the batch's sums below need.
std::int64_t batch_sums_workspace(std::int64_t rows, std::int64_t channels);

/// sums = sum over rows of (x - about), of (x - about)^2, and the number of rows: (2 channels + 1) numbers that may be added over ranks. `about`
/// should lie near the mean.
template <class T>
void batch_sums(const Execution& exec, std::int64_t rows, std::int64_t channels, Span<const T> x, Span<const T> about, Span<double> workspace,
                Span<double> sums);

/// Moments from such sums; weight and bias may be empty (1 and 0). Adds `samples` times the mean and the unbiased variance (the biased one of a
/// single row) to what was observed. Sums of 0 rows leave everything but `moments` alone.
template <class T>
void batch_moments(const Execution& exec, std::int64_t channels, Span<const double> sums, Span<const T> about, double eps, double samples,
                   Span<const T> weight, Span<const T> bias, const BatchMoments<T>& moments, Span<T> observed_mean, Span<T> observed_var);

/// factor and shift of y = factor x + shift from running moments.
template <class T>
void running_factors(const Execution& exec, std::int64_t channels, Span<const T> mean, Span<const T> var, double eps, Span<const T> weight,
                     Span<const T> bias, Span<T> factor, Span<T> shift);

/// y = factor x + shift, a number each a channel; with `relu`, y = max(0, .).
template <class T>
void scale_channels(const Execution& exec, std::int64_t rows, std::int64_t channels, Span<const T> x, Span<const T> factor, Span<const T> shift,
                    Span<T> y, bool relu);

/// sums = sum over rows of g and of g (x - mean) deviation, where g is dy, with `relu` only where factor x + shift > 0. Adds the second to dweight
/// and the first to dbias (which may be empty).
template <class T>
void batch_gradient_sums(const Execution& exec, std::int64_t rows, std::int64_t channels, Span<const T> x, Span<const T> dy,
                         const BatchMoments<T>& moments, bool relu, Span<double> workspace, Span<double> sums, Span<T> dweight, Span<T> dbias);

/// dx from sums over all rows that the moments are of. `coefficients`: 3 channels numbers of scratch.
template <class T>
void batch_norm_backward(const Execution& exec, std::int64_t rows, std::int64_t channels, Span<const T> x, Span<const T> dy,
                         const BatchMoments<T>& moments, bool relu, Span<const T> weight, Span<const double> sums, Span<T> coefficients,
                         Span<T> dx);

/// running = (1 - momentum) running + momentum observed / samples, element by element.
template <class T>
void update_running(const Execution& exec, std::int64_t count, std::int64_t samples, Span<const T> momentum, Span<const T> observed,
                    Span<T> running);

/// Instances that are normalised each on its own: (pixels, channels), channels in `groups` runs, each with its own moments over its channels and all
/// pixels. The weight and bias of channel c at pixel p are number c * channel_stride + p * pixel_stride of theirs.
struct NormGroups {
  std::int64_t pixels = 1, channels = 1, groups = 1;
  std::int64_t channel_stride = 1, pixel_stride = 0;

  KOKKOS_FUNCTION std::int64_t width() const { return channels / groups; }
};

/// Mean and 1 / sqrt(var + eps) of each group: (n, 2, groups).
template <class T>
void group_moments(const Execution& exec, std::int64_t n, const NormGroups& shape, double eps, Span<const T> x, Span<T> moments);
/// Moments of pixels that several ranks hold: each makes sums (n, groups, 3) of its own moments - how many, times the mean, times the mean square -,
/// which may be added over ranks and give the moments of all.
template <class T>
void group_moments_to_sums(const Execution& exec, std::int64_t n, const NormGroups& shape, double eps, Span<const T> moments, Span<double> sums);
template <class T>
void group_moments_from_sums(const Execution& exec, std::int64_t n, const NormGroups& shape, double eps, Span<const double> sums, Span<T> moments);
/// y = factor x, from one type of number to the other.
template <class From, class To>
void convert_scaled(const Execution& exec, std::int64_t count, double factor, Span<const From> x, Span<To> y);
/// y from such moments; weight and bias may be empty (1 and 0).
template <class T>
void group_norm_forward(const Execution& exec, std::int64_t n, const NormGroups& shape, Span<const T> x, Span<const T> moments, Span<const T> weight,
                        Span<const T> bias, Span<T> y);

/// Doubles of scratch of group_norm_sums.
std::int64_t group_sums_workspace(std::int64_t n, const NormGroups& shape);
/// sums (n, 2, groups): mean over each group of g and of g (x - mean) deviation^2, g = weight dy. Adds to dweight and dbias, which may be empty.
template <class T>
void group_norm_sums(const Execution& exec, std::int64_t n, const NormGroups& shape, Span<const T> x, Span<const T> dy, Span<const T> moments,
                     Span<const T> weight, Span<double> workspace, Span<T> sums, Span<T> dweight, Span<T> dbias);
/// dx from such sums.
template <class T>
void group_norm_backward(const Execution& exec, std::int64_t n, const NormGroups& shape, Span<const T> x, Span<const T> dy, Span<const T> moments,
                         Span<const T> weight, Span<const T> sums, Span<T> dx);

}  // namespace trireme
