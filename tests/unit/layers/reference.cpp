// Layers compared with PyTorch's results (tests/reference/layers.h5), and with numpy's (numpy_layers.h5).
#include "support/reference.hpp"

#include <map>

#include "layer_bench.hpp"

using namespace trireme;
using namespace trireme::test;

namespace {

template <class T>
void check_layer(const ReferenceCase& reference, double tolerance) {
  const std::string line = reference.text("layer");
  std::vector<Shape> shapes;
  for (const auto& text : split(reference.text("input"), ',')) shapes.push_back(Shape::parse(text, "input of the reference"));
  LayerBench<T> bench(line, shapes, static_cast<std::int64_t>(reference.number("batch")));
  BOOST_TEST_CONTEXT("layers/" << reference.name() << ", " << sizeof(T) << "-byte: " << line << " on " << reference.text("input")) {
    std::vector<std::vector<T>> inputs;
    for (std::size_t i = 0; i < shapes.size(); ++i) inputs.push_back(reference.numbers_as<T>(shapes.size() == 1 ? "x" : "x" + std::to_string(i)));
    const auto& parameters = bench.layer().parameters();
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      const auto extents = reference.extents(parameters[i].name);
      BOOST_TEST((parameters[i].shape == Shape(std::span<const std::int64_t>(extents))), parameters[i].name << " has shape " << parameters[i].shape.text());
      bench.set_parameter(i, reference.numbers_as<T>(parameters[i].name));
    }
    for (const char* name : {"weight", "bias"}) {
      const bool ours = std::ranges::find(parameters, name, &ParameterSpec::name) != parameters.end();
      BOOST_TEST(ours == reference.has(name), "'" << name << "' is on one side only");
    }
    const auto y_extents = reference.extents("y");
    BOOST_TEST((bench.layer().output() == Shape(std::span<const std::int64_t>(y_extents)).without_first()), "the output is " << bench.layer().output().text());
    const auto result = bench.forward_backward(inputs, reference.numbers_as<T>("dy"));
    BOOST_TEST(distance(result.y, reference.numbers("y")) <= tolerance);
    for (std::size_t i = 0; i < shapes.size(); ++i)
      BOOST_TEST(distance(result.dx[i], reference.numbers(shapes.size() == 1 ? "dx" : "dx" + std::to_string(i))) <= tolerance);
    for (std::size_t i = 0; i < parameters.size(); ++i)
      BOOST_TEST(distance(bench.gradient(i), reference.numbers("d" + parameters[i].name)) <= tolerance, "d" << parameters[i].name);
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(reference)

BOOST_AUTO_TEST_CASE(layers_are_pytorchs_and_numpys) {
  std::map<std::string, int> seen;
  const int count = for_reference_cases("layers", [&](const ReferenceCase& reference) {
    ++seen[split(reference.text("layer"), ' ')[0]];
    check_layer<double>(reference, 1e-10);
    check_layer<float>(reference, 1e-5);
  });
  const int of_numpy = for_reference_cases(
      "layers",
      [&](const ReferenceCase& reference) {
        ++seen[split(reference.text("layer"), ' ')[0]];
        check_layer<double>(reference, 1e-12);
        check_layer<float>(reference, 1e-5);
      },
      "numpy_layers.h5");
  BOOST_TEST_MESSAGE(count << " reference layers of PyTorch, " << of_numpy << " of numpy");
  for (const LayerKind& kind : layer_kinds())
    BOOST_TEST((seen[kind.name] > 0 || has_own_test(kind.name)),
               "no reference of kind '" << kind.name << "': add a case to make_reference.py or make_numpy_reference.py");
}

BOOST_AUTO_TEST_SUITE_END()
