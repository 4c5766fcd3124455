// Random layers of every kind, with suitable inputs.
#pragma once

#include "layer_bench.hpp"

namespace trireme::test {

struct DrawnLayer {
  std::string line;
  std::vector<Shape> inputs;
};

inline Shape drawn_shape(RandomStream& random, int dims, std::int64_t channels, std::int64_t least = 1) {
  std::vector<std::int64_t> extents{channels};
  for (int a = 0; a < dims; ++a) extents.push_back(draw(random, least, least + (dims == 3 ? 2 : 4)));
  return Shape(std::span<const std::int64_t>(extents));
}

inline std::string drawn_option(RandomStream& random, const std::string& name, int dims, std::int64_t low, std::int64_t high) {
  std::string text = " " + name + "=" + std::to_string(draw(random, low, high));
  if (random.below(2))
    for (int a = 1; a < dims; ++a) text += "," + std::to_string(draw(random, low, high));
  return text;
}

/// One mode of padding for all dimensions, or one for each.
inline std::string drawn_modes(RandomStream& random, int dims) {
  const std::vector<std::string> modes{"zeros", "reflect", "replicate", "circular"};
  std::string text = pick(random, modes);
  if (random.below(2))
    for (int a = 1; a < dims; ++a) text += "," + pick(random, modes);
  return text;
}

inline DrawnLayer draw_pad(RandomStream& random, int dims) {
  const Shape input = drawn_shape(random, dims, draw(random, 1, 3), 3);
  std::string line = "pad mode=" + drawn_modes(random, dims);
  if (random.below(2)) return {line + drawn_option(random, "pixels", dims, 0, 2), {input}};
  return {line + drawn_option(random, "before", dims, 0, 2) + drawn_option(random, "after", dims, 0, 2), {input}};
}

/// A random layer of this kind. Fails the test if a kind is not handled here.
inline DrawnLayer draw_layer(const std::string& kind, RandomStream& random) {
  const int dims = static_cast<int>(draw(random, 1, 3)), any = static_cast<int>(draw(random, 0, 3));
  if (kind == "linear") return {"linear out=" + std::to_string(draw(random, 1, 9)) + (random.below(3) ? "" : " bias=false"), {Shape{draw(random, 1, 9)}}};
  if (kind == "conv") {
    const std::int64_t groups = random.below(2) ? 1 : draw(random, 1, 3);
    std::string line = "conv out=" + std::to_string(groups * draw(random, 1, 3)) + " groups=" + std::to_string(groups);
    line += drawn_option(random, "kernel", dims, 1, 3) + drawn_option(random, "stride", dims, 1, 2) + drawn_option(random, "padding", dims, 0, 2) +
            drawn_option(random, "dilation", dims, 1, 2);
    if (random.below(2)) line += " padding_mode=" + drawn_modes(random, dims);
    return {line + (random.below(3) ? "" : " bias=false"), {drawn_shape(random, dims, groups * draw(random, 1, 2), 5)}};
  }
  if (kind == "pad") return draw_pad(random, dims);
  if (kind == "crop") {
    const Shape input = drawn_shape(random, dims, draw(random, 1, 3), 3);
    return {"crop" + (random.below(2) ? drawn_option(random, "pixels", dims, 0, 1) : drawn_option(random, "before", dims, 0, 2)), {input}};
  }
  if (kind == "slice") {
    const std::int64_t channels = draw(random, 1, 7), first = draw(random, 0, channels - 1), end = draw(random, first + 1, channels);
    return {"slice channels=" + (first == 0 && random.below(2) ? "" : std::to_string(first)) + ":" +
                (end == channels && random.below(2) ? "" : std::to_string(end)),
            {drawn_shape(random, any, channels)}};
  }
  if (kind == "multiply") {
    const Shape full = drawn_shape(random, any, draw(random, 1, 19));
    DrawnLayer layer{kind, {full}};
    for (std::int64_t more = draw(random, 1, 3); more > 0; --more) {
      Shape other = random.below(4) ? full : Shape{full[0]};
      for (int a = 0; a < other.rank() && random.below(2); ++a)
        if (random.below(2)) other[a] = 1;
      layer.inputs.insert(layer.inputs.begin() + draw(random, 0, static_cast<std::int64_t>(layer.inputs.size())), other);
    }
    return layer;
  }
  if (kind == "prelu") return {random.below(2) ? "prelu" : "prelu per_channel=true", {drawn_shape(random, any, draw(random, 1, 19))}};
  if (kind == "adaptive_avg_pool") return {kind + drawn_option(random, "out", dims, 1, 5), {drawn_shape(random, dims, draw(random, 1, 3))}};
  if (kind == "pixel_shuffle") {
    std::string factors;
    std::int64_t taps = 1;
    for (int a = 0; a < dims; ++a) {
      const std::int64_t factor = draw(random, 1, dims == 3 ? 2 : 3);
      factors += (a > 0 ? "," : "") + std::to_string(factor), taps *= factor;
    }
    return {"pixel_shuffle factor=" + factors, {drawn_shape(random, dims, taps * draw(random, 1, 3))}};
  }
  if (kind == "conv_transpose") {
    const std::int64_t groups = random.below(2) ? 1 : draw(random, 1, 3);
    std::string line = "conv_transpose out=" + std::to_string(groups * draw(random, 1, 3)) + " groups=" + std::to_string(groups);
    line += drawn_option(random, "kernel", dims, 2, 3) + drawn_option(random, "padding", dims, 0, 1);
    if (random.below(2))
      line += drawn_option(random, "stride", dims, 2, 3) + drawn_option(random, "output_padding", dims, 0, 1);
    else
      line += drawn_option(random, "stride", dims, 1, 2) + " dilation=2" + drawn_option(random, "output_padding", dims, 0, 1);
    return {line + (random.below(3) ? "" : " bias=false"), {drawn_shape(random, dims, groups * draw(random, 1, 2), 2)}};
  }
  if (kind == "max_pool" || kind == "avg_pool") {
    std::string line = kind + drawn_option(random, "kernel", dims, 2, 3);
    if (random.below(2)) line += drawn_option(random, "stride", dims, 1, 3);
    if (random.below(2)) line += drawn_option(random, "padding", dims, 0, 1);
    if (kind == "avg_pool" && random.below(2)) line += " count_include_pad=false";
    if (random.below(2)) line += " ceil_mode=true";
    return {line, {drawn_shape(random, dims, draw(random, 1, 3), 3)}};
  }
  if (kind == "batch_norm") {
    // eps so large that slopes are smooth where a channel has few values.
    const std::string line = std::string("batch_norm eps=0.3") + (random.below(3) ? "" : " affine=false") + (random.below(2) ? "" : " sync=true");
    return {line, {drawn_shape(random, any, pick<std::int64_t>(random, {1, 2, 3, 16, 19}))}};
  }
  if (kind == "group_norm") {
    const std::int64_t groups = draw(random, 1, 3);
    return {"group_norm eps=0.3 groups=" + std::to_string(groups) + (random.below(3) ? "" : " affine=false"),
            {drawn_shape(random, any, groups * pick<std::int64_t>(random, {1, 2, 7}))}};
  }
  if (kind == "instance_norm")
    return {random.below(2) ? "instance_norm eps=0.3" : "instance_norm eps=0.3 affine=true",
            {drawn_shape(random, dims, pick<std::int64_t>(random, {1, 3, 18}))}};
  if (kind == "layer_norm") {
    const std::string line = std::string("layer_norm eps=0.3") + (random.below(3) ? "" : " affine=false");
    return {line + (random.below(2) ? "" : " dims=" + std::to_string(draw(random, 1, any + 1))),
            {drawn_shape(random, any, pick<std::int64_t>(random, {1, 3, 18}))}};
  }
  if (kind == "upsample")
    return {"upsample" + drawn_option(random, "scale", dims, 1, 3) + (random.below(2) ? "" : " mode=linear"), {drawn_shape(random, dims, draw(random, 1, 3))}};
  if (kind == "leaky_relu") return {random.below(2) ? "leaky_relu" : "leaky_relu slope=0.3", {drawn_shape(random, any, draw(random, 1, 4))}};
  if (kind == "elu") return {random.below(2) ? "elu" : "elu alpha=0.4", {drawn_shape(random, any, draw(random, 1, 4))}};
  if (kind == "softplus") return {random.below(2) ? "softplus" : "softplus beta=3 threshold=1", {drawn_shape(random, any, draw(random, 1, 4))}};
  if (kind == "scale") return {"scale factor=-3/7", {drawn_shape(random, any, draw(random, 1, 4))}};
  if (kind == "reshape") {
    const std::vector<std::string> shapes{"24", "1x24", "24x1x1", "2x3x4", "4x6", "3x2x2x2"};
    return {"reshape shape=" + pick(random, shapes), {Shape::parse(pick(random, shapes), "test")}};
  }
  if (kind == "dropout") return {random.below(2) ? "dropout" : "dropout p=0.2", {drawn_shape(random, any, draw(random, 1, 4))}};
  if (kind == "relu" || kind == "tanh" || kind == "sigmoid" || kind == "gelu" || kind == "silu" || kind == "softmax" || kind == "log_softmax" ||
      kind == "flatten" || kind == "global_avg_pool")
    return {kind, {drawn_shape(random, any, draw(random, 1, 4))}};
  if (kind == "add") return {kind, std::vector<Shape>(static_cast<std::size_t>(draw(random, 2, 4)), drawn_shape(random, any, draw(random, 1, 4)))};
  if (kind == "concat") {
    DrawnLayer layer{kind, {drawn_shape(random, any, draw(random, 1, 3))}};
    for (std::int64_t more = draw(random, 1, 3); more > 0; --more) layer.inputs.push_back(layer.inputs[0].without_first().with_first(draw(random, 1, 3)));
    return layer;
  }
  BOOST_FAIL("no random layer of kind '" << kind << "': teach draw_layer() to make one");
  return {};
}

inline std::string text(const DrawnLayer& layer) {
  std::string t = layer.line + " on";
  for (const Shape& shape : layer.inputs) t.append(" ").append(shape.text());
  return t;
}

}  // namespace trireme::test
