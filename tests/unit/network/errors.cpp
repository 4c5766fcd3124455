// Invalid graphs: each error names the layer and a remedy.
#include "networks.hpp"
#include "unit/config/support.hpp"

using namespace trireme;
using namespace trireme::test;

namespace {

void graph_refused(const std::string& input, const std::vector<std::string>& layers, const std::vector<std::string>& words) {
  BOOST_TEST_CONTEXT(model(input, layers)) {
    check_refused([&] { Network<float>(deck_of(model(input, layers)), 2, Network<float>::Use::training); }, words);
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(graph_errors)

BOOST_AUTO_TEST_CASE(are_named_with_their_layer) {
  graph_refused("2x5", {"conv name=first out=2 kernel=1", "relu from=frist"}, {"layer 2 (relu)", "'frist'", "did you mean 'first'?", "first, input"});
  graph_refused("2x5", {"relu from=later", "relu name=later"}, {"layer 1 (relu)", "'later' names no earlier layer", "Known here: input"});
  graph_refused("2x5", {"relu name=a from=a"}, {"layer 1 (relu)", "'a' names no earlier layer"});
  graph_refused("2x5", {"relu name=a", "tanh name=a"}, {"layer 2 (tanh)", "the name 'a' is already used"});
  graph_refused("2x5", {"relu name=input"}, {"layer 1 (relu)", "the name 'input' is already used"});
  graph_refused("2x5", {"relu", "relu name=relu1"}, {"layer 2 (relu)", "the name 'relu1' is already used"});
  graph_refused("2x5", {"relu name=a", "tanh from=input", "flatten"}, {"layer 1 (relu)", "no layer uses its output", "from="});
  graph_refused("2x5", {"relu", "linear out=3"}, {"layer 2 (linear)", "flat input", "2x5"});
  graph_refused("2x5", {"conv name=c out=3 kernel=1", "add from=c,input"}, {"layer 2 (add)", "the same shape", "3x5", "2x5"});
  graph_refused("2x5", {"flatten", "conv out=3 kernel=1"}, {"layer 2 (conv)", "spatial dimensions"});
  graph_refused("2x5", {"relu", "rleu"}, {"layer 2", "'rleu'", "did you mean 'relu'?"});
}

BOOST_AUTO_TEST_CASE(running_names_count_each_kind) {
  Network<float> network(deck_of(model("2x5", {"conv out=2 kernel=1", "relu", "conv out=2 kernel=1", "flatten", "linear out=2"})), 1,
                         Network<float>::Use::training);
  std::vector<std::string> names;
  for (const auto& parameter : network.parameters()) names.push_back(parameter.name);
  const std::vector<std::string> expected{"conv1.weight", "conv1.bias", "conv2.weight", "conv2.bias", "linear1.weight", "linear1.bias"};
  BOOST_TEST(names == expected, boost::test_tools::per_element());
  std::int64_t end = 0, count = 0;
  for (const auto& parameter : network.parameters()) {  // in order, apart, aligned
    BOOST_TEST(parameter.offset >= end);
    BOOST_TEST(parameter.offset * sizeof(float) % 64 == 0u);
    end = parameter.offset + parameter.shape.size();
    count += parameter.shape.size();
  }
  BOOST_TEST(end <= network.arena_size());
  BOOST_TEST(count == network.parameter_count());
}

BOOST_AUTO_TEST_SUITE_END()
