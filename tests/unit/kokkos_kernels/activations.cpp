// Activations and softmax: in place, at extreme values, at NaN. Their gradients are checked with the layers.
#include <boost/test/unit_test.hpp>

#include "kokkos_kernels/activation.hpp"
#include "kokkos_kernels/softmax.hpp"
#include "support/arrays.hpp"

using namespace trireme;
using namespace trireme::test;

namespace {

constexpr Activation kinds[] = {Activation::relu, Activation::leaky_relu, Activation::tanh, Activation::sigmoid,
                                Activation::gelu, Activation::silu,       Activation::elu,  Activation::softplus};

template <class T>
std::vector<T> applied(Activation kind, const std::vector<T>& x) {
  const std::int64_t count = static_cast<std::int64_t>(x.size());
  const Guarded<T> in(x), out(count);
  activation_forward<T>(Execution(), kind, count, in, out, T(0.25));
  BOOST_TEST(out.guards_hold());
  return out.values();
}

template <class T>
void check_in_place(std::uint64_t seed) {
  RandomStream random(seed, sizeof(T));
  for (const Activation kind : kinds)
    for (const std::int64_t count : {0, 1, 17, 1000}) {
      const auto x = random_numbers<T>(random, count), g = random_numbers<T>(random, count);
      const Guarded<T> in(x), out(count), dy(g), dx(count), shared(x), shared_gradient(g);
      const Execution exec;
      activation_forward<T>(exec, kind, count, in, out, T(0.25));
      activation_forward<T>(exec, kind, count, shared, shared, T(0.25));
      activation_backward<T>(exec, kind, count, in, out, dy, dx, T(0.25));
      activation_backward<T>(exec, kind, count, in, out, shared_gradient, shared_gradient, T(0.25));
      BOOST_TEST(same_bits(out.values(), shared.values()));
      BOOST_TEST(same_bits(dx.values(), shared_gradient.values()));
    }
}

template <class T>
void check_extremes() {
  const T most = std::numeric_limits<T>::max();
  const std::vector<T> x{-most, T(-1e4), T(-100), T(0), T(100), T(1e4), most};
  for (const Activation kind : kinds)
    for (const T y : applied<T>(kind, x)) BOOST_TEST(std::isfinite(y), "kind " << static_cast<int>(kind) << " gave " << y);
  BOOST_TEST((applied<T>(Activation::sigmoid, x) == std::vector<T>{0, 0, applied<T>(Activation::sigmoid, {T(-100)})[0], T(0.5), 1, 1, 1}));
  BOOST_TEST((applied<T>(Activation::tanh, x) == std::vector<T>{-1, -1, -1, 0, 1, 1, 1}));
  // A NaN must reach the loss, which is where a run that went wrong is noticed.
  for (const Activation kind : kinds) BOOST_TEST(std::isnan(applied<T>(kind, {std::numeric_limits<T>::quiet_NaN()})[0]), "kind " << static_cast<int>(kind));
}

template <class T>
void check_softmax(std::uint64_t seed) {
  RandomStream random(seed, 50 + sizeof(T));
  for (const std::int64_t channels : {1, 2, 10, 33}) {
    const std::int64_t rows = 7, count = rows * channels;
    auto x = random_numbers<T>(random, count);
    for (std::int64_t c = 0; c < channels; ++c) x[static_cast<std::size_t>(c)] *= T(1e30);  // one row of extremes
    const Guarded<T> in(x), out(count), shared(x);
    softmax_forward<T>(Execution(), rows, channels, in, Span<double>(), out);
    softmax_forward<T>(Execution(), rows, channels, shared, Span<double>(), shared);
    const auto y = out.values();
    BOOST_TEST(same_bits(y, shared.values()));
    BOOST_TEST(out.guards_hold());
    for (std::int64_t r = 0; r < rows; ++r) {
      double total = 0;
      for (std::int64_t c = 0; c < channels; ++c) {
        const T value = y[static_cast<std::size_t>(r * channels + c)];
        BOOST_TEST((value >= 0 && value <= 1));
        total += static_cast<double>(value);
      }
      BOOST_TEST(std::abs(total - 1) <= rounding<T>);
    }
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(activations)

BOOST_AUTO_TEST_CASE(in_place_is_the_same) {
  check_in_place<double>(test_seed());
  check_in_place<float>(test_seed());
}
BOOST_AUTO_TEST_CASE(extremes_stay_finite_and_nan_passes) {
  check_extremes<double>();
  check_extremes<float>();
}
BOOST_AUTO_TEST_CASE(softmax_is_a_distribution) {
  check_softmax<double>(test_seed());
  check_softmax<float>(test_seed());
}

BOOST_AUTO_TEST_SUITE_END()
