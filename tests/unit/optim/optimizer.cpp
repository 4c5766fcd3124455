// Optimizers compared with PyTorch's results (tests/reference), and parameters that they must not change.
#include "optim/optimizer.hpp"

#include "base/text.hpp"
#include "optim/weight_average.hpp"
#include "support/reference.hpp"
#include "unit/config/support.hpp"
#include "unit/network/networks.hpp"

using namespace trireme;
using namespace trireme::test;

namespace {

template <class T>
void check(const ReferenceCase& reference) {
  const auto extents = reference.extents("gradients");
  const std::int64_t steps = extents[0], size = extents[1];
  std::vector<std::string> options;
  for (const auto& option : split(reference.text("options"), '\n')) options.push_back("optimizer." + option);
  // A network whose only parameter has as many numbers.
  const Deck deck = deck_of(model(std::to_string(size), {"linear out=1 bias=false"}), options);
  Network<T> network(deck, 1, Network<T>::Use::training);
  Optimizer<T> optimizer(deck, network);
  BOOST_REQUIRE(network.parameter_count() == size);
  write<T>(network.values(), reference.numbers_as<T>("start"));
  const auto gradients = reference.numbers_as<T>("gradients");
  const auto expected = reference.numbers("parameters");
  for (std::int64_t step = 0; step < steps; ++step) {
    write<T>(network.gradients(), std::vector<T>(gradients.begin() + step * size, gradients.begin() + (step + 1) * size));
    optimizer.update(Execution(), deck.real("optimizer.lr"), step);
    const std::vector<double> after(expected.begin() + step * size, expected.begin() + (step + 1) * size);
    BOOST_TEST(distance(read<T>(network.values(), size), after) <= (std::is_same_v<T, float> ? 1e-5 : 1e-12), "step " << step);
  }
  const auto arena = read<T>(network.values());
  for (std::size_t i = static_cast<std::size_t>(size); i < arena.size(); ++i) BOOST_TEST(arena[i] == 0, "the gap behind the parameter changed");
}

/// All parameters one after the other, into their places in an arena.
template <class T>
std::vector<T> in_arena(const Network<T>& network, std::span<const double> numbers) {
  std::vector<T> arena(static_cast<std::size_t>(network.arena_size()));
  auto from = numbers.begin();
  for (const Parameter& p : network.parameters()) {
    std::copy(from, from + p.shape.size(), arena.begin() + p.offset);
    from += p.shape.size();
  }
  return arena;
}

template <class T>
void check_network(const ReferenceCase& reference) {
  std::vector<std::string> options;
  for (const auto& option : split(reference.text("options"), '\n')) options.push_back("optimizer." + option);
  const Deck deck = deck_of(model(reference.text("input"), split(reference.text("layers"), '\n')), options);
  Network<T> network(deck, 1, Network<T>::Use::training);
  Optimizer<T> optimizer(deck, network);
  WeightAverage<T> average(network, 0.7);
  const std::int64_t steps = reference.extents("gradients")[0];
  const auto size = static_cast<std::size_t>(network.parameter_count());
  const double tolerance = std::is_same_v<T, float> ? 1e-5 : 1e-12;
  write<T>(network.values(), in_arena(network, reference.numbers("start")));
  const auto gradients = reference.numbers("gradients"), expected = reference.numbers("parameters");
  for (std::int64_t step = 0; step < steps; ++step) {
    const auto row = [&](const std::vector<double>& all) { return std::span(all).subspan(static_cast<std::size_t>(step) * size, size); };
    write<T>(network.gradients(), in_arena(network, row(gradients)));
    optimizer.update(Execution(), deck.real("optimizer.lr"), step);
    average.update(Execution(), step);
    const auto after = in_arena(network, row(expected));
    BOOST_TEST(distance(read<T>(network.values()), std::vector<double>(after.begin(), after.end())) <= tolerance, "step " << step);
  }
  const auto last = read<T>(network.values());
  average.exchange(Execution());
  const auto averaged = in_arena(network, reference.numbers("average"));
  BOOST_TEST(distance(read<T>(network.values()), std::vector<double>(averaged.begin(), averaged.end())) <= tolerance);
  average.exchange(Execution());
  BOOST_TEST(same_bits(read<T>(network.values()), last));
}

/// What one update makes of the first of n equal numbers `p` whose gradients are `g`.
double after(const std::string& kind, double p, double g, double weight_decay, double clip = 0) {
  const Deck deck = deck_of(model("4", {"linear out=1 bias=false"}),
                            {"optimizer.kind=" + kind, fmt::format("optimizer.weight_decay={}", weight_decay), fmt::format("optimizer.clip_norm={}", clip)});
  Network<double> network(deck, 1, Network<double>::Use::training);
  Optimizer<double> optimizer(deck, network);
  std::vector<double> values(static_cast<std::size_t>(network.arena_size())), gradients(values);
  std::fill_n(values.begin(), 4, p), std::fill_n(gradients.begin(), 4, g);
  write<double>(network.values(), values);
  write<double>(network.gradients(), gradients);
  optimizer.update(Execution(), 0.5, 0);
  return read<double>(network.values())[0];
}

}  // namespace

BOOST_AUTO_TEST_SUITE(optimizers)

BOOST_AUTO_TEST_CASE(are_pytorchs) {
  const int count = for_reference_cases("optimizers", [](const ReferenceCase& reference) {
    BOOST_TEST_CONTEXT("optimizers/" << reference.name() << ": " << reference.text("options")) {
      check<double>(reference);
      check<float>(reference);
    }
  });
  BOOST_TEST(count >= 10);
}

BOOST_AUTO_TEST_CASE(are_pytorchs_for_networks_of_several_parameters) {
  const int count = for_reference_cases(
      "updates",
      [](const ReferenceCase& reference) {
        BOOST_TEST_CONTEXT("updates/" << reference.name() << ": " << reference.text("options")) {
          check_network<double>(reference);
          check_network<float>(reference);
        }
      },
      "optimizers.h5");
  BOOST_TEST(count >= 15);
}

// Norms of parameters are summed in pieces of fixed length.
BOOST_AUTO_TEST_CASE(do_not_depend_on_threads) {
  RandomStream random(test_seed(), 2);
  for (const char* kind : {"lars", "lamb"}) {
    const Deck deck = deck_of(model("300", {"linear out=100"}), {"optimizer.kind=" + std::string(kind), "optimizer.weight_decay=0.1"});
    std::vector<std::vector<float>> results;
    std::vector<float> gradient;
    for (const Execution& exec : few_and_many_threads()) {
      Network<float> network(deck, 1, Network<float>::Use::training);
      network.initialize(1);
      if (gradient.empty()) gradient = random_numbers<float>(random, network.arena_size());
      write<float>(network.gradients(), gradient);
      Optimizer<float>(deck, network).update(exec, 0.1, 0);
      exec.fence("trireme::test");
      results.push_back(read<float>(network.values()));
    }
    BOOST_TEST(same_bits(results.front(), results.back()));
  }
}

// A parameter of zeros has no trust ratio: it uses the plain learning rate.
BOOST_AUTO_TEST_CASE(trust_ratios_are_1_where_a_parameter_is_0) {
  const Deck deck = deck_of(model("3", {"linear out=2"}), {"optimizer.kind=lars"});
  Network<double> network(deck, 1, Network<double>::Use::training);
  Optimizer<double> optimizer(deck, network);
  std::vector<double> gradient(static_cast<std::size_t>(network.arena_size()));
  gradient[0] = 3;
  write<double>(network.gradients(), gradient);
  optimizer.update(Execution(), 0.5, 0);
  BOOST_TEST(read<double>(network.values())[0] == -1.5);
  gradient[0] = 0;
  write<double>(network.gradients(), gradient);
  optimizer.update(Execution(), 0.5, 1);
  BOOST_TEST(read<double>(network.values())[0] == -1.5);
}

// A norm of 0 on one grid is one of 1e-17 by rounding on another: the updates are the same within what separates the two.
BOOST_AUTO_TEST_CASE(trust_ratios_are_continuous_where_a_norm_is_0) {
  for (const char* kind : {"lars", "lamb"})
    for (const double weight_decay : {0.0, 1e-4, 0.1})
      for (const auto& [p, g] : {std::pair(0.0, 0.0), std::pair(0.0, 0.25), std::pair(0.05, 0.0)}) {
        const double tiny = 1e-17, at = after(kind, p, g, weight_decay), near = after(kind, p == 0 ? tiny : p, g == 0 ? tiny : g, weight_decay);
        BOOST_TEST(std::abs(near - at) <= 1e-5 * std::max(std::abs(at), 1e-3),
                   kind << " decay " << weight_decay << " p " << p << " g " << g << ": " << at << " and " << near);
      }
  // The papers' ratios everywhere else, a gradient of 0 included.
  BOOST_TEST(std::abs(after("lars", 0.05, 0, 0.1) - (0.05 - 0.5 * 0.001 * 0.1 / (0.1 * 0.1 + 1e-8) * 0.1 * 0.05)) <= 1e-16);
  BOOST_TEST(std::abs(after("lars", 0.05, 0.25, 0) - (0.05 - 0.5 * 0.001 * 0.1 / (0.5 + 1e-8) * 0.25)) <= 1e-16);
  BOOST_TEST(std::abs(after("lamb", 0.05, 0.25, 0) - (0.05 - 0.5 * 0.05)) <= 1e-9);
}

// A gradient that is not a number leaves no finite result.
BOOST_AUTO_TEST_CASE(what_is_no_number_goes_through) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const char* kind : {"sgd", "adam", "adamw", "rmsprop", "lars", "lamb"})
    for (const double clip : {0.0, 1.0}) {
      BOOST_TEST(std::isnan(after(kind, 0.05, nan, 0.1, clip)), kind << " clip " << clip);
      BOOST_TEST(std::isnan(after(kind, nan, 0.25, 0.1, clip)), kind << " clip " << clip);
      // One such element: clipping and trust ratios, which are of all, take it to the others.
      const Deck deck = deck_of(model("4", {"linear out=1 bias=false"}), {"optimizer.kind=" + std::string(kind), fmt::format("optimizer.clip_norm={}", clip)});
      Network<double> network(deck, 1, Network<double>::Use::training);
      Optimizer<double> optimizer(deck, network);
      WeightAverage<double> average(network, 0.9);
      std::vector<double> values(static_cast<std::size_t>(network.arena_size()), 0.0), gradients(values);
      std::fill_n(values.begin(), 4, 0.05), std::fill_n(gradients.begin(), 4, 0.25);
      gradients[2] = nan;
      write<double>(network.values(), values);
      average.update(Execution(), 0);
      write<double>(network.gradients(), gradients);
      optimizer.update(Execution(), 0.5, 0);
      average.update(Execution(), 1);
      const auto found = read<double>(network.values());
      BOOST_TEST(std::isnan(found[2]));
      BOOST_TEST(std::isnan(found[0]) == (clip > 0 || std::string(kind) == "lars" || std::string(kind) == "lamb"), kind << " clip " << clip);
      average.exchange(Execution());
      BOOST_TEST(std::isnan(read<double>(network.values())[2]));
    }
}

BOOST_AUTO_TEST_CASE(state_has_names_for_checkpoints) {
  const auto names = [](const std::vector<std::string>& overrides) {
    const Deck deck = deck_of(model("3", {"linear out=2"}), overrides);
    Network<float> network(deck, 1, Network<float>::Use::training);
    const Optimizer<float> optimizer(deck, network);
    std::string text;
    for (const auto& state : optimizer.states()) {
      text += state.name + " ";
      BOOST_TEST(static_cast<std::int64_t>(state.values.size()) == network.arena_size());
    }
    return text;
  };
  BOOST_TEST(names({}) == "");
  BOOST_TEST(names({"optimizer.momentum=0.9"}) == "momentum ");
  BOOST_TEST(names({"optimizer.kind=adam"}) == "first_moment second_moment ");
  BOOST_TEST(names({"optimizer.kind=adamw"}) == "first_moment second_moment ");
  BOOST_TEST(names({"optimizer.kind=rmsprop"}) == "square_average ");
  BOOST_TEST(names({"optimizer.kind=rmsprop", "optimizer.centered=true", "optimizer.momentum=0.9"}) == "square_average gradient_average momentum ");
  BOOST_TEST(names({"optimizer.kind=lars"}) == "");
  BOOST_TEST(names({"optimizer.kind=lars", "optimizer.momentum=0.9"}) == "momentum ");
  BOOST_TEST(names({"optimizer.kind=lamb"}) == "first_moment second_moment ");
}

// State and step number are sufficient for a restart.
BOOST_AUTO_TEST_CASE(continue_from_their_state_bit_for_bit) {
  RandomStream random(test_seed());
  for (const std::vector<std::string>& options :
       std::vector<std::vector<std::string>>{{"optimizer.momentum=0.9", "optimizer.dampening=0.2"},
                                             {"optimizer.momentum=0.9", "optimizer.nesterov=true"},
                                             {"optimizer.kind=adam"},
                                             {"optimizer.kind=adamw"},
                                             {"optimizer.kind=rmsprop", "optimizer.momentum=0.9", "optimizer.centered=true"},
                                             {"optimizer.kind=lars", "optimizer.momentum=0.9"},
                                             {"optimizer.kind=lamb", "optimizer.weight_decay=0.1"}}) {
    const Deck deck = deck_of(model("9", {"linear out=5"}), options);
    Network<float> whole(deck, 1, Network<float>::Use::training), halves(deck, 1, Network<float>::Use::training);
    whole.initialize(1), halves.initialize(1);
    Optimizer<float> through(deck, whole), before(deck, halves), after(deck, halves);
    for (std::int64_t step = 0; step < 6; ++step) {
      const auto gradient = random_numbers<float>(random, whole.arena_size());
      write<float>(whole.gradients(), gradient), write<float>(halves.gradients(), gradient);
      if (step == 3)
        for (std::size_t i = 0; i < before.states().size(); ++i) Kokkos::deep_copy(after.states()[i].values, before.states()[i].values);
      through.update(Execution(), 0.1, step);
      (step < 3 ? before : after).update(Execution(), 0.1, step);
    }
    BOOST_TEST(same_bits(read<float>(whole.values()), read<float>(halves.values())), options.front());
  }
}

BOOST_AUTO_TEST_CASE(clip_the_norm_of_all_parameters_together) {
  RandomStream random(test_seed(), 1);
  const Deck deck = deck_of(model("3x4", {"conv out=2 kernel=1", "flatten", "linear out=2"}), {"optimizer.lr=1", "optimizer.clip_norm=0.5"});
  for (const double scale : {1e-3, 1.0, 1e6}) {
    Network<double> network(deck, 1, Network<double>::Use::training);
    Optimizer<double> optimizer(deck, network);
    std::vector<double> gradient(static_cast<std::size_t>(network.arena_size()));
    double squares = 0;
    for (const Parameter& p : network.parameters())
      for (std::int64_t i = 0; i < p.shape.size(); ++i) {
        double& g = gradient[static_cast<std::size_t>(p.offset + i)];
        g = scale * random.uniform(-1, 1);
        squares += g * g;
      }
    write<double>(network.gradients(), gradient);
    optimizer.update(Execution(), 1, 0);
    const double factor = std::min(1.0, 0.5 / (std::sqrt(squares) + 1e-6));
    for (double& g : gradient) g *= -factor;
    BOOST_TEST(distance(read<double>(network.values()), gradient) <= 1e-12);
  }
}

BOOST_AUTO_TEST_CASE(nesterov_needs_momentum) {
  for (const std::vector<std::string>& options :
       std::vector<std::vector<std::string>>{{"optimizer.nesterov=true"}, {"optimizer.nesterov=true", "optimizer.momentum=0.9", "optimizer.dampening=0.1"}})
    check_refused(
        [&] {
          const Deck deck = deck_of(model("3", {"linear out=2"}), options);
          Network<float> network(deck, 1, Network<float>::Use::training);
          Optimizer<float>(deck, network);
        },
        {"optimizer.nesterov", "optimizer.momentum > 0", "dampening = 0"});
}

BOOST_AUTO_TEST_SUITE_END()
