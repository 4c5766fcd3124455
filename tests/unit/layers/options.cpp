// Layers that cannot be: each refusal names the layer, what was found and what is legal.
#include "unit/config/support.hpp"

#include "layer_bench.hpp"

using namespace trireme;
using namespace trireme::test;

namespace {

void refused(const std::string& line, const std::vector<Shape>& inputs, const std::vector<std::string>& words) {
  check_refused([&] { LayerBench<float>(line, inputs, 1); }, words);
}

Shape output_of(const std::string& line, const Shape& input) { return LayerBench<float>(line, {input}, 1).layer().output(); }

}  // namespace

BOOST_AUTO_TEST_SUITE(layer_options)

BOOST_AUTO_TEST_CASE(unknown_names_are_refused_with_the_nearest) {
  refused("cnov out=3 kernel=2", {Shape{1, 5}}, {"layer 1", "'cnov'", "did you mean 'conv'?", "Known kinds: linear, conv"});
  refused("conv out=3 kernal=2", {Shape{1, 5}}, {"layer 1 (conv)", "'kernal'", "did you mean 'kernel'?"});
  refused("relu slope=2", {Shape{5}}, {"layer 1 (relu)", "'slope'", "takes no options"});
  refused("conv kernel=2", {Shape{1, 5}}, {"layer 1 (conv)", "'out' is missing"});
}

BOOST_AUTO_TEST_CASE(values_out_of_range_are_refused) {
  refused("linear out=0", {Shape{5}}, {"out = 0 is too small", "Expected 1 to 1000000000"});
  refused("linear out=3 bias=perhaps", {Shape{5}}, {"'perhaps'", "true nor false"});
  refused("linear out=many", {Shape{5}}, {"layer 1 (linear) out", "many"});
  refused("dropout p=1.5", {Shape{5}}, {"p = 1.5 is out of range", "0 to 1"});
  refused("conv out=3 kernel=2,2,2", {Shape{1, 5, 5}}, {"has 3 numbers", "2 spatial dimension", "1 or 2 numbers"});
  refused("conv out=3 kernel=0", {Shape{1, 5}}, {"kernel = 0 is too small"});
  refused("conv out=3 kernel=1 groups=2", {Shape{3, 5}}, {"groups = 2", "divide", "3 input channels"});
  refused("conv out=3 kernel=1 groups=0", {Shape{3, 5}}, {"groups = 0 is too small"});
}

BOOST_AUTO_TEST_CASE(inputs_that_do_not_fit_are_refused) {
  refused("linear out=3", {Shape{2, 3}}, {"needs a flat input", "2x3", "layer = flatten"});
  refused("conv out=3 kernel=2", {Shape{5}}, {"1 to 3 spatial dimensions", "found 5"});
  refused("conv out=3 kernel=2", {Shape{1, 2, 3, 4, 5}}, {"1 to 3 spatial dimensions"});
  refused("conv out=3 kernel=3 dilation=3 padding=1", {Shape{1, 4}}, {"kernel 3 (dilation 3) is larger than the input 4 with padding 1"});
  refused("max_pool kernel=5", {Shape{1, 4, 9}}, {"kernel 5 is larger than the input 4"});
  refused("avg_pool kernel=3 padding=2", {Shape{1, 9}}, {"padding 2 is more than half of kernel 3"});
  refused("max_pool kernel=300", {Shape{1, 400, 400}}, {"90000 places", "at most 65536"});
  refused("conv_transpose out=3 kernel=2 stride=2 output_padding=2", {Shape{1, 4}}, {"output_padding 2", "stride 2"});
  refused("conv_transpose out=3 kernel=2 padding=3", {Shape{1, 4}}, {"padding 3 leaves nothing"});
  refused("group_norm groups=2", {Shape{3, 4}}, {"groups = 2", "divide", "3 channels"});
  refused("layer_norm dims=3", {Shape{3, 4}}, {"dims = 3", "3x4"});
  refused("upsample scale=2 mode=cubic", {Shape{3, 4}}, {"'cubic'", "nearest nor linear"});
  refused("instance_norm", {Shape{3}}, {"1 to 3 spatial dimensions"});
  refused("reshape shape=2x5", {Shape{3, 4}}, {"10 elements", "3x4 has 12"});
  refused("reshape shape=1x1x1x2x6", {Shape{3, 4}}, {"5 extents"});
  refused("add", {Shape{2, 3}, Shape{3, 2}}, {"one shape", "2x3", "3x2"});
  refused("add", {Shape{2, 3}}, {"two or more inputs, found 1", "from="});
  refused("concat", {Shape{2, 3}, Shape{2, 4}}, {"agree in all but the channels", "2x3", "2x4"});
  refused("relu", {Shape{2}, Shape{2}}, {"takes 1 input, found 2"});
}

BOOST_AUTO_TEST_CASE(shapes_are_pytorchs) {
  BOOST_TEST((output_of("conv out=6 kernel=5 padding=2", {3, 32, 30}) == Shape{6, 32, 30}));
  BOOST_TEST((output_of("conv out=4 kernel=3,1,2 stride=2,1,1", {2, 7, 5, 6}) == Shape{4, 3, 5, 5}));
  BOOST_TEST((output_of("max_pool kernel=3 stride=2 padding=1", {8, 7}) == Shape{8, 4}));
  BOOST_TEST((output_of("avg_pool kernel=2", {8, 7, 9}) == Shape{8, 3, 4}));
  BOOST_TEST((output_of("avg_pool kernel=2 ceil_mode=true", {8, 7, 9}) == Shape{8, 4, 5}));
  BOOST_TEST((output_of("max_pool kernel=2 stride=3 padding=1 ceil_mode=true", {1, 5}) == Shape{1, 2}));  // no window in the padding alone
  BOOST_TEST((output_of("conv_transpose out=6 kernel=3 stride=2 padding=1 output_padding=1", {3, 8, 5}) == Shape{6, 16, 10}));
  BOOST_TEST((output_of("upsample scale=2,3", {3, 4, 5}) == Shape{3, 8, 15}));
  BOOST_TEST((output_of("global_avg_pool", {8, 7, 9}) == Shape{8}));
  BOOST_TEST((output_of("reshape shape=4x3x2", {24}) == Shape{4, 3, 2}));
  BOOST_TEST((output_of("flatten", {8, 7, 9}) == Shape{504}));
  BOOST_TEST((LayerBench<float>("concat", {Shape{1, 5}, Shape{2, 5}}, 1).layer().output() == Shape{3, 5}));
}

BOOST_AUTO_TEST_CASE(the_reference_names_every_kind_and_option) {
  const std::string text = layer_reference();
  for (const LayerKind& kind : layer_kinds()) {
    BOOST_TEST(text.find("| `" + kind.name + "`") != std::string::npos, kind.name);
    for (const OptionSpec& option : kind.options) BOOST_TEST(text.find("`" + option.name + "`") != std::string::npos, kind.name << " " << option.name);
  }
}

BOOST_AUTO_TEST_SUITE_END()
