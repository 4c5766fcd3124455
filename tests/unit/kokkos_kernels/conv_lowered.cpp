// Convolution as matrix products on gathered rows, which devices use, against the selected one.
#include "kokkos_kernels/detail/conv_lowered.hpp"

#include <boost/test/unit_test.hpp>

#include "kokkos_kernels/detail/gemm_elements.hpp"
#include "operands.hpp"

using namespace trireme;
using namespace trireme::test;
using namespace trireme::detail;

namespace {

ConvGeometry draw_geometry(RandomStream& random) {
  ConvGeometry g;
  g.in_channels = draw(random, 1, 9), g.out_channels = draw(random, 1, 9);
  for (std::size_t a = random.below(3); a < 3; ++a) {
    g.kernel[a] = draw(random, 1, 3), g.stride[a] = draw(random, 1, 3), g.padding[a] = draw(random, 0, 2), g.dilation[a] = draw(random, 1, 2);
    g.in[a] = draw(random, g.dilation[a] * (g.kernel[a] - 1) + 1, 8);
    g.out[a] = conv_extent(g.in[a], g.kernel[a], g.stride[a], g.padding[a], g.dilation[a]);
  }
  return g;
}

template <class T, class Operand>
void check(const ConvGeometry& g, ComputeType operands, std::int64_t n, std::int64_t most, RandomStream& random) {
  const Execution exec;
  const auto numbers = [&](std::int64_t count) { return Guarded<T>(random_numbers<T>(random, count)); };
  const std::int64_t inputs = n * g.in_pixels() * g.in_channels, outputs = n * g.out_pixels() * g.out_channels;
  const Guarded<T> x = numbers(inputs), w = numbers(g.weights()), dy = numbers(outputs), dw = numbers(g.weights()), found_dw(dw.values());
  const Guarded<T> y(outputs), dx(inputs), found_y(outputs), found_dx(inputs);

  const ConvPlan<T> plan(g, {}, operands);
  const Guarded<T> plan_workspace(plan.workspace(n));
  plan.forward(exec, n, x, w, Span<const T>(), y, {}, plan_workspace);
  const ConvGradient<T> gradient{.dy = dy, .y = {}, .index = {}};
  plan.backward_data(exec, n, gradient, w, dx, plan_workspace);
  plan.backward_weights(exec, n, x, gradient, dw, Span<T>(), plan_workspace);

  const LoweredConv<T, Operand> lowered(exec, g, operands, n, most);
  const auto product = [&](const Gemm<T>& shape, const Operand* a, const Operand* b, T* c, const Scratch&) { gemm_elements(exec, shape, a, b, c); };
  const Lowering input = Lowering::of_input(g), of_gradient = Lowering::of_gradient(g);
  const Guarded<T> workspace(std::max(lowered.taken(input).template elements<T>(), lowered.taken(of_gradient).template elements<T>()));
  lowered.forward(x.span().data(), w.span().data(), found_y.span().data(), Scratch(workspace.span()), product);
  lowered.backward_data(dy.span().data(), w.span().data(), found_dx.span().data(), Scratch(workspace.span()), product);
  lowered.backward_weights(x.span().data(), dy.span().data(), found_dw.span().data(), Scratch(workspace.span()), product);

  const double limit = product_rounding<T>(operands);
  BOOST_TEST(distance(found_y.values(), y.values(), 1) <= limit);
  BOOST_TEST(distance(found_dx.values(), dx.values(), 1) <= limit);
  BOOST_TEST(distance(found_dw.values(), dw.values(), 1) <= limit);
  BOOST_TEST((found_y.guards_hold() && found_dx.guards_hold() && found_dw.guards_hold() && workspace.guards_hold()));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(lowered_convolution)

BOOST_AUTO_TEST_CASE(equals_the_selected_one) {
  RandomStream random(test_seed(), 400);
  for (int i = 0; i < 200; ++i) {
    const ConvGeometry g = draw_geometry(random);
    const std::int64_t n = draw(random, 0, 3), most = pick<std::int64_t>(random, {1, 100, 3000, 1 << 20});
    BOOST_TEST_CONTEXT("seed " << test_seed() << " case " << i << ", n " << n << ", at a time " << most) {
      check<double, double>(g, ComputeType::full, n, most, random);
      check<float, float>(g, i % 2 ? ComputeType::full : ComputeType::tf32, n, most, random);
      check<float, Bf16>(g, ComputeType::bf16, n, most, random);
    }
  }
}

BOOST_AUTO_TEST_CASE(a_row_that_is_a_pixel_is_not_gathered) {
  RandomStream random(test_seed(), 401);
  ConvGeometry g;
  g.in_channels = 5, g.out_channels = 3, g.in = g.out = {1, 4, 6};
  check<float, float>(g, ComputeType::full, 2, 1 << 20, random);
  check<float, Bf16>(g, ComputeType::bf16, 2, 1 << 20, random);
}

BOOST_AUTO_TEST_SUITE_END()
