// From a file's bytes to the network's input, for every raw type and layout.
#include "kokkos_kernels/batch.hpp"

#include <boost/test/unit_test.hpp>

#include "support/arrays.hpp"

using namespace trireme;
using namespace trireme::test;

namespace {

template <class Raw, class T>
void check(RandomStream& random) {
  for (int i = 0; i < 12; ++i) {
    const std::int64_t n = draw(random, i == 0 ? 0 : 1, 6), channels = i % 4 == 1 ? 1 : draw(random, 1, 9), pixels = i % 4 == 2 ? 1 : draw(random, 1, 40);
    std::vector<Raw> raw(static_cast<std::size_t>(n * channels * pixels));
    for (Raw& value : raw) {
      if constexpr (std::is_floating_point_v<Raw>)
        value = static_cast<Raw>(random.uniform(-300, 300));
      else
        value = static_cast<Raw>(random.bits64());  // the whole range
    }
    const auto factor = random_numbers<T>(random, channels), shift = random_numbers<T>(random, channels);
    std::vector<double> expected(raw.size());
    for (std::size_t k = 0; k < raw.size(); ++k) {
      const std::size_t c = k / static_cast<std::size_t>(pixels) % factor.size();
      expected[k] = static_cast<double>(static_cast<T>(raw[k])) * static_cast<double>(factor[c]) + static_cast<double>(shift[c]);
    }
    if (n > 0) expected = to_channels_last(expected, Shape{channels, pixels});
    const Guarded<Raw> dev_raw(raw);
    const Guarded<T> dev_factor(factor), dev_shift(shift);
    Guarded<T> out(static_cast<std::int64_t>(raw.size()));
    RawSamples samples{.each = nullptr,
                       .first = reinterpret_cast<const std::byte*>(dev_raw.span().data()),
                       .bytes = channels * pixels * static_cast<std::int64_t>(sizeof(Raw))};
    const auto cast = [&] {
      cast_batch<Raw, T>(Execution(), n, channels, pixels, samples, dev_factor, dev_shift, out);
      BOOST_TEST(distance(out.values(), expected, 1) <= rounding<T>,
                 "seed " << test_seed() << " raw of " << sizeof(Raw) << " bytes, n " << n << " channels " << channels << " pixels " << pixels);
      BOOST_TEST(out.guards_hold());
    };
    cast();
    // The same samples, each named by a pointer.
    std::vector<std::uintptr_t> each;
    for (std::int64_t s = 0; s < n; ++s) each.push_back(reinterpret_cast<std::uintptr_t>(samples.at(s)));
    const Guarded<std::uintptr_t> dev_each(each);
    samples = RawSamples{.each = reinterpret_cast<const std::byte* const*>(dev_each.span().data()), .first = nullptr, .bytes = 0};
    out.spoil();
    cast();
  }
}

template <class T, class... Raw>
void check_all(RandomStream& random) {
  (check<Raw, T>(random), ...);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(batches)

BOOST_AUTO_TEST_CASE(are_cast_scaled_and_laid_channels_last) {
  RandomStream random(test_seed());
  check_all<float, std::uint8_t, std::int8_t, std::uint16_t, std::int16_t, std::uint32_t, std::int32_t, std::uint64_t, std::int64_t, float, double>(random);
  check_all<double, std::uint8_t, std::int8_t, std::uint16_t, std::int16_t, std::uint32_t, std::int32_t, std::uint64_t, std::int64_t, float, double>(random);
}

BOOST_AUTO_TEST_SUITE_END()
