// Initial parameters: PyTorch's distributions, each a function of the seed and the parameter's name alone.
#include "networks.hpp"

using namespace trireme;
using namespace trireme::test;

namespace {

template <class T>
std::vector<T> parameter(Network<T>& network, const std::string& name) {
  for (const Parameter& p : network.parameters())
    if (p.name == name) return read<T>(slice<T>(network.values(), p.offset, p.shape.size()));
  BOOST_FAIL("no parameter '" << name << "'");
  return {};
}

template <class T>
std::vector<T> parameter(const std::string& text, std::uint64_t seed, const std::string& name) {
  Network<T> network(deck_of(text), 1, Network<T>::Use::inference);
  network.initialize(seed);
  return parameter(network, name);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(initial_parameters)

BOOST_AUTO_TEST_CASE(are_uniform_in_pytorchs_interval) {
  Network<double> network(deck_of(model("8x20x20", {"conv out=60 kernel=5 groups=2", "max_pool kernel=4", "flatten", "linear out=200"})), 1,
                          Network<double>::Use::training);
  network.initialize(123);
  for (const auto& [name, fan_in] :
       std::vector<std::pair<std::string, double>>{{"conv1.weight", 100}, {"conv1.bias", 100}, {"linear1.weight", 960}, {"linear1.bias", 960}}) {
    const auto values = parameter(network, name);
    const double bound = 1 / std::sqrt(fan_in), n = static_cast<double>(values.size());
    double mean = 0, square = 0, fourth = 0, low = bound, high = -bound;
    for (const double v : values) {
      mean += v / n, square += v * v / n, fourth += v * v * v * v / n;
      low = std::min(low, v), high = std::max(high, v);
    }
    BOOST_TEST_CONTEXT(name << ", " << values.size() << " numbers") {
      BOOST_TEST((low >= -bound && high <= bound));
      BOOST_TEST((low < -bound * (1 - 12 / n) && high > bound * (1 - 12 / n)));
      // Five standard deviations of each moment of a uniform distribution.
      BOOST_TEST(std::abs(mean) < 5 * bound / std::sqrt(3 * n));
      BOOST_TEST(std::abs(square - bound * bound / 3) < 5 * bound * bound * std::sqrt(4.0 / 45 / n));
      BOOST_TEST(std::abs(fourth - std::pow(bound, 4) / 5) < 5 * std::pow(bound, 4) * std::sqrt(16.0 / 225 / n));
    }
  }
}

BOOST_AUTO_TEST_CASE(depend_on_seed_and_name_alone) {
  const std::string name = "head.weight", alone = model("6", {"linear name=head out=4"});
  const auto values = parameter<double>(alone, 7, name);
  BOOST_TEST(same_bits(values, parameter<double>(model("3x2", {"conv out=3 kernel=1", "flatten", "linear name=head out=4", "linear out=2"}), 7, name)));
  BOOST_TEST(!same_bits(values, parameter<double>(alone, 8, name)));
  BOOST_TEST(!same_bits(values, parameter<double>(model("6", {"linear name=tail out=4"}), 7, "tail.weight")));
  const auto floats = parameter<float>(alone, 7, name);
  BOOST_TEST(same_bits(floats, std::vector<float>(values.begin(), values.end())));
}

BOOST_AUTO_TEST_SUITE_END()
