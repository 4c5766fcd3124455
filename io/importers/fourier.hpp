// The discrete Fourier transform in three dimensions, of a cube whose extent is a power of two.
#pragma once

#include <complex>
#include <span>

namespace trireme {

/// values(x, y, z), extent^3 of them, become sum over m of values(m) exp(+2 pi i m.x / extent), in place; without a
/// factor, so that a transform of the conjugates undoes another up to extent^3.
void fourier_transform(std::span<std::complex<double>> values, int extent);

}  // namespace trireme
