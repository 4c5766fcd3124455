// Results of the passes over a network: fused and in-place steps, execution order, layout of parameters.
#include "network/fusion.hpp"
#include "networks.hpp"

using namespace trireme;
using namespace trireme::test;

namespace {

struct Passes {
  Passes(const std::string& input, const std::vector<std::string>& layers, bool training)
      : deck(deck_of(model(input, layers))), graph(deck), plan(graph, deck, GridPlace().shape) {
    Program<double> program = make_program<double>(plan, GridPlace(), nullptr, 2, ComputeType::full);
    steps = StepGraph<double>(program.ends.input, std::move(program.steps));
    fuse(steps, training);
    order = order_steps(steps, training);
  }
  const Step<double>& step(std::size_t i) const { return steps.steps[i]; }

  Deck deck;
  Graph graph;
  ParallelPlan plan;
  StepGraph<double> steps;
  ExecutionOrder order;
};

using Steps = std::vector<std::size_t>;

}  // namespace

BOOST_AUTO_TEST_SUITE(passes)

BOOST_AUTO_TEST_CASE(an_activation_is_fused_in_the_directions_that_the_layer_before_supports) {
  const Passes p("3x6x5", {"conv out=4 kernel=3", "relu", "batch_norm", "relu", "conv out=2 kernel=2", "leaky_relu", "flatten"}, true);
  BOOST_TEST((p.step(1).fused == Fusion::forward));
  BOOST_TEST((p.step(3).fused == Fusion::both));
  BOOST_TEST((p.step(5).fused == Fusion::none));  // a convolution takes leaky_relu with a pooling only
  BOOST_TEST(p.step(5).in_place);
  BOOST_TEST((p.order.forward == Steps{0, 2, 4, 5, 6}));
  BOOST_TEST((p.order.backward == Steps{6, 5, 4, 2, 1, 0}));
  BOOST_TEST(!p.order.wanted[0]);
  BOOST_TEST(p.order.wanted[1]);
}

BOOST_AUTO_TEST_CASE(a_convolution_fuses_the_pooling_after_it) {
  if (!ConvPlan<double>::has_pooling) return;
  const Passes p("2x15x14", {"conv out=3 kernel=3", "relu", "max_pool kernel=2", "flatten"}, true);
  BOOST_TEST((p.step(1).fused_into && p.step(2).fused_into));
  BOOST_TEST(p.step(0).result == 3u);
  BOOST_TEST(!p.steps.is_made(1));
  BOOST_TEST(!p.steps.is_made(2));
  BOOST_TEST(p.steps.producer[3] == 0u);
  BOOST_TEST((p.order.backward == Steps{3, 0}));
}

BOOST_AUTO_TEST_CASE(without_training_nothing_runs_backward) {
  const Passes p("7", {"linear out=9", "relu", "linear out=2"}, false);
  BOOST_TEST((p.order.forward == Steps{0, 2}));
  BOOST_TEST(p.order.backward.empty());
  BOOST_TEST(std::ranges::count(p.order.wanted, true) == 0);
}

BOOST_AUTO_TEST_CASE(parameters_begin_at_cache_lines_in_the_order_of_the_layers) {
  const Passes p("7", {"linear out=9 name=a", "relu", "linear out=2 name=b"}, true);
  const ArenaLayout layout = lay_out_arenas(p.steps);
  const std::vector<std::string> names{"a.weight", "a.bias", "b.weight", "b.bias"};
  std::int64_t end = 0;
  for (std::size_t i = 0; i < layout.parameters.size(); ++i) {
    BOOST_TEST(layout.parameters[i].name == names.at(i));
    BOOST_TEST(layout.parameters[i].offset % 8 == 0);
    BOOST_TEST(layout.parameters[i].offset >= end);
    end = layout.parameters[i].offset + layout.parameters[i].shape.size();
  }
  BOOST_TEST(layout.parameter_count() == 7 * 9 + 9 + 9 * 2 + 2);
  BOOST_TEST((layout.first_parameter == std::vector<std::int64_t>{0, -1, layout.parameters[2].offset}));
}

// In inference the second activation works in the memory of the pooled output; the convolution must not fuse it instead of its pooling.
BOOST_AUTO_TEST_CASE(a_convolution_that_pools_takes_no_second_activation) {
  RandomStream random(test_seed(), 13);
  for (const auto use : {Network<double>::Use::training, Network<double>::Use::inference})
    for (const std::string first : {"leaky_relu slope=0.3", "relu"}) {
      const std::vector<std::string> after{first, "max_pool kernel=2", "relu", "flatten", "linear out=2"};
      std::vector<std::string> fused{"conv out=3 kernel=3"}, plain{fused[0], "dropout p=0"};
      fused.insert(fused.end(), after.begin(), after.end()), plain.insert(plain.end(), after.begin(), after.end());
      Network<double> one(deck_of(model("2x15x14", fused)), 3, use), other(deck_of(model("2x15x14", plain)), 3, use);
      one.initialize(1), other.initialize(1);
      Pass pass = training_pass(3);
      pass.training = use == Network<double>::Use::training;
      const auto x = random_numbers<double>(random, 3 * one.input_shape().size());
      BOOST_TEST(distance(forward(one, pass, x), forward(other, pass, x), 1) <= 1e-13);
    }
}

BOOST_AUTO_TEST_SUITE_END()
