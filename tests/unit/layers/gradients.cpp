// Every kind of layer: gradients against central differences in double, and what LayerNeeds promises.
#include "drawn_layers.hpp"

using namespace trireme;
using namespace trireme::test;

namespace {

template <class T>
std::vector<std::vector<T>> drawn_inputs(const LayerBench<T>& bench, RandomStream& random) {
  std::vector<std::vector<T>> inputs;
  for (std::size_t i = 0; i < bench.shapes().size(); ++i) inputs.push_back(separated_numbers<T>(random, bench.input_size(i)));
  return inputs;
}

template <class T>
void draw_parameters(LayerBench<T>& bench, RandomStream& random) {
  for (std::size_t i = 0; i < bench.layer().parameters().size(); ++i)
    bench.set_parameter(i, random_numbers<T>(random, bench.layer().parameters()[i].shape.size()));
}

// Slopes of sum(weights * y) for every number in `values`, through `value_at`.
template <class F>
std::vector<double> slopes(std::vector<double> values, const F& value_at) {
  const double h = 1e-5;
  std::vector<double> result;
  for (double& v : values) {
    const double here = v;
    v = here + h;
    const double up = value_at(values);
    v = here - h;
    const double down = value_at(values);
    v = here;
    result.push_back((up - down) / (2 * h));
  }
  return result;
}

double dot(const std::vector<double>& a, const std::vector<double>& b) {
  double total = 0;
  for (std::size_t i = 0; i < a.size(); ++i) total += a[i] * b[i];
  return total;
}

void check_gradients(const DrawnLayer& drawn, RandomStream& random) {
  LayerBench<double> bench(drawn.line, drawn.inputs, draw(random, 1, 3));
  draw_parameters(bench, random);
  auto inputs = drawn_inputs(bench, random);
  const auto dy = random_numbers<double>(random, bench.output_size());
  std::vector<std::vector<double>> start;
  for (const auto& spec : bench.layer().parameters()) start.push_back(random_numbers<double>(random, spec.shape.size()));
  for (std::size_t i = 0; i < start.size(); ++i) bench.set_gradient(i, start[i]);
  const auto result = bench.forward_backward(inputs, dy);
  const double magnitude = 1;  // of slopes, where a single one may vanish
  const auto near = [&](const std::vector<double>& found, const std::vector<double>& expected, const std::string& what) {
    double worst = 0;
    BOOST_REQUIRE(found.size() == expected.size());
    for (std::size_t i = 0; i < found.size(); ++i)
      worst = std::max(worst, std::isfinite(found[i]) ? std::abs(found[i] - expected[i]) / (magnitude + std::abs(expected[i])) : INFINITY);
    BOOST_TEST(worst <= 1e-8, what << " is wrong by " << worst);
  };
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const auto original = inputs[i];
    near(result.dx[i],
         slopes(original,
                [&](const std::vector<double>& x) {
                  inputs[i] = x;
                  return dot(bench.forward(inputs), dy);
                }),
         "gradient of input " + std::to_string(i));
    inputs[i] = original;
  }
  for (std::size_t i = 0; i < start.size(); ++i) {
    const auto original = bench.parameter(i);
    auto expected = slopes(original, [&](const std::vector<double>& p) {
      bench.set_parameter(i, p);
      return dot(bench.forward(inputs), dy);
    });
    bench.set_parameter(i, original);
    for (std::size_t k = 0; k < expected.size(); ++k) expected[k] += start[i][k];  // they are added
    near(bench.gradient(i), expected, "gradient of " + bench.layer().parameters()[i].name);
  }
}

template <class F>
void for_all_kinds(int times, const F& check) {
  std::uint64_t stream = 0;
  for (const LayerKind& kind : layer_kinds()) {
    if (has_own_test(kind.name) && kind.name != "batch_norm") continue;
    RandomStream random(test_seed(), stream++);
    for (int i = 0; i < times; ++i) {
      const DrawnLayer drawn = draw_layer(kind.name, random);
      BOOST_TEST_CONTEXT("seed " << test_seed() << " case " << i << ": " << text(drawn)) { check(drawn, random); }
    }
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(layers)

BOOST_AUTO_TEST_CASE(gradients_are_the_slopes_of_the_output) { for_all_kinds(8, check_gradients); }

// The network puts a layer's output into the memory of its input if the layer allows it.
BOOST_AUTO_TEST_CASE(in_place_is_the_same) {
  int seen = 0;
  for_all_kinds(8, [&](const DrawnLayer& drawn, RandomStream& random) {
    LayerBench<float> bench(drawn.line, drawn.inputs, draw(random, 1, 3));
    if (!bench.layer().needs().in_place) return;
    ++seen;
    BOOST_TEST(bench.shapes().size() == 1u);
    draw_parameters(bench, random);
    const auto inputs = drawn_inputs(bench, random);
    const auto dy = random_numbers<float>(random, bench.output_size());
    const auto apart = bench.forward_backward(inputs, dy), together = bench.forward_backward(inputs, dy, true);
    BOOST_TEST(same_bits(apart.y, together.y));
    BOOST_TEST(same_bits(apart.dx[0], together.dx[0]));
  });
  BOOST_TEST(seen > 10);
}

// An empty span means that the gradient is not needed.
BOOST_AUTO_TEST_CASE(unwanted_gradients_are_not_written) {
  for_all_kinds(4, [](const DrawnLayer& drawn, RandomStream& random) {
    LayerBench<float> bench(drawn.line, drawn.inputs, 2);
    draw_parameters(bench, random);
    const auto inputs = drawn_inputs(bench, random);
    const auto dy = random_numbers<float>(random, bench.output_size());
    std::vector<Guarded<float>> in, fresh;
    for (std::size_t i = 0; i < inputs.size(); ++i) in.emplace_back(to_channels_last(inputs[i], drawn.inputs[i]));
    const Guarded<float> out(bench.output_size()), gradient(to_channels_last(dy, bench.layer().output()));
    const std::vector<Span<const float>> in_spans(in.begin(), in.end());
    std::vector<Span<float>> wanted;
    for (std::size_t i = 0; i < inputs.size(); ++i) fresh.emplace_back(bench.input_size(i)), wanted.push_back(i == 0 ? Span<float>() : fresh[i].span());
    bench.layer().forward(bench.pass(), in_spans, out);
    bench.layer().backward(bench.pass(), in_spans, out, gradient, wanted);
    const auto all = bench.forward_backward(inputs, dy);
    for (std::size_t i = 1; i < inputs.size(); ++i) BOOST_TEST(same_bits(to_channels_first(fresh[i].values(), drawn.inputs[i]), all.dx[i]));
    // The parameters' gradients are the same without dx: a third pass, with it, adds half of what two have added.
    std::vector<std::vector<float>> expected;
    for (std::size_t i = 0; i < bench.layer().parameters().size(); ++i) {
      expected.push_back(bench.gradient(i));
      for (float& v : expected.back()) v *= 1.5f;
    }
    bench.forward_backward(inputs, dy);
    for (std::size_t i = 0; i < expected.size(); ++i) BOOST_TEST(distance(bench.gradient(i), expected[i], 1) <= rounding<float>);
  });
}

// A smaller batch runs in the memory of a larger one, and an empty batch does nothing.
BOOST_AUTO_TEST_CASE(smaller_batches_give_the_same_samples) {
  for_all_kinds(4, [](const DrawnLayer& drawn, RandomStream& random) {
    if (drawn.line.starts_with("batch_norm")) return;  // the result of a sample depends on its batch: batch_norm.cpp
    LayerBench<double> bench(drawn.line, drawn.inputs, 5);
    draw_parameters(bench, random);
    auto inputs = drawn_inputs(bench, random);
    auto dy = random_numbers<double>(random, bench.output_size());
    const auto all = bench.forward_backward(inputs, dy);
    bench.pass().samples = 2;
    for (std::size_t i = 0; i < inputs.size(); ++i) inputs[i].resize(static_cast<std::size_t>(bench.input_size(i)));
    dy.resize(static_cast<std::size_t>(bench.output_size()));
    const auto some = bench.forward_backward(inputs, dy);
    BOOST_TEST(distance(some.y, std::vector<double>(all.y.begin(), all.y.begin() + bench.output_size()), 1) <= rounding<double>);
    for (std::size_t i = 0; i < inputs.size(); ++i)
      BOOST_TEST(distance(some.dx[i], std::vector<double>(all.dx[i].begin(), all.dx[i].begin() + bench.input_size(i)), 1) <= rounding<double>);
    bench.pass().samples = 0;
    for (auto& input : inputs) input.clear();
    std::vector<std::vector<double>> before;
    for (std::size_t i = 0; i < bench.layer().parameters().size(); ++i) before.push_back(bench.gradient(i));
    bench.forward_backward(inputs, {});
    for (std::size_t i = 0; i < before.size(); ++i) BOOST_TEST(same_bits(bench.gradient(i), before[i]));
  });
}

BOOST_AUTO_TEST_CASE(dropout_is_the_identity_outside_training) {
  RandomStream random(test_seed());
  LayerBench<float> bench("dropout p=0.7", {Shape{3, 4, 5}}, 2);
  bench.pass().training = false;
  const auto inputs = drawn_inputs(bench, random);
  BOOST_TEST(same_bits(bench.forward(inputs), inputs[0]));
}

BOOST_AUTO_TEST_SUITE_END()
