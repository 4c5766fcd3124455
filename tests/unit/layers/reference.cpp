// Layers and losses against what PyTorch computed (tests/reference/layers.h5).
#include "support/reference.hpp"

#include <map>

#include "kokkos_kernels/loss.hpp"
#include "layer_bench.hpp"

using namespace trireme;
using namespace trireme::test;

namespace {

template <class T>
constexpr double tolerance = std::is_same_v<T, float> ? 1e-5 : 1e-10;

template <class T>
void check_layer(const ReferenceCase& reference) {
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
    BOOST_TEST(distance(result.y, reference.numbers("y")) <= tolerance<T>);
    for (std::size_t i = 0; i < shapes.size(); ++i)
      BOOST_TEST(distance(result.dx[i], reference.numbers(shapes.size() == 1 ? "dx" : "dx" + std::to_string(i))) <= tolerance<T>);
    for (std::size_t i = 0; i < parameters.size(); ++i)
      BOOST_TEST(distance(bench.gradient(i), reference.numbers("d" + parameters[i].name)) <= tolerance<T>, "d" << parameters[i].name);
  }
}

template <class T>
void check_loss(const ReferenceCase& reference) {
  const std::map<std::string, LossKind> kinds{{"cross_entropy", LossKind::cross_entropy},
                                              {"mse", LossKind::mse},
                                              {"mae", LossKind::mae},
                                              {"bce", LossKind::bce},
                                              {"bce_with_logits", LossKind::bce_with_logits}};
  const std::string kind = reference.text("kind");
  const auto extents = reference.extents("output");
  const std::int64_t n = extents[0], outputs = extents[1];
  const bool classes = kind == "cross_entropy";
  const double divisor = static_cast<double>(classes ? n : n * outputs);
  const Guarded<T> y(reference.numbers_as<T>("output")), dy(n * outputs);
  const Guarded<double> per_sample(n), loss(1);
  const Execution exec;
  if (classes)
    cross_entropy<T>(exec, n, outputs, y, Guarded<std::int32_t>(reference.numbers_as<std::int32_t>("target")), static_cast<T>(reference.number("label_smoothing")),
                     static_cast<T>(1 / divisor), dy, per_sample, loss);
  else
    elementwise_loss<T>(exec, kinds.at(kind), n, outputs, y, Guarded<T>(reference.numbers_as<T>("target")), static_cast<T>(1 / divisor), dy, per_sample, loss);
  BOOST_TEST_CONTEXT("losses/" << reference.name() << ", " << sizeof(T) << "-byte: " << kind) {
    double allowed = tolerance<T>;
    if (kind == "bce")  // a probability near 1 has lost digits of 1 - y before the loss sees it
      for (const double p : reference.numbers("output")) allowed = std::max(allowed, std::numeric_limits<T>::epsilon() / (1 - p));
    BOOST_TEST(distance(std::vector<double>{loss.values()[0] / divisor}, reference.numbers("loss")) <= allowed);
    BOOST_TEST(distance(dy.values(), reference.numbers("gradient")) <= allowed);
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(reference)

BOOST_AUTO_TEST_CASE(layers_are_pytorchs) {
  std::map<std::string, int> seen;
  const int count = for_reference_cases("layers", [&](const ReferenceCase& reference) {
    ++seen[split(reference.text("layer"), ' ')[0]];
    check_layer<double>(reference);
    check_layer<float>(reference);
  });
  BOOST_TEST_MESSAGE(count << " reference layers");
  for (const LayerKind& kind : layer_kinds()) BOOST_TEST(seen[kind.name] > 0, "no reference of kind '" << kind.name << "': add a case to make_reference.py");
}

BOOST_AUTO_TEST_CASE(losses_are_pytorchs) {
  std::map<std::string, int> seen;
  for_reference_cases("losses", [&](const ReferenceCase& reference) {
    ++seen[reference.text("kind")];
    check_loss<double>(reference);
    check_loss<float>(reference);
  });
  BOOST_TEST(seen.size() == 5u);
}

BOOST_AUTO_TEST_SUITE_END()
