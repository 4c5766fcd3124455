// Whole networks of random shape: gradients against finite differences, fused and inference networks against plain ones.
#include <fmt/ranges.h>

#include "networks.hpp"

using namespace trireme;
using namespace trireme::test;

namespace {

// Compares gradients at some numbers of every parameter; returns how many were compared and how many lay on a kink.
struct Compared {
  int smooth = 0, kinks = 0;
};

Compared compare_slopes(Network<double>& network, const Pass& pass, const std::vector<double>& x, RandomStream& random) {
  const auto dy = random_numbers<double>(random, pass.samples * network.output_shape().size());
  const auto value = [&] {
    const auto y = forward(network, pass, x);
    double total = 0;
    for (std::size_t i = 0; i < y.size(); ++i) total += y[i] * dy[i];
    return total;
  };
  const Execution exec;
  network.zero_gradients(exec);
  const auto found = gradients(network, pass, x, dy);
  const double here = value(), h = 1e-6;
  auto values = read<double>(network.values());
  Compared compared;
  for (const Parameter& parameter : network.parameters())
    for (int i = 0; i < 6; ++i) {
      const std::size_t at = static_cast<std::size_t>(parameter.offset) + random.below(static_cast<std::uint64_t>(parameter.shape.size()));
      const double before = values[at];
      const auto slope = [&](double step) {
        values[at] = before + step;
        write<double>(network.values(), values);
        const double moved = value();
        values[at] = before;
        write<double>(network.values(), values);
        return (moved - here) / step;
      };
      const double up = slope(h), down = slope(-h);
      if (std::abs(up - down) > 1e-4 * (1 + std::abs(up))) {
        ++compared.kinks;
        continue;
      }
      ++compared.smooth;
      BOOST_TEST(std::abs(found[at] - (up + down) / 2) <= 1e-7 * (1 + std::abs(up)),
                 parameter.name << "[" << at - static_cast<std::size_t>(parameter.offset) << "]: " << found[at] << " is not " << (up + down) / 2);
    }
  return compared;
}

template <class F>
void for_graphs(int count, std::uint64_t first_stream, const F& check) {
  for (int i = 0; i < count; ++i) {
    RandomStream random(test_seed(), first_stream + static_cast<std::uint64_t>(i));
    const std::string text = draw_graph(random);
    BOOST_TEST_CONTEXT("seed " << test_seed() << " case " << i << "\n" << text) { check(text, random); }
  }
}

constexpr auto training = Network<double>::Use::training;

}  // namespace

BOOST_AUTO_TEST_SUITE(networks)

BOOST_AUTO_TEST_CASE(gradients_are_the_slopes_of_the_output) {
  Compared all;
  for_graphs(60, 0, [&](const std::string& text, RandomStream& random) {
    Network<double> network(deck_of(text), 2, training);
    network.initialize(5);
    const auto x = random_numbers<double>(random, 2 * network.input_shape().size());
    const Compared one = compare_slopes(network, training_pass(2), x, random);
    all.smooth += one.smooth, all.kinks += one.kinks;
  });
  BOOST_TEST_MESSAGE(all.smooth << " slopes compared, " << all.kinks << " on a kink");
  BOOST_TEST(all.kinks * 50 <= all.smooth);
}

BOOST_AUTO_TEST_CASE(ready_gradients_do_not_change_any_more) {
  for_graphs(30, 1000, [](const std::string& text, RandomStream& random) {
    Network<float> network(deck_of(text), 3, Network<float>::Use::training);
    network.initialize(5);
    const auto x = random_numbers<float>(random, 3 * network.input_shape().size()), dy = random_numbers<float>(random, 3 * network.output_shape().size());
    std::vector<std::int64_t> offsets;
    std::vector<std::vector<float>> seen;
    network.zero_gradients(Execution());
    const auto last = gradients<float>(network, training_pass(3), x, dy, [&](std::int64_t offset) {
      offsets.push_back(offset);
      const auto now = read<float>(network.gradients());
      seen.emplace_back(now.begin() + offset, now.end());
    });
    for (std::size_t i = 0; i < offsets.size(); ++i) {
      if (i > 0) BOOST_TEST(offsets[i] < offsets[i - 1]);
      BOOST_TEST(same_bits(seen[i], std::vector<float>(last.begin() + offsets[i], last.end())));
    }
    BOOST_REQUIRE(!offsets.empty());
    BOOST_TEST(offsets.back() == 0);
  });
}

BOOST_AUTO_TEST_CASE(gradients_are_added_and_smaller_batches_run_too) {
  for_graphs(30, 2000, [](const std::string& text, RandomStream& random) {
    Network<double> network(deck_of(text), 4, training);
    network.initialize(5);
    const auto draw_numbers = [&](std::int64_t samples, const Shape& shape) { return random_numbers<double>(random, samples * shape.size()); };
    const auto x = draw_numbers(4, network.input_shape()), dy = draw_numbers(4, network.output_shape());
    const auto part = [](const std::vector<double>& all, const Shape& shape, std::int64_t first, std::int64_t count) {
      return std::vector<double>(all.begin() + first * shape.size(), all.begin() + (first + count) * shape.size());
    };
    network.zero_gradients(Execution());
    const auto whole = gradients(network, training_pass(4), x, dy);
    network.zero_gradients(Execution());
    std::vector<double> pieces;
    for (const auto& [first, count] : {std::pair<std::int64_t, std::int64_t>{0, 3}, {3, 1}, {4, 0}}) {
      Pass pass = training_pass(count);
      pass.first_sample += first;
      pieces = gradients(network, pass, part(x, network.input_shape(), first, count), part(dy, network.output_shape(), first, count));
    }
    BOOST_TEST(distance(pieces, whole) <= 1e-12);
  });
}

BOOST_AUTO_TEST_CASE(a_fused_relu_is_a_relu) {
  RandomStream random(test_seed(), 9);
  for (const auto& [input, before, after] : std::vector<std::array<std::string, 3>>{{"3x6x5", "conv out=4 kernel=3", "conv out=2 kernel=2"},
                                                                                    {"3x6x5", "conv out=19 kernel=3 bias=false", "flatten"},
                                                                                    {"7", "linear out=9", "linear out=2"},
                                                                                    {"3x6x5", "batch_norm", "conv out=2 kernel=2"},
                                                                                    {"18x6x5", "batch_norm affine=false", "conv out=2 kernel=2"},
                                                                                    {"7", "linear out=33 bias=false", "dropout"},
                                                                                    {"3x6x5", "add from=input,input", "conv out=2 kernel=2"}}) {
    // leaky_relu with slope 0 is the same function, and is never fused.
    Network<float> fused(deck_of(model(input, {before, "relu", after})), 3, Network<float>::Use::training);
    Network<float> plain(deck_of(model(input, {before, "leaky_relu slope=0", after})), 3, Network<float>::Use::training);
    BOOST_TEST(fused.describe().find("(fused)") != std::string::npos);
    BOOST_TEST(plain.describe().find("(fused)") == std::string::npos);
    fused.initialize(1), plain.initialize(1);
    const auto x = random_numbers<float>(random, 3 * fused.input_shape().size()), dy = random_numbers<float>(random, 3 * fused.output_shape().size());
    BOOST_TEST(distance(forward(fused, training_pass(3), x), forward(plain, training_pass(3), x)) == 0.0);
    fused.zero_gradients(Execution()), plain.zero_gradients(Execution());
    BOOST_TEST(distance(gradients(fused, training_pass(3), x, dy), gradients(plain, training_pass(3), x, dy)) == 0.0);
  }
}

BOOST_AUTO_TEST_CASE(a_fused_epilogue_equals_its_layers) {
  if (!ConvPlan<double>::has_pooling) return;
  RandomStream random(test_seed(), 12);
  const std::vector<std::string> tails[] = {{"relu", "max_pool kernel=2"},
                                            {"max_pool kernel=2", "leaky_relu slope=0.3"},
                                            {"leaky_relu slope=0.01", "max_pool kernel=2", "relu"},
                                            {"max_pool kernel=3"},
                                            {"max_pool kernel=2", "max_pool kernel=2"}};
  for (const auto& tail : tails)
    for (const std::string out : {"3", "19", "40"}) {
      // A dropout with p = 0 in between, so that the convolution cannot fuse the layers after it.
      std::vector<std::string> fused_lines{"conv out=" + out + " kernel=3"}, plain_lines{fused_lines[0], "dropout p=0"};
      for (const auto& line : tail) fused_lines.push_back(line), plain_lines.push_back(line);
      for (auto* lines : {&fused_lines, &plain_lines}) lines->insert(lines->end(), {"conv out=5 kernel=2", "flatten", "linear out=2"});
      Network<double> fused(deck_of(model("2x15x14", fused_lines)), 3, training), plain(deck_of(model("2x15x14", plain_lines)), 3, training);
      BOOST_TEST_CONTEXT(fmt::format("{} channels, {}", out, fmt::join(tail, ", "))) {
        BOOST_TEST(fused.describe().find("(fused)") != std::string::npos);
        BOOST_TEST(fused.summary().temporary_bytes < plain.summary().temporary_bytes);
        fused.initialize(1), plain.initialize(1);
        const auto x = random_numbers<double>(random, 3 * fused.input_shape().size()), dy = random_numbers<double>(random, 3 * 2);
        BOOST_TEST(distance(forward(fused, training_pass(3), x), forward(plain, training_pass(3), x), 1) <= 1e-13);
        fused.zero_gradients(Execution()), plain.zero_gradients(Execution());
        BOOST_TEST(distance(gradients(fused, training_pass(3), x, dy), gradients(plain, training_pass(3), x, dy), 1) <= 1e-13);
      }
    }
}

BOOST_AUTO_TEST_CASE(nothing_is_fused_or_overwritten_that_another_layer_reads) {
  Network<double> network(deck_of(model("2x5", {"conv name=a out=2 kernel=3 padding=1", "relu name=b from=a", "add from=a,b", "flatten", "linear out=2"})), 2,
                          training);
  BOOST_TEST(network.describe().find("(fused)") == std::string::npos);
  BOOST_TEST(network.describe().find("(in place)") == std::string::npos);
  network.initialize(5);
  RandomStream random(test_seed(), 10);
  const auto compared = compare_slopes(network, training_pass(2), random_numbers<double>(random, 20), random);
  BOOST_TEST(compared.smooth > 0);
}

BOOST_AUTO_TEST_CASE(an_inference_network_gives_the_same_bits) {
  for_graphs(40, 3000, [](const std::string& text, RandomStream& random) {
    Network<float> trained(deck_of(text), 3, Network<float>::Use::training), inferring(deck_of(text), 3, Network<float>::Use::inference);
    trained.initialize(5), inferring.initialize(5);
    const auto x = random_numbers<float>(random, 3 * trained.input_shape().size());
    Pass pass = training_pass(3);
    pass.training = false;
    BOOST_TEST(same_bits(forward(trained, pass, x), forward(inferring, pass, x)));
    BOOST_TEST(inferring.summary().temporary_bytes <= trained.summary().temporary_bytes);
    BOOST_TEST(inferring.summary().parameters == trained.summary().parameters);
  });
}

BOOST_AUTO_TEST_CASE(a_step_repeats_bit_for_bit) {
  for_graphs(20, 4000, [](const std::string& text, RandomStream& random) {
    Network<float> network(deck_of(text), 3, Network<float>::Use::training);
    network.initialize(5);
    const auto x = random_numbers<float>(random, 3 * network.input_shape().size()), dy = random_numbers<float>(random, 3 * network.output_shape().size());
    std::vector<std::vector<float>> results;
    for (const Execution& exec : few_and_many_threads()) {
      Pass pass = training_pass(3);
      pass.exec = exec;
      network.zero_gradients(Execution());
      Kokkos::fence("trireme::test");
      results.push_back(gradients(network, pass, x, dy));
    }
    BOOST_TEST(same_bits(results.front(), results.back()));
  });
}

BOOST_AUTO_TEST_SUITE_END()
