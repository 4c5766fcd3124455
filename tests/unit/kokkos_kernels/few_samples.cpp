// Kernels that cut few large samples into parts: against loops in the order that they promise, and the same bits on one to three threads.
#include <boost/test/unit_test.hpp>
#include <functional>

#include "kokkos_kernels/batch.hpp"
#include "kokkos_kernels/elementwise.hpp"
#include "kokkos_kernels/pool.hpp"
#include "kokkos_kernels/softmax.hpp"
#include "support/arrays.hpp"
#include "threads.hpp"

using namespace trireme;
using namespace trireme::test;

namespace {

const std::vector<std::int64_t> extents{1, 2, 15, 17, 63, 300, 511, 4097};

template <class T>
void check_transpose(RandomStream& random) {
  const std::int64_t n = draw(random, 0, 4), pixels = pick(random, extents), channels = pixels > 1000 ? draw(random, 1, 40) : pick(random, extents);
  BOOST_TEST_CONTEXT("n " << n << " pixels " << pixels << " channels " << channels) {
    const auto x = random_numbers<T>(random, n * pixels * channels);
    const auto expected = to_channels_first(x, Shape{channels, pixels});
    const Guarded<T> from(x);
    Guarded<T> first(static_cast<std::int64_t>(x.size())), last(static_cast<std::int64_t>(x.size()));
    for (const Execution& exec : one_to_three_threads()) {
      channels_first<T>(exec, n, pixels, channels, from, first);
      channels_last<T>(exec, n, pixels, channels, first, last);
      exec.fence("trireme::test");
      BOOST_TEST(same_bits(first.values(), expected));
      BOOST_TEST(same_bits(last.values(), x));
      BOOST_TEST((first.guards_hold() && last.guards_hold()));
      first.spoil(), last.spoil();
    }
  }
}

template <class Raw, class T>
void check_cast(RandomStream& random) {
  const std::int64_t n = draw(random, 0, 4), channels = pick<std::int64_t>(random, {1, 2, 3, 63, 65, 4100}),
                     pixels = channels > 1000 ? draw(random, 1, 3) : pick<std::int64_t>(random, {1, 7, 64, 1365, 1367, 5000});
  BOOST_TEST_CONTEXT("raw of " << sizeof(Raw) << " bytes, n " << n << " channels " << channels << " pixels " << pixels) {
    std::vector<Raw> raw(static_cast<std::size_t>(n * channels * pixels));
    for (Raw& value : raw) value = static_cast<Raw>(random.below(200));
    const auto factor = random_numbers<T>(random, channels), shift = random_numbers<T>(random, channels);
    std::vector<double> expected(raw.size());
    for (std::size_t k = 0; k < raw.size(); ++k) {
      const std::size_t c = k / static_cast<std::size_t>(pixels) % factor.size();
      expected[k] = static_cast<double>(raw[k]) * static_cast<double>(factor[c]) + static_cast<double>(shift[c]);
    }
    if (n > 0) expected = to_channels_last(expected, Shape{channels, pixels});
    const Guarded<Raw> from(raw);
    const Guarded<T> factors(factor), shifts(shift);
    const RawSamples samples{
        .each = nullptr, .first = reinterpret_cast<const std::byte*>(from.span().data()), .bytes = channels * pixels * static_cast<std::int64_t>(sizeof(Raw))};
    const auto run = [&](const Execution& exec) {
      const Guarded<T> out(static_cast<std::int64_t>(raw.size()));
      cast_batch<Raw, T>(exec, n, channels, pixels, samples, factors, shifts, out);
      exec.fence("trireme::test");
      BOOST_TEST(distance(out.values(), expected, 1) <= rounding<T>);
      BOOST_TEST(out.guards_hold());
      return out.values();
    };
    BOOST_TEST(same_on_all_threads(run));
  }
}

// Windows that overlap, leave gaps, begin before the input or (as those of a part of a sample) behind its first place.
PoolGeometry random_pool(RandomStream& random, int dims) {
  PoolGeometry g;
  g.channels = pick<std::int64_t>(random, {1, 3, 16, 33});
  for (std::size_t a = static_cast<std::size_t>(3 - dims); a < 3; ++a) {
    g.kernel[a] = draw(random, 1, 4), g.stride[a] = draw(random, 1, 4), g.padding[a] = draw(random, -2, g.kernel[a] / 2);
    g.behind[a] = draw(random, 0, g.kernel[a] / 2);
    g.in[a] = std::max(draw(random, 1, dims == 1 ? 300 : dims == 2 ? 30 : 9), g.kernel[a] + 2);
    g.out[a] = (g.in[a] + g.padding[a] + g.behind[a] - g.kernel[a]) / g.stride[a] + 1;
  }
  return g;
}

// f(output element, window's place (d, h, w), input element) for all places of all windows inside the input, in the order of the outputs.
template <class F>
void for_places(const PoolGeometry& g, std::int64_t n, const F& f) {
  std::int64_t output = 0;
  for (std::int64_t s = 0; s < n; ++s)
    for (std::int64_t od = 0; od < g.out[0]; ++od)
      for (std::int64_t oh = 0; oh < g.out[1]; ++oh)
        for (std::int64_t ow = 0; ow < g.out[2]; ++ow)
          for (std::int64_t c = 0; c < g.channels; ++c, ++output)
            for (std::int64_t kd = 0; kd < g.kernel[0]; ++kd)
              for (std::int64_t kh = 0; kh < g.kernel[1]; ++kh)
                for (std::int64_t kw = 0; kw < g.kernel[2]; ++kw) {
                  const std::int64_t d = od * g.stride[0] - g.padding[0] + kd, h = oh * g.stride[1] - g.padding[1] + kh,
                                     w = ow * g.stride[2] - g.padding[2] + kw;
                  if (d < 0 || h < 0 || w < 0 || d >= g.in[0] || h >= g.in[1] || w >= g.in[2]) continue;
                  f(static_cast<std::size_t>(output), (kd * g.kernel[1] + kh) * g.kernel[2] + kw,
                    static_cast<std::size_t>((((s * g.in[0] + d) * g.in[1] + h) * g.in[2] + w) * g.channels + c));
                }
}

template <class T>
void check_pool(RandomStream& random, int i) {
  const PoolGeometry g = random_pool(random, 1 + i % 3);
  const std::int64_t n = draw(random, 0, 9), inputs = n * g.in_pixels() * g.channels, outputs = n * g.out_pixels() * g.channels;
  std::string what = "n " + std::to_string(n) + " channels " + std::to_string(g.channels);
  for (std::size_t a = 0; a < 3; ++a)
    what +=
        " | in " + std::to_string(g.in[a]) + " k " + std::to_string(g.kernel[a]) + " s " + std::to_string(g.stride[a]) + " p " + std::to_string(g.padding[a]);
  BOOST_TEST_CONTEXT(what) {
    const auto dy = random_numbers<T>(random, outputs);
    // One place of each window, drawn.
    std::vector<std::int64_t> choices(dy.size()), count(dy.size());
    for_places(g, n, [&](std::size_t o, std::int64_t k, std::size_t) {
      if (random.below(static_cast<std::uint64_t>(++count[o])) == 0) choices[o] = k;
    });
    std::vector<T> of_max(static_cast<std::size_t>(inputs));
    std::vector<double> of_average(of_max.size());
    for_places(g, n, [&](std::size_t o, std::int64_t k, std::size_t at) {
      if (k == choices[o]) of_max[at] += dy[o];
      of_average[at] += static_cast<double>(dy[o]) / static_cast<double>(count[o]);
    });
    const Guarded<T> from(dy);
    const Guarded<std::uint8_t> index(std::vector<std::uint8_t>(choices.begin(), choices.end()));
    const auto run = [&](const Execution& exec) {
      const Guarded<T> max_dx(inputs), average_dx(inputs);
      max_pool_backward<T>(exec, g, n, from, index, max_dx);
      avg_pool_backward<T>(exec, g, n, from, average_dx, false);
      exec.fence("trireme::test");
      BOOST_TEST(same_bits(max_dx.values(), of_max));
      BOOST_TEST(distance(average_dx.values(), of_average, 1) <= rounding<T>);
      BOOST_TEST((max_dx.guards_hold() && average_dx.guards_hold()));
      return average_dx.values();
    };
    BOOST_TEST(same_on_all_threads(run));
  }
}

template <class T>
void check_softmax(RandomStream& random, std::int64_t channels) {
  const std::int64_t rows = draw(random, 0, 5), count = rows * channels;
  BOOST_TEST_CONTEXT("rows " << rows << " channels " << channels) {
    auto x = random_numbers<T>(random, count);
    for (T& v : x) v *= T(8);
    const auto dy = random_numbers<T>(random, count);
    std::vector<double> y(x.size()), log_y(x.size()), dx(x.size()), log_dx(x.size());
    for (std::size_t first = 0; first < x.size(); first += static_cast<std::size_t>(channels)) {
      const std::size_t last = first + static_cast<std::size_t>(channels);
      double total = 0, dot = 0, sum = 0;
      for (std::size_t i = first; i < last; ++i) total += std::exp(static_cast<double>(x[i]));
      for (std::size_t i = first; i < last; ++i) {
        y[i] = std::exp(static_cast<double>(x[i])) / total, log_y[i] = static_cast<double>(x[i]) - std::log(total);
        dot += y[i] * static_cast<double>(dy[i]), sum += static_cast<double>(dy[i]);
      }
      for (std::size_t i = first; i < last; ++i) dx[i] = y[i] * (static_cast<double>(dy[i]) - dot), log_dx[i] = static_cast<double>(dy[i]) - y[i] * sum;
    }
    const Guarded<T> dev_x(x), dev_dy(dy);
    const Guarded<double> workspace(softmax_workspace(rows, channels));
    const auto run = [&](const Execution& exec) {
      const Guarded<T> found(count), in_place(x), gradient(count), log_found(count), log_in_place(x), log_gradient(dy);
      softmax_forward<T>(exec, rows, channels, dev_x, workspace, found);
      softmax_forward<T>(exec, rows, channels, in_place, workspace, in_place);
      softmax_backward<T>(exec, rows, channels, found, dev_dy, workspace, gradient);
      log_softmax_forward<T>(exec, rows, channels, dev_x, workspace, log_found);
      log_softmax_forward<T>(exec, rows, channels, log_in_place, workspace, log_in_place);
      log_softmax_backward<T>(exec, rows, channels, log_found, log_gradient, workspace, log_gradient);
      exec.fence("trireme::test");
      // Sums of up to 5000 exponentials in T, block by block.
      BOOST_TEST(distance(found.values(), y) <= 10 * rounding<T>);
      BOOST_TEST(distance(gradient.values(), dx) <= 10 * rounding<T>);
      BOOST_TEST(distance(log_found.values(), log_y) <= rounding<T>);
      BOOST_TEST(distance(log_gradient.values(), log_dx, 1) <= 10 * rounding<T>);
      BOOST_TEST((same_bits(found.values(), in_place.values()) && same_bits(log_found.values(), log_in_place.values())));
      for (const auto* one : {&found, &in_place, &gradient, &log_found, &log_in_place, &log_gradient}) BOOST_TEST(one->guards_hold());
      BOOST_TEST(workspace.guards_hold());
      auto all = found.values();
      for (const auto* one : {&gradient, &log_found, &log_gradient})
        for (const T v : one->values()) all.push_back(v);
      return all;
    };
    BOOST_TEST(same_on_all_threads(run));
  }
}

template <class T>
void check_all(std::uint64_t seed, const std::function<void(RandomStream&, int)>& check) {
  RandomStream random(seed, 300 + sizeof(T));
  for (int i = 0; i < 16; ++i) BOOST_TEST_CONTEXT("seed " << seed << " case " << i << ", " << sizeof(T) << "-byte") {
      check(random, i);
    }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(few_samples)

BOOST_AUTO_TEST_CASE(are_transposed_in_bands) {
  check_all<double>(test_seed(), [](RandomStream& random, int) { check_transpose<double>(random); });
  check_all<float>(test_seed(), [](RandomStream& random, int) { check_transpose<float>(random); });
}

BOOST_AUTO_TEST_CASE(are_cast_in_bands) {
  check_all<double>(test_seed(), [](RandomStream& random, int) { check_cast<std::int16_t, double>(random); });
  check_all<float>(test_seed(), [](RandomStream& random, int) { check_cast<std::uint8_t, float>(random); });
  check_all<float>(test_seed(), [](RandomStream& random, int) { check_cast<double, float>(random); });
}

BOOST_AUTO_TEST_CASE(get_their_pools_gradients_in_bands) {
  check_all<double>(test_seed(), [](RandomStream& random, int i) { check_pool<double>(random, i); });
  check_all<float>(test_seed(), [](RandomStream& random, int i) { check_pool<float>(random, i); });
}

BOOST_AUTO_TEST_CASE(have_long_rows_cut_by_softmax) {
  const std::vector<std::int64_t> channels{1, 2, 10, 33, 1023, 1024, 1025, 5000};
  check_all<double>(test_seed(), [&](RandomStream& random, int i) { check_softmax<double>(random, channels[static_cast<std::size_t>(i) % channels.size()]); });
  check_all<float>(test_seed(), [&](RandomStream& random, int i) { check_softmax<float>(random, channels[static_cast<std::size_t>(i) % channels.size()]); });
}

BOOST_AUTO_TEST_CASE(pass_a_nan_through_a_long_row) {
  for (const std::size_t place : {std::size_t{0}, std::size_t{1500}}) {
    std::vector<float> x(3000, 1.0f);
    x[place] = std::numeric_limits<float>::quiet_NaN();
    const Guarded<float> in(x), out(3000);
    const Guarded<double> workspace(softmax_workspace(1, 3000));
    softmax_forward<float>(Execution(), 1, 3000, in, workspace, out);
    for (const float v : out.values()) BOOST_TEST_REQUIRE(std::isnan(v));
  }
}

BOOST_AUTO_TEST_SUITE_END()
