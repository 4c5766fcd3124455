// Random decks: networks (chains and graphs, one to three dimensions, any geometry), losses, optimizers, and grids to run them on.
#pragma once

#include <algorithm>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/random.hpp"
#include "io/shard.hpp"
#include "layers/spatial.hpp"
#include "parallel/plan.hpp"

namespace trireme::test {

class Draw {
 public:
  explicit Draw(std::uint64_t seed, std::uint64_t number) : random_(seed, number) {}
  int in(int low, int high) { return low + static_cast<int>(random_.below(static_cast<std::uint64_t>(high - low + 1))); }
  bool one_of(int n) { return in(1, n) == 1; }
  double normal() { return random_.normal(); }
  template <class T>
  const T& pick(const std::vector<T>& list) {
    return list[static_cast<std::size_t>(in(0, static_cast<int>(list.size()) - 1))];
  }

 private:
  RandomStream random_;
};

struct DrawnCase {
  bool fp64 = true;
  Shape input, output;
  Shape label;  // as stored; of rank 0: the output's
  bool classes = false;
  bool own_target = false;  // features are the target
  bool unit = false;        // features and labels lie in [0, 1]
  bool evaluates = false;   // metrics are compared too
  int map_classes = 0;      // labels are class numbers of pixels, below this
  bool ignores = false;     // some labels are -1, which does not count
  int rows = 0;
  std::string deck;      // without paths and [parallel]
  std::string parallel;  // the grid
  int ranks = 1;
  bool shards = false;  // ZeRO: the optimizer state is partitioned
};

/// Cases with this number or higher have larger samples, one per pass, and split pixels.
constexpr std::uint64_t first_of_one_sample = 1000000;
/// Cases with this number or higher also have padding of all modes, products, slices, adaptive pooling, pixel shuffles; from the second number on with one
/// sample per pass.
constexpr std::uint64_t first_of_more_kinds = 3000000, first_of_more_kinds_of_one_sample = 3500000;

class CaseMaker {
 public:
  CaseMaker(std::uint64_t seed, std::uint64_t number)
      : draw_(seed, number),
        one_sample_(number >= first_of_more_kinds ? number >= first_of_more_kinds_of_one_sample : number >= first_of_one_sample),
        more_kinds_(number >= first_of_more_kinds) {}

  DrawnCase make() {
    DrawnCase c;
    c.fp64 = !draw_.one_of(5);
    smooth_ = !c.fp64;
    eps_ = c.fp64 ? "1e-3" : "0.1";
    dims_ = draw_.in(1, 3);
    c.input = spatial_shape(draw_.in(1, 4), extents(dims_), dims_);
    shape_ = c.input;
    shapes_ = {c.input};
    names_ = {"input"};
    model_ = "[model]\ninput = " + c.input.text() + "\n";
    const int wanted = draw_.in(2, 7);
    for (int made = 0, tries = 0; made < wanted && tries < 60; ++tries) made += add(spatial_line()) ? 1 : 0;
    if (more_kinds_ && draw_.one_of(2)) add_gate();
    const int head = draw_.in(0, 3);
    if (head == 0) {  // dense output
      add("conv out=" + number(1, 4) + " kernel=1" + placement(false));
    } else {
      if (head == 1)
        add("global_avg_pool");
      else
        add("flatten");
      for (int k = draw_.in(0, 2); k > 0; --k) add("linear out=" + number(2, 9) + placement(true)), add(activation());
      if (draw_.one_of(4)) add("dropout p=0.3");
      add("linear out=" + number(2, 6) + (draw_.one_of(2) ? " tensor=column" : placement(true)));  // split channels in the loss
    }
    c.output = shape_;
    c.classes = head != 0 && shape_[0] > 1 && draw_.one_of(2);
    std::string loss = c.classes ? "cross_entropy" : draw_.pick<std::string>({"mse", "bce_with_logits"});
    if (!c.classes && c.fp64 && draw_.one_of(4)) loss = "mae";
    const int batch = one_sample_ ? (batch_norm_ ? 1 : draw_.in(1, 2)) : draw_.in(1, 6);
    c.rows = 3 * batch - (batch > 1 ? draw_.in(0, batch - 1) : 0);
    c.deck = model_ + "[loss]\nkind = " + loss + "\n";
    if (c.classes && draw_.one_of(3)) c.deck += "label_smoothing = 0.1\n";
    c.deck += optimizer(c) + "[train]\nepochs = 1\nprecision = " + (c.fp64 ? "fp64" : "fp32") + "\nevaluate_every = 0\n";
    if (draw_.one_of(6)) c.deck += "ema = 0.9\n";
    c.deck += "[data]\nbatch = " + std::to_string(batch) + "\n";
    const bool crops = c.input.rank() > 1 && draw_.one_of(4), flips = c.input.rank() > 1 && draw_.one_of(4);
    const bool one_axis = flips && (draw_.one_of(2) || dims_ < 2);
    // Labels whose pixels are not the input's cannot follow.
    const bool follows = head != 0 || spatial_extents(c.input) == spatial_extents(c.output);
    if (crops && follows) c.deck += "crop = 1\n";
    if (flips && follows) c.deck += one_axis ? "flip = x\n" : "flip = x,y\n";
    if (draw_.one_of(5)) c.deck += "noise = 0.1\n";
    do one_sample_ ? grid_of_one_sample(c, batch) : grid(c, batch);
    while (!fits(c));
    return c;
  }

 protected:
  /// A layer's line may request a placement that is impossible on every grid of this size; it is possible on the smallest grid.
  static bool fits(const DrawnCase& c) {
    try {
      const Deck deck(c.deck + c.parallel, "random");
      const Graph graph(deck);
      ParallelPlan(graph, deck, grid_shape(deck, c.ranks));
      return true;
    } catch (const Error&) {
      return false;
    }
  }
  std::array<std::int64_t, 3> extents(int dims) {
    std::array<std::int64_t, 3> e{1, 1, 1};
    for (int a = 3 - dims; a < 3 && one_sample_; ++a)
      e[static_cast<std::size_t>(a)] = dims == 1 ? draw_.in(90, 250) : dims == 2 ? draw_.in(13, 24) : draw_.in(7, 10);
    for (int a = 3 - dims; a < 3 && !one_sample_; ++a)
      e[static_cast<std::size_t>(a)] = dims == 1 ? draw_.in(4, 19) : dims == 2 ? draw_.in(3, 11) : draw_.in(2, 7);
    return e;
  }
  std::string number(int low, int high) { return std::to_string(draw_.in(low, high)); }
  std::string each(int low, int high) {
    const int dims = shape_.rank() - 1;
    if (draw_.one_of(2)) return number(low, high);
    std::string text;
    for (int d = 0; d < dims; ++d) text.append(d > 0 ? "," : "").append(number(low, high));
    return text;
  }
  std::string activation() {
    return smooth_ ? draw_.pick<std::string>({"tanh", "silu", "gelu", "sigmoid"})
                   : draw_.pick<std::string>({"relu", "relu", "tanh", "leaky_relu", "elu", "gelu", "softplus"});
  }
  std::string placement(bool flat) {
    std::string text;
    if (draw_.one_of(4)) text += " tensor=" + draw_.pick<std::string>({"column", "row", "whole"});
    if (!flat && draw_.one_of(8)) text += " spatial=whole";
    return text;
  }

  std::string spatial_line() {
    const int channels = static_cast<int>(shape_[0]);
    switch (more_kinds_ && draw_.one_of(2) ? draw_.in(16, 22) : draw_.in(0, 15)) {
      case 0:
      case 1:
      case 2:
      case 3: {
        int groups = 1;
        for (int g = draw_.in(1, 4); g > 1 && groups == 1; --g)
          if (channels % g == 0 && draw_.one_of(2)) groups = g;
        return "conv out=" + std::to_string(groups * draw_.in(1, groups > 1 ? 3 : 9)) + " kernel=" + each(1, 4) +
               " stride=" + (draw_.one_of(3) ? each(1, 3) : "1") + " padding=" + each(0, 3) + " dilation=" + (draw_.one_of(3) ? each(1, 2) : "1") +
               " groups=" + std::to_string(groups) + (draw_.one_of(4) ? " bias=false" : "") +
               (more_kinds_ && !draw_.one_of(3) ? " padding_mode=" + modes() : std::string()) + (groups == 1 ? placement(false) : std::string());
      }
      case 4:
        return "conv_transpose out=" + number(1, 6) + " kernel=" + each(1, 4) + " stride=" + each(1, 3) + " padding=" + each(0, 1) +
               " dilation=" + (draw_.one_of(3) ? "2" : "1") + placement(false);
      case 5:
        return std::string(smooth_ ? "avg_pool" : "max_pool") + " kernel=" + each(1, 3) + " stride=" + each(1, 3) + (draw_.one_of(3) ? " ceil_mode=true" : "");
      case 6:
        return "avg_pool kernel=" + each(2, 3) + " stride=" + each(1, 2) + " padding=" + number(0, 1) + (draw_.one_of(2) ? " ceil_mode=true" : "") +
               (draw_.one_of(2) ? " count_include_pad=false" : "");
      case 7:
        return shape_.size() > 400 ? activation() : "upsample scale=" + each(1, 3) + " mode=" + (draw_.one_of(2) ? "linear" : "nearest");
      case 8:
        batch_norm_ = true;
        return "batch_norm sync=true eps=" + eps_;
      case 9: {
        int groups = channels;
        while (channels % groups != 0 || (groups > 1 && draw_.one_of(2))) --groups;
        return "group_norm groups=" + std::to_string(channels % groups == 0 ? groups : 1) + " eps=" + eps_;
      }
      case 10:
        return "instance_norm affine=true eps=" + eps_;
      case 11:
        return std::string("layer_norm eps=") + eps_ + (draw_.one_of(2) ? " dims=1" : "");
      case 12:
        return draw_.one_of(2) ? "dropout p=0.3" : "scale factor=0.7";
      case 13: {
        std::vector<std::size_t> same;
        for (std::size_t v = 0; v + 1 < shapes_.size(); ++v)
          if (shapes_[v] == shape_) same.push_back(v);
        return same.empty() ? activation() : "add from=" + names_[draw_.pick(same)] + "," + names_.back();
      }
      case 14: {
        std::vector<std::size_t> same;
        for (std::size_t v = 0; v + 1 < shapes_.size(); ++v)
          if (shapes_[v].without_first() == shape_.without_first()) same.push_back(v);
        return same.empty() ? activation() : "concat from=" + names_[draw_.pick(same)] + "," + names_.back();
      }
      case 16:
        return "pad before=" + each(0, 3) + " after=" + each(0, 3) + " mode=" + modes();
      case 17:
        return "crop before=" + each(0, 1) + " after=" + each(0, 1);
      case 18:
        return "slice channels=" + std::to_string(channels / 3) + ":" + std::to_string(channels / 3 + (channels + 1) / 2);
      case 19: {  // inputs of the same extents, or with extents of 1
        std::vector<std::size_t> fit;
        for (std::size_t v = 0; v + 1 < shapes_.size(); ++v) {
          bool fits = shapes_[v].rank() == shape_.rank() || shapes_[v].rank() == 1;
          for (int a = 0; a < shapes_[v].rank() && fits; ++a) fits = shapes_[v][a] == 1 || shapes_[v][a] == shape_[a];
          if (fits) fit.push_back(v);
        }
        if (fit.empty()) return activation();
        const std::string other = names_[draw_.pick(fit)];
        return "multiply from=" + (draw_.one_of(2) ? other + "," + names_.back() : names_.back() + "," + other);
      }
      case 20:
        return smooth_ ? activation() : draw_.one_of(2) ? "prelu" : "prelu per_channel=true";
      case 21:
        return "adaptive_avg_pool out=" + each(1, 6);
      case 22:
        return "pixel_shuffle factor=" + each(1, 2);
      default:
        return activation();
    }
  }
  std::string modes() {
    std::string text;
    const int dims = shape_.rank() - 1;
    const bool single = draw_.one_of(2);
    for (int d = 0; d < (single ? 1 : dims); ++d)
      text.append(d > 0 ? "," : "").append(draw_.pick<std::string>({"zeros", "reflect", "replicate", "circular", "circular"}));
    return text;
  }

  /// A gate of a product: a branch from `from` to (C), or to one channel or row of pixels, and its product with the last value, as in squeeze-and-excitation.
  void add_gate() {
    const std::string last = names_.back();
    const Shape shape = shape_;
    const std::string channels = std::to_string(shape[0]);
    if (draw_.one_of(3)) {
      if (!add("adaptive_avg_pool out=1")) return;
      add("conv out=" + (draw_.one_of(2) ? std::string("1") : channels) + " kernel=1");
    } else if (draw_.one_of(2)) {
      if (!add("conv out=1 kernel=1")) return;
    } else {
      if (!add("global_avg_pool")) return;
      add("linear out=" + number(2, 4)), add(activation());
      add("linear out=" + channels);
    }
    add("sigmoid");
    const std::string gate = names_.back();
    if (!add("multiply from=" + (draw_.one_of(2) ? gate + "," + last : last + "," + gate))) throw internal_error("a gate that does not fit: {}", model_);
  }

  /// Appends a layer unless the network would not take it, or grow too large.
  bool add(const std::string& line) {
    const std::string name = "v" + std::to_string(names_.size());
    const auto space = line.find(' ');
    const std::string more = "layer = " + line.substr(0, space) + " name=" + name + (space == line.npos ? "" : line.substr(space)) + "\n";
    try {
      const Graph graph(Deck(model_ + more, "random"));
      if (keeps_extents_ && (graph.output().rank() < 2 || spatial_extents(graph.output()) != spatial_extents(shapes_.front()))) return false;
      if (graph.output().size() > (one_sample_ ? 6000 : 3000) || graph.output().size() < 1) return false;
      shape_ = graph.output();
    } catch (const Error&) {
      return false;
    }
    model_ += more;
    shapes_.push_back(shape_);
    names_.push_back(name);
    return true;
  }

  std::string optimizer(DrawnCase& c) {
    const std::string kind = draw_.pick<std::string>({"sgd", "sgd", "adam", "adamw", "rmsprop", "lars"});
    std::string text = "[optimizer]\nkind = " + kind + "\nlr = 0.02\n";
    if (kind == "sgd" || kind == "lars") text += "momentum = 0.9\n";
    // Gradients that are 0 but for rounding, as of biases before a norm, must not be blown up.
    if (kind != "sgd") text += "epsilon = 0.01\n";
    if (kind == "lars") text += "trust = 0.1\ndecay_biases = false\n";
    if (draw_.one_of(3)) text += "weight_decay = 0.01\n";
    if (draw_.one_of(3)) text += "clip_norm = 0.5\n";
    if (draw_.one_of(4)) text += "shard = true\n", c.shards = true;
    return text;
  }

  /// Of data, pipeline, tensor, spatial.
  std::string grid_text(const std::vector<int>& sizes) const {
    const auto size = [&](int axis) { return std::to_string(sizes[static_cast<std::size_t>(axis)]); };
    std::string text = "[parallel]\ndata = " + size(0) + "\npipeline = " + size(1) + "\ntensor = " + size(2) + "\nspatial = ";
    for (int d = 0; d < dims_; ++d) text.append(d > 0 ? "x" : "").append(size(3 + d));
    return text + "\n";
  }

  void grid(DrawnCase& c, int batch) {
    std::vector<int> sizes{1, 1, 1, 1, 1, 1};  // data, pipeline, tensor, spatial
    const int layers = static_cast<int>(names_.size()) - 1;
    for (int tries = draw_.in(2, 6), ranks = 1; tries > 0; --tries) {
      const int axis = draw_.in(0, 2 + dims_), factor = draw_.in(2, 3);
      if (ranks * factor > 8) continue;
      if (axis == 1 && sizes[1] * factor > layers) continue;
      sizes[static_cast<std::size_t>(axis)] *= factor;
      ranks *= factor;
    }
    c.ranks = sizes[0] * sizes[1] * sizes[2] * sizes[3] * sizes[4] * sizes[5];
    c.parallel = grid_text(sizes);
    if (batch_norm_)
      c.parallel += "micro_batches = 1\n";  // its moments would be those of micro-batches
    else if (draw_.one_of(3))
      c.parallel += "micro_batches = " + number(1, std::min(3, (batch + sizes[0] - 1) / sizes[0])) + "\n";
  }

  /// Spatial, with or without tensor; one sample per micro-batch.
  void grid_of_one_sample(DrawnCase& c, int batch) {
    std::vector<int> sizes(static_cast<std::size_t>(dims_), 1);
    int split = 1;
    for (int tries = draw_.in(1, 3); tries > 0 || split == 1; --tries)
      if (const int factor = draw_.in(2, 4); split * factor <= 8) sizes[static_cast<std::size_t>(draw_.in(0, dims_ - 1))] *= factor, split *= factor;
    const int tensor = split <= 4 && draw_.one_of(4) ? 2 : 1;
    c.ranks = split * tensor;
    c.parallel = "[parallel]\ntensor = " + std::to_string(tensor) + "\nspatial = ";
    for (int d = 0; d < dims_; ++d) c.parallel.append(d > 0 ? "x" : "").append(std::to_string(sizes[static_cast<std::size_t>(d)]));
    c.parallel += "\nmicro_batches = " + std::to_string(batch) + "\n";
  }

  Draw draw_;
  bool one_sample_, more_kinds_;
  bool smooth_ = false, batch_norm_ = false;
  bool keeps_extents_ = false;  // no layer changes the pixels
  std::string eps_, model_;
  int dims_ = 1;
  Shape shape_;
  std::vector<Shape> shapes_;
  std::vector<std::string> names_;
};

/// The rows of a case, the same from the same seed.
inline void make_rows(const std::filesystem::path& file, const DrawnCase& c, std::uint64_t seed) {
  ShardWriter::Options options;
  options.sample = c.input;
  options.feature_type = ElementType::f64;
  if (!c.classes) options.label = c.label.rank() > 0 ? c.label : c.output;
  options.label_type = c.classes ? ElementType::i32 : ElementType::f64;
  Draw draw(seed, 0x726F7773);
  std::vector<double> features(static_cast<std::size_t>(c.rows * c.input.size())), values;
  for (double& x : features) x = c.unit ? 0.5 + 0.1 * std::clamp(draw.normal(), -5.0, 5.0) : draw.normal();
  std::vector<std::int32_t> classes;
  for (int r = 0; r < c.rows && c.classes; ++r) classes.push_back(draw.in(0, static_cast<int>(c.output[0]) - 1));
  if (!c.classes) values.resize(static_cast<std::size_t>(c.rows * options.label.size()));
  for (double& y : values)
    y = c.map_classes > 0             ? draw.in(c.ignores ? -1 : 0, c.map_classes - 1)
        : c.ignores && draw.one_of(4) ? -1
        : c.unit                      ? 0.5 + 0.1 * std::clamp(draw.normal(), -5.0, 5.0)
                                      : 0.5 + 0.1 * draw.normal();
  ShardWriter writer(file, c.rows, options);
  writer.append(std::as_bytes(std::span<const double>(features)),
                c.classes ? std::as_bytes(std::span<const std::int32_t>(classes)) : std::as_bytes(std::span<const double>(values)));
  writer.finish();
}

}  // namespace trireme::test
