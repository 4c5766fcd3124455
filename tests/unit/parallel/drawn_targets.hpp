// Random targets: labels with pixels, lists of numbers, classes, the features themselves; with augmentation, noise, virtual ranks, all losses, and networks
// with every layout of their output.
#pragma once

#include "drawn.hpp"

namespace trireme::test {

/// Cases with this number or higher are of this kind, up to first_of_more_kinds.
constexpr std::uint64_t first_of_targets = 2000000;
/// And with this number or higher: outputs with pixels, and every loss that they can have.
constexpr std::uint64_t first_of_losses = 2500000;

class TargetCaseMaker : private CaseMaker {
 public:
  TargetCaseMaker(std::uint64_t seed, std::uint64_t number) : CaseMaker(seed, number % first_of_one_sample), any_loss_(number >= first_of_losses) {}

  DrawnCase make() {
    DrawnCase c;
    c.evaluates = true;
    c.fp64 = !draw_.one_of(5);
    smooth_ = !c.fp64;
    eps_ = c.fp64 ? "1e-3" : "0.1";
    dims_ = draw_.in(1, 3);
    c.input = spatial_shape(draw_.in(1, 3), extents(dims_), dims_);
    shape_ = c.input;
    shapes_ = {c.input};
    names_ = {"input"};
    model_ = "[model]\ninput = " + c.input.text() + "\n";
    const int kind = any_loss_ ? draw_.in(4, 5) : draw_.in(0, 7);  // 0 to 3: features, 4 and 5: pixels, 6: a list, 7: classes
    c.own_target = kind < 4;
    c.classes = kind == 7;
    const std::string loss = c.classes ? "cross_entropy" : draw_.pick<std::string>({"mse", "mse", c.fp64 ? "mae" : "mse", "bce", "bce_with_logits"});
    c.unit = loss == "bce" || loss == "bce_with_logits";
    keeps_extents_ = kind < 6 && !draw_.one_of(3);
    const int wanted = draw_.in(1, 4);
    for (int made = 0, tries = 0; made < wanted && tries < 60; ++tries) made += add(spatial_line()) ? 1 : 0;
    const bool same_pixels = shape_.rank() > 1 && spatial_extents(shape_) == spatial_extents(c.input);
    keeps_extents_ = false;
    if (kind < 4 && same_pixels)
      end_with_pixels(c.input[0]);
    else if (kind < 4)
      end_by_reshape(c.input);
    else if (kind < 6)
      end_with_pixels(any_loss_ ? draw_.in(2, 4) : draw_.in(1, 3));
    else
      end_flat();
    if (loss == "bce") add("sigmoid");
    bool follows = kind > 5 || c.own_target || same_pixels;
    if (any_loss_) {
      choose_loss(c);
    } else if (kind == 4 || kind == 5) {
      c.label = shape_[0] == 1 && draw_.one_of(2) ? shape_.without_first() : draw_.one_of(3) ? Shape{shape_.size()} : shape_;
      if (c.label.rank() > 1 && same_pixels && draw_.one_of(3)) add("flatten");  // seen with the pixels that the files say
    }
    c.output = shape_;
    const int batch = draw_.in(1, 6);
    c.rows = 3 * batch - (batch > 1 ? draw_.in(0, batch - 1) : 0);
    c.deck = model_ + "[loss]\n" + (any_loss_ ? loss_ : "kind = " + loss + "\n") + optimizer(c);
    c.deck += std::string("[train]\nepochs = 1\nevaluate_every = 0\nprecision = ") + (c.fp64 ? "fp64\n" : "fp32\n");
    c.deck += "[data]\nbatch = " + std::to_string(batch) + "\ntest_batch = " + number(0, 5) + "\n";
    if (c.own_target) c.deck += "target = features\n";
    if (draw_.one_of(4)) c.deck += "cache = 0\n";
    // What is cropped is exactly 0 in features and target; mae's gradient has a step where the two meet.
    if (follows && loss != "mae" && draw_.one_of(2)) c.deck += "crop = " + number(1, 2) + "\n";
    if (follows && draw_.one_of(2)) c.deck += draw_.one_of(2) || dims_ < 2 ? "flip = x\n" : dims_ == 2 ? "flip = x,y\n" : "flip = y,z\n";
    if (draw_.one_of(2)) c.deck += "noise = 0.1\n";
    const std::string without_virtual_ranks = c.deck;
    do {
      c.deck = without_virtual_ranks;
      grid_of_targets(c, batch);
    } while (!fits(c));
    return c;
  }

 private:
  /// Sets loss_ and the labels for an output with pixels of at least two channels.
  void choose_loss(DrawnCase& c) {
    const Shape map = shape_.without_first().with_first(1);
    const std::string weights = shape_[0] == 2 ? "1, 2" : shape_[0] == 3 ? "1, 2, 0.5" : "1, 2, 0.5, 3";
    c.label = shape_;
    c.ignores = draw_.one_of(2);
    const std::string ignore = c.ignores ? "ignore = -1\n" : "";
    const auto classes = [&](const std::string& kind) {
      c.label = map;
      c.map_classes = static_cast<int>(shape_[0]);
      loss_ = "kind = " + kind + "\n" + ignore;
    };
    switch (draw_.in(0, 9)) {
      case 0:
        classes("cross_entropy");
        break;
      case 1:
        classes("cross_entropy");
        loss_ += "label_smoothing = 0.1\nclass_weights = " + weights + "\n";
        break;
      case 2:
        classes("dice");
        break;
      case 3:
        classes("focal");
        loss_ += "class_weights = " + weights + "\n";
        break;
      case 4:
        c.unit = true, c.ignores = false;
        loss_ = "kind = cross_entropy\ntargets = probabilities\n";
        break;
      case 5:
        c.unit = true;
        loss_ = std::string("kind = ") + (draw_.one_of(2) ? "dice" : "focal") + "\ntargets = probabilities\n" + ignore;
        break;
      case 6:
        c.unit = true;
        loss_ = "kind = bce_with_logits\npos_weight = 3\n" + ignore;
        break;
      case 7:
        loss_ = "kind = relative_l2\n" + ignore;
        break;
      case 8:
        add("softplus");
        if (shape_[0] % 2 == 0)
          loss_ = "kind = gaussian_nll\neps = 0.1\n" + ignore, c.label[0] = shape_[0] / 2;
        else
          loss_ = "kind = smooth_l1\n" + ignore;
        break;
      default:
        loss_ = "kind = huber\n" + ignore;
        if (shape_.rank() > 2) loss_ += "reduction_weights = latitude\n";
    }
  }
  void end_with_pixels(std::int64_t channels) {
    const std::string conv = "conv out=" + std::to_string(channels) + (draw_.one_of(3) ? " kernel=1" : " kernel=3 padding=1");
    switch (draw_.in(0, 6)) {
      case 0:
        add(conv + " spatial=whole");
        break;
      case 1:
        add(conv), add("layer_norm eps=" + eps_);
        break;
      case 2: {
        add(conv);
        const Shape made = shape_;
        add("reshape shape=" + std::to_string(made.size())), add("reshape shape=" + made.text());
        break;
      }
      case 3:
        add(conv + " tensor=column");
        break;
      case 4:
        add(conv), add(activation());
        break;
      default:
        add(conv + placement(false));
    }
    if (shape_[0] != channels) add("conv out=" + std::to_string(channels) + " kernel=1");  // the network became too large for that
  }
  void end_by_reshape(const Shape& to) {
    add("flatten");
    add("linear out=" + number(2, 5) + placement(true));
    add("linear out=" + std::to_string(to.size()) + (draw_.one_of(2) ? " tensor=column" : ""));
    add("reshape shape=" + to.text());
    if (draw_.one_of(3)) add("conv out=" + std::to_string(to[0]) + " kernel=1");
  }
  void end_flat() {
    add(draw_.one_of(2) ? "global_avg_pool" : "flatten");
    add("linear out=" + number(2, 6) + (draw_.one_of(2) ? " tensor=column" : placement(true)));
  }

  /// Pixels are split more often than anything else.
  void grid_of_targets(DrawnCase& c, int batch) {
    std::vector<int> sizes{1, 1, 1, 1, 1, 1};
    const int most = draw_.one_of(4) ? 8 : 4, layers = static_cast<int>(names_.size()) - 1;
    for (int tries = draw_.in(2, 5), ranks = 1; tries > 0; --tries) {
      const int axis = draw_.one_of(2) ? draw_.in(3, 2 + dims_) : draw_.in(0, 2), factor = draw_.one_of(4) ? 3 : 2;
      if (ranks * factor > most || (axis == 1 && sizes[1] * factor > layers)) continue;
      sizes[static_cast<std::size_t>(axis)] *= factor;
      ranks *= factor;
    }
    c.ranks = sizes[0] * sizes[1] * sizes[2] * sizes[3] * sizes[4] * sizes[5];
    c.parallel = grid_text(sizes);
    // Norms summed over a ZeRO partition exclude virtual ranks.
    const int slices = !batch_norm_ && sizes[0] <= batch && draw_.one_of(4) && !c.shards ? draw_.in(sizes[0], batch) : 0;
    if (slices > 0) c.deck += "virtual_ranks = " + std::to_string(slices) + "\n";
    const int parts = slices > 0 ? slices : sizes[0];  // of the batch; each is cut into micro-batches
    if (batch_norm_)
      c.parallel += "micro_batches = 1\n";
    else if (draw_.one_of(3))
      c.parallel += "micro_batches = " + number(1, std::min(3, (batch + parts - 1) / parts)) + "\n";
  }

  bool any_loss_;
  std::string loss_;
};

inline DrawnCase drawn_case(std::uint64_t seed, std::uint64_t number) {
  return number >= first_of_targets && number < first_of_more_kinds ? TargetCaseMaker(seed, number).make() : CaseMaker(seed, number).make();
}

}  // namespace trireme::test
