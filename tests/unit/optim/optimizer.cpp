// Optimisers against what PyTorch computed (tests/reference/layers.h5), and what they leave alone.
#include "optim/optimizer.hpp"

#include "base/text.hpp"
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
}

// State and step number are all that a restart needs.
BOOST_AUTO_TEST_CASE(continue_from_their_state_bit_for_bit) {
  RandomStream random(test_seed());
  for (const std::vector<std::string>& options : std::vector<std::vector<std::string>>{
           {"optimizer.momentum=0.9", "optimizer.dampening=0.2"}, {"optimizer.momentum=0.9", "optimizer.nesterov=true"}, {"optimizer.kind=adam"}, {"optimizer.kind=adamw"}}) {
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
  for (const std::vector<std::string>& options : std::vector<std::vector<std::string>>{
           {"optimizer.nesterov=true"}, {"optimizer.nesterov=true", "optimizer.momentum=0.9", "optimizer.dampening=0.1"}})
    check_refused(
        [&] {
          const Deck deck = deck_of(model("3", {"linear out=2"}), options);
          Network<float> network(deck, 1, Network<float>::Use::training);
          Optimizer<float>(deck, network);
        },
        {"optimizer.nesterov", "optimizer.momentum > 0", "dampening = 0"});
}

BOOST_AUTO_TEST_SUITE_END()
