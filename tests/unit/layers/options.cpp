// Invalid layers: each error names the layer, the value found and the legal values.
#include "layer_bench.hpp"
#include "unit/config/support.hpp"

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
  refused("cnov out=3 kernel=2", {Shape{1, 5}}, {"layer 1", "'cnov'", "did you mean 'conv'?", "Known kinds: adaptive_avg_pool, add, avg_pool"});
  refused("conv out=3 kernal=2", {Shape{1, 5}}, {"layer 1 (conv)", "'kernal'", "did you mean 'kernel'?"});
  refused("relu slope=2", {Shape{5}}, {"layer 1 (relu)", "'slope'", "this layer takes no options"});
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
  refused("max_pool kernel=300", {Shape{1, 400, 400}}, {"90000 elements", "at most 65536"});
  refused("conv_transpose out=3 kernel=2 stride=2 output_padding=2", {Shape{1, 4}}, {"output_padding 2", "stride 2"});
  refused("conv_transpose out=3 kernel=2 padding=3", {Shape{1, 4}}, {"padding 3 leaves nothing"});
  refused("group_norm groups=2", {Shape{3, 4}}, {"groups = 2", "divide", "3 channels"});
  refused("layer_norm dims=3", {Shape{3, 4}}, {"dims = 3", "3x4"});
  refused("upsample scale=2 mode=cubic", {Shape{3, 4}}, {"'cubic'", "nearest nor linear"});
  refused("instance_norm", {Shape{3}}, {"1 to 3 spatial dimensions"});
  refused("reshape shape=2x5", {Shape{3, 4}}, {"10 elements", "3x4 has 12"});
  refused("reshape shape=1x1x1x2x6", {Shape{3, 4}}, {"5 extents"});
  refused("add", {Shape{2, 3}, Shape{3, 2}}, {"the same shape", "2x3", "3x2"});
  refused("add", {Shape{2, 3}}, {"two or more inputs, found 1", "from="});
  refused("concat", {Shape{2, 3}, Shape{2, 4}}, {"agree in all dimensions except the channels", "2x3", "2x4"});
  refused("relu", {Shape{2}, Shape{2}}, {"takes 1 input, found 2"});
}

BOOST_AUTO_TEST_CASE(padding_that_does_not_fit_is_refused) {
  refused("pad pixels=1 mode=mirror", {Shape{1, 4}}, {"layer 1 (pad)", "'mirror'", "zeros, reflect, replicate or circular"});
  refused("pad pixels=1 mode=reflect,circular", {Shape{1, 4}}, {"has 2 modes", "1 spatial dimension"});
  refused("pad pixels=4 mode=reflect", {Shape{1, 4}}, {"reflect padding of 4", "at least 5 pixels", "1x4"});
  refused("pad after=5,0 mode=circular", {Shape{1, 4, 9}}, {"circular padding of 5", "at least 5 pixels", "1x4x9"});
  refused("pad pixels=1", {Shape{4}}, {"1 to 3 spatial dimensions", "found 4"});
  refused("conv out=1 kernel=3 padding=3 padding_mode=reflect", {Shape{1, 3}}, {"layer 1 (conv)", "reflect padding of 3", "at least 4 pixels"});
  refused("conv out=1 kernel=3 padding=5 padding_mode=zeros,circular", {Shape{1, 9, 4}}, {"circular padding of 5"});
  refused("conv out=1 kernel=3 padding_mode=same", {Shape{1, 4}}, {"padding_mode = 'same'", "zeros, reflect, replicate or circular"});
  refused("crop pixels=2", {Shape{1, 9, 4}}, {"2 pixel(s) in front and 2 behind leave nothing", "1x9x4"});
}

BOOST_AUTO_TEST_CASE(channels_and_extents_that_do_not_fit_are_refused) {
  refused("slice channels=3", {Shape{4, 5}}, {"'3' is no range", "FIRST:END"});
  refused("slice channels=2:2", {Shape{4, 5}}, {"channels = 2:2", "4 channels", "FIRST < END <= 4"});
  refused("slice channels=1:9", {Shape{4}}, {"channels = 1:9", "4 channels"});
  refused("slice channels=-1:2", {Shape{4}}, {"channels = -1:2", "0 <= FIRST"});
  refused("slice channels=a:2", {Shape{4}}, {"layer 1 (slice) channels", "a"});
  refused("multiply", {Shape{2, 3}, Shape{3, 3}}, {"2x3 and 3x3", "extents of 1"});
  refused("multiply", {Shape{2, 3, 4}, Shape{2, 3}}, {"2x3x4 and 2x3", "C counts as Cx1x1"});
  refused("multiply", {Shape{2}}, {"two or more inputs, found 1"});
  refused("multiply", std::vector<Shape>(9, Shape{2}), {"at most 8 inputs", "found 9", "two multiply layers"});
  refused("pixel_shuffle factor=2", {Shape{6, 3, 3}}, {"multiple of 4 channels", "6x3x3"});
  refused("pixel_shuffle factor=65536", {Shape{6, 3, 3, 3}}, {"channels", "6x3x3x3"});
  refused("adaptive_avg_pool out=2,2", {Shape{6, 3}}, {"has 2 numbers", "1 spatial dimension"});
  refused("prelu initial=big", {Shape{6, 3}}, {"layer 1 (prelu) initial", "big"});
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
  BOOST_TEST((output_of("pad pixels=1,2", {3, 4, 5}) == Shape{3, 6, 9}));
  BOOST_TEST((output_of("pad pixels=1 after=0,3 mode=circular", {3, 4, 5}) == Shape{3, 5, 9}));
  BOOST_TEST((output_of("conv out=2 kernel=3 padding=1 stride=2 padding_mode=reflect,circular", {3, 7, 8}) == Shape{2, 4, 4}));
  BOOST_TEST((output_of("crop pixels=1,0", {3, 4, 5}) == Shape{3, 2, 5}));
  BOOST_TEST((output_of("slice channels=1:", {3, 4, 5}) == Shape{2, 4, 5}));
  BOOST_TEST((output_of("slice channels=:2", {3}) == Shape{2}));
  BOOST_TEST((output_of("adaptive_avg_pool out=2,7", {3, 4, 5}) == Shape{3, 2, 7}));
  BOOST_TEST((output_of("pixel_shuffle factor=2,3", {12, 4, 5}) == Shape{2, 8, 15}));
  BOOST_TEST((LayerBench<float>("multiply", {Shape{2}, Shape{2, 1, 5}, Shape{1, 4, 1}}, 1).layer().output() == Shape{2, 4, 5}));
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
