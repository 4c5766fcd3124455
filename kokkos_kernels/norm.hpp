// Normalization of channels-last activations, y = (x - mean) / sqrt(var + eps) * weight + bias: over a batch (Ioffe and Szegedy 2015), or within
// groups of channels of a sample (Wu and He 2018). Layer and instance normalization are group normalization with one group, and with one channel per
// group.
//
// Moments are computed in one pass over blocks of rows; the block size depends on the shape only. A block sums d = x - x0 and d^2 in T, where x0 is
// its first row. No value is further than sqrt(n - 1) standard deviations from the mean of n values (Samuelson 1968), so sum(d^2) - sum(d)^2 / n
// loses at most a factor n, the length of the block, of T's precision. Blocks are combined in double, in order, so the bits do not depend on the
// number of threads.
#pragma once

#include "kokkos_kernels/types.hpp"

namespace trireme {

/// Results of a training pass of batch normalization for its backward pass, in memory of the caller.
template <class T>
struct BatchMoments {
  Span<double> mean, inv_std;  // (channels): deviation is inv_std = 1 / sqrt(var + eps)
  Span<double> rows;           // (1): number of rows in the moments
  Span<T> factor, shift;       // (channels): y = factor x + shift
};

/// Doubles of scratch memory for the batch sums below.
std::int64_t batch_sums_workspace(std::int64_t rows, std::int64_t channels);

/// sums = sum over rows of (x - about), of (x - about)^2, and the number of rows: (2 channels + 1) numbers, which can be added over ranks. `about`,
/// the pivot, should be near the mean.
template <class T>
void batch_sums(const Execution& exec, std::int64_t rows, std::int64_t channels, Span<const T> x, Span<const T> pivot, Span<double> workspace,
                Span<double> sums);

/// Moments from these sums; weight and bias may be empty (1 and 0). Adds `samples` times the mean and the unbiased variance (the biased one for a
/// single row) to the batch statistics `observed`. Sums of 0 rows change only `moments`.
template <class T>
void batch_moments(const Execution& exec, std::int64_t channels, Span<const double> sums, Span<const T> pivot, double eps, double samples, Span<const T> weight,
                   Span<const T> bias, const BatchMoments<T>& moments, Span<T> observed_mean, Span<T> observed_var);

/// factor and shift of y = factor x + shift, from running moments.
template <class T>
void running_factors(const Execution& exec, std::int64_t channels, Span<const T> mean, Span<const T> var, double eps, Span<const T> weight, Span<const T> bias,
                     Span<T> factor, Span<T> shift);

/// y = factor x + shift, one pair per channel; with `relu`, y = max(0, .).
template <class T>
void scale_channels(const Execution& exec, std::int64_t rows, std::int64_t channels, Span<const T> x, Span<const T> factor, Span<const T> shift, Span<T> y,
                    bool relu);

/// sums = sum over rows of g and of g (x - mean) deviation, where g = dy; with `relu`, g = 0 unless factor x + shift > 0. Adds the second sum to
/// dweight and the first to dbias (which may be empty).
template <class T>
void batch_gradient_sums(const Execution& exec, std::int64_t rows, std::int64_t channels, Span<const T> x, Span<const T> dy, const BatchMoments<T>& moments,
                         bool relu, Span<double> workspace, Span<double> sums, Span<T> dweight, Span<T> dbias);

/// dx from sums over all rows of the moments. `coefficients`: scratch memory of 3 channels numbers.
template <class T>
void batch_norm_backward(const Execution& exec, std::int64_t rows, std::int64_t channels, Span<const T> x, Span<const T> dy, const BatchMoments<T>& moments,
                         bool relu, Span<const T> weight, Span<const double> sums, Span<T> coefficients, Span<T> dx);

/// running = (1 - momentum) running + momentum observed / samples, elementwise.
template <class T>
void update_running(const Execution& exec, std::int64_t count, std::int64_t samples, Span<const T> momentum, Span<const T> batch_stats, Span<T> running);

/// Layout of instances that are normalized independently: (pixels, channels). The channels form `groups` groups of consecutive channels; each group
/// has moments over its channels and all pixels. Weight and bias of channel c at pixel p have index c * channel_stride + p * pixel_stride.
struct NormGroups {
  std::int64_t pixels = 1, channels = 1, groups = 1;
  std::int64_t channel_stride = 1, pixel_stride = 0;

  KOKKOS_FUNCTION std::int64_t width() const { return channels / groups; }
};

/// Doubles of scratch memory for group_moments.
std::int64_t group_moments_workspace(std::int64_t n, const NormGroups& shape);
/// Mean and inv_std = 1 / sqrt(var + eps) of each group: (n, 2, groups).
template <class T>
void group_moments(const Execution& exec, std::int64_t n, const NormGroups& shape, double eps, Span<const T> x, Span<double> workspace, Span<T> moments);
/// For pixels on several ranks: converts a rank's own moments to sums (n, groups, 3), that is, the count, and the count times mean and mean square.
/// The sums can be added over ranks and give the moments of all pixels.
template <class T>
void group_moments_to_sums(const Execution& exec, std::int64_t n, const NormGroups& shape, double eps, Span<const T> moments, Span<double> sums);
template <class T>
void group_moments_from_sums(const Execution& exec, std::int64_t n, const NormGroups& shape, double eps, Span<const double> sums, Span<T> moments);
/// y = factor x, with conversion between the two types.
template <class From, class To>
void convert_scaled(const Execution& exec, std::int64_t count, double factor, Span<const From> x, Span<To> y);
/// y from these moments; weight and bias may be empty (1 and 0).
template <class T>
void group_norm_forward(const Execution& exec, std::int64_t n, const NormGroups& shape, Span<const T> x, Span<const T> moments, Span<const T> weight,
                        Span<const T> bias, Span<T> y);

/// Doubles of scratch memory for group_norm_sums.
std::int64_t group_sums_workspace(std::int64_t n, const NormGroups& shape);
/// sums (n, 2, groups): mean over each group of g and of g (x - mean) inv_std^2, g = weight dy. Adds to dweight and dbias, which may be empty.
template <class T>
void group_norm_sums(const Execution& exec, std::int64_t n, const NormGroups& shape, Span<const T> x, Span<const T> dy, Span<const T> moments,
                     Span<const T> weight, Span<double> workspace, Span<T> sums, Span<T> dweight, Span<T> dbias);
/// dx from these sums.
template <class T>
void group_norm_backward(const Execution& exec, std::int64_t n, const NormGroups& shape, Span<const T> x, Span<const T> dy, Span<const T> moments,
                         Span<const T> weight, Span<const T> sums, Span<T> dx);

}  // namespace trireme
