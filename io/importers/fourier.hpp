// Discrete Fourier transform of a cube in three dimensions; the extent is a power of two.
#pragma once

#include <complex>
#include <span>

namespace trireme {

/// Replaces the extent^3 values by sum over m of values(m) exp(+2 pi i m.x / extent), in place and without normalization: a second transform of the
/// complex conjugates gives the conjugates of the original values times extent^3.
void fourier_transform(std::span<std::complex<double>> values, int extent);

}  // namespace trireme
