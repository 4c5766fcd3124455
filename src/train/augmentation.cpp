#include "train/augmentation.hpp"

#include <algorithm>
#include <cmath>
#include <string_view>

#include "base/error.hpp"
#include "base/random.hpp"
#include "base/text.hpp"
#include "layers/spatial.hpp"

namespace trireme {

namespace {

constexpr std::string_view axis_names = "zyx";

using Extents = std::array<std::int64_t, 3>;

/// Stored shape of one label, from the first shard with rows.
Shape stored_label(const DataSet& data) {
  const auto& shards = data.shards();
  const auto shard = std::ranges::find_if(shards, [](const ShardInfo& info) { return info.rows > 0; });
  return shard == shards.end() ? Shape{} : shard->label;
}

/// Stored shape of labels for a flat output: their last extents, at most as many as the input has spatial dimensions, right-aligned. Empty if labels
/// are a list themselves.
std::optional<Extents> pixels_of_stored(const Shape& label, const Shape& input) {
  const int dims = input.rank() - 1, held = std::min(label.rank(), dims);
  Extents extents{1, 1, 1};
  for (int d = 0; d < held; ++d) extents[static_cast<std::size_t>(2 - d)] = label[label.rank() - 1 - d];
  if (held == dims && extents == spatial_extents(input)) return extents;
  const auto longer = std::ranges::count_if(label.span(), [](std::int64_t extent) { return extent > 1; });
  return longer > 1 ? std::optional(extents) : std::nullopt;
}

void require_pixels(const char* keys, const Shape& input) {
  if (input.rank() < 2 || input.rank() > 4)
    throw usage_error("{} need samples with channels and 1 to 3 spatial dimensions, as in 3x32x32; model.input is {}", keys, input.text());
}

/// The axis of this name, 0 to 2.
std::size_t axis_of(const std::string& name, const char* key, const Deck& deck, const Shape& input) {
  const int dims = input.rank() - 1;
  const std::size_t axis = name.size() == 1 ? axis_names.find(name) : axis_names.npos;
  if (axis == axis_names.npos || static_cast<int>(axis) < 3 - dims)
    throw usage_error("{} = {}: '{}' is not an axis of model.input = {}. Expected {}", key, deck.text(key), name, input.text(),
                      dims == 1   ? "x (the last axis)"
                      : dims == 2 ? "x (the last axis), y"
                                  : "x (the last axis), y, z");
  return axis;
}

/// The plane of two axes, as in y-x: its index in Augmentation::rotate.
std::size_t plane_of(const std::string& name, const Deck& deck, const Shape& input) {
  const int dims = input.rank() - 1;
  if (name.size() != 3 || name[1] != '-' || name[0] == name[2] || dims < 2)
    throw usage_error("data.rotate = {}: '{}' is not a plane of model.input = {}. Expected {}", deck.text("data.rotate"), name, input.text(),
                      dims < 2    ? "samples with at least two spatial dimensions"
                      : dims == 2 ? "y-x"
                                  : "y-x, z-x, z-y, or several of them");
  const std::size_t one = axis_of(name.substr(0, 1), "data.rotate", deck, input), other = axis_of(name.substr(2), "data.rotate", deck, input);
  const Extents extents = spatial_extents(input);
  if (extents[one] != extents[other])
    throw usage_error(
        "data.rotate = {}: model.input = {} has {} pixels along {} and {} along {}. A quarter turn needs as many along both axes. Hint: use data.flip",
        deck.text("data.rotate"), input.text(), extents[one], axis_names[one], extents[other], axis_names[other]);
  return 3 - one - other == 0 ? 0 : 3 - one - other == 1 ? 1 : 2;
}

/// The logarithm of a random number of the gamma distribution with this shape: Marsaglia and Tsang 2000 for shape + 1, times a power of a uniform number. The
/// logarithm does not underflow for small shapes.
double log_gamma_number(RandomStream& random, double shape) {
  const double d = shape + 1 - 1.0 / 3, c = 1 / std::sqrt(9 * d);
  for (;;) {
    const double x = random.normal(), v = std::pow(1 + c * x, 3), u = 1 - random.uniform();
    if (v > 0 && std::log(u) < x * x / 2 + d * (1 - v + std::log(v))) return std::log(d * v) + std::log(1 - random.uniform()) / shape;
  }
}

/// The moves that the deck asks for, as it says them.
std::string moves_text(const Deck& deck) {
  std::string asked;
  for (const char* key : {"data.flip", "data.crop", "data.shift", "data.rotate"})
    if (const std::string& value = deck.text(key); !value.empty() && value != "0") asked += fmt::format("{}{} = {}", asked.empty() ? "" : ", ", key, value);
  return asked;
}

/// The same for changes of values.
std::string changes_text(const Deck& deck) {
  std::string asked;
  for (const char* key : {"data.brightness", "data.contrast", "data.erase"})
    if (deck.real(key) > 0) asked += fmt::format("{}{} = {}", asked.empty() ? "" : ", ", key, deck.text(key));
  return asked;
}

bool rotates_axis(const Augmentation& augmentation, std::size_t axis) {
  for (std::size_t p = 0; p < 3; ++p)
    if (augmentation.rotate[p] && (Augmentation::planes[p][0] == static_cast<int>(axis) || Augmentation::planes[p][1] == static_cast<int>(axis))) return true;
  return false;
}

/// Whether labels have one pixel along both axes of each rotated plane with this axis.
bool turns_single_pixels(const Augmentation& augmentation, std::size_t axis, const Extents& pixels) {
  for (std::size_t p = 0; p < 3; ++p) {
    const auto first = static_cast<std::size_t>(Augmentation::planes[p][0]), second = static_cast<std::size_t>(Augmentation::planes[p][1]);
    if (augmentation.rotate[p] && (first == axis || second == axis) && (pixels[first] > 1 || pixels[second] > 1)) return false;
  }
  return true;
}

std::string text_of(const Extents& extents, int dims) {
  std::string text;
  for (int a = 3 - dims; a < 3; ++a) text += fmt::format("{}{}", text.empty() ? "" : "x", extents[static_cast<std::size_t>(a)]);
  return text;
}

}  // namespace

std::optional<Augmentation> augmentation_of(const Deck& deck, const Shape& input) {
  Augmentation augmentation;
  const std::int64_t crop = deck.integer("data.crop");
  const auto flips = split(deck.text("data.flip"), ','), shifts = split(deck.text("data.shift"), ','), planes = split(deck.text("data.rotate"), ',');
  const int dims = input.rank() - 1;
  if (crop == 0 && flips.empty() && shifts.empty() && planes.empty()) return std::nullopt;
  require_pixels("data.flip, data.crop, data.shift and data.rotate", input);
  for (int d = 0; d < dims; ++d) augmentation.extents[3 - dims + d] = input[1 + d];
  for (int axis = 3 - dims; axis < 3; ++axis) augmentation.crop[axis] = crop;
  const std::string& fill = deck.text("data.crop_fill");
  augmentation.fill = fill == "mean" ? Augmentation::Fill::mean : fill == "edge" ? Augmentation::Fill::edge : Augmentation::Fill::zero;
  for (const std::string& name : flips) augmentation.flip[axis_of(name, "data.flip", deck, input)] = true;
  for (const std::string& name : shifts) augmentation.shift[axis_of(name, "data.shift", deck, input)] = true;
  for (const std::string& name : planes) augmentation.rotate[plane_of(name, deck, input)] = true;
  return augmentation;
}

std::optional<ColorJitter> color_jitter_of(const Deck& deck) {
  const ColorJitter jitter{.brightness = deck.real("data.brightness"), .contrast = deck.real("data.contrast")};
  return jitter.brightness > 0 || jitter.contrast > 0 ? std::optional(jitter) : std::nullopt;
}

std::optional<Erasing> erasing_of(const Deck& deck, const Shape& input) {
  Erasing erasing{.probability = deck.real("data.erase")};
  if (erasing.probability == 0) return std::nullopt;
  require_pixels("data.erase", input);
  const Extents extents = spatial_extents(input);
  for (std::size_t a = 0; a < 3; ++a)
    erasing.longest[a] = std::max<std::int64_t>(1, static_cast<std::int64_t>(deck.real("data.erase_size") * static_cast<double>(extents[a])));
  return erasing;
}

Mixup Mixup::drawn(double alpha, std::int64_t n, std::uint64_t key, std::int64_t first_sample) {
  RandomStream random(mix(key, 4), static_cast<std::uint64_t>(first_sample));
  Mixup mixup{.turn = static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(n)))};
  const double one = log_gamma_number(random, alpha), other = log_gamma_number(random, alpha);
  mixup.share = 1 / (1 + std::exp(other - one));
  return mixup;
}

std::optional<LabelAugmentation> label_augmentation(const Deck& deck, const DataSet& data, const Shape& input, const Shape& output) {
  if (data.labels().kind != LabelDemand::Kind::values) return std::nullopt;
  const auto of_features = augmentation_of(deck, input);
  if (!of_features) return std::nullopt;
  const bool flat = output.rank() == 1;
  const auto seen = flat ? pixels_of_stored(stored_label(data), input) : std::optional(spatial_extents(output));
  if (!seen || *seen == Extents{1, 1, 1}) return std::nullopt;

  const Extents of_input = spatial_extents(input);
  LabelAugmentation labels{*of_features, spatial_shape(output.size() / ((*seen)[0] * (*seen)[1] * (*seen)[2]), *seen, 3), flat};
  if (data.labels().ignored) labels.moves.fill = Augmentation::Fill::mean, labels.moves.padding = *data.labels().ignored;  // padding is no target
  for (std::size_t a = 0; a < 3; ++a) {
    labels.moves.extents[a] = (*seen)[a];
    if ((*seen)[a] == of_input[a]) continue;
    const bool cropped = labels.moves.crop[a] > 0, flipped = labels.moves.flip[a] && (*seen)[a] > 1, shifted = labels.moves.shift[a] && (*seen)[a] > 1,
               rotated = rotates_axis(*of_features, a) && !turns_single_pixels(*of_features, a, *seen);
    if (cropped || flipped || shifted || rotated) {
      const int dims = std::max(input.rank() - 1, output.rank() - 1);
      const char* const key = cropped ? "data.crop" : flipped ? "data.flip" : shifted ? "data.shift" : "data.rotate";
      throw usage_error(
          "{} moves pixels of model.input = {} along {}. Labels have {} pixels and samples have {}, so labels cannot be moved with samples. "
          "Hint: store labels with as many pixels as the input, set {}, or, if labels are not pixels, store one flat list per sample and end the "
          "network with a flat output",
          fmt::format("{} = {}", key, deck.text(key)), input.text(), axis_names[a], text_of(*seen, dims), text_of(of_input, dims),
          cropped ? "data.crop = 0" : fmt::format("{} to other axes", key));
    }
    labels.moves.flip[a] = labels.moves.shift[a] = false;  // one pixel covers all of the sample's pixels along this axis: such moves do not change it
  }
  for (std::size_t p = 0; p < 3; ++p)
    if ((*seen)[static_cast<std::size_t>(Augmentation::planes[p][0])] != of_input[static_cast<std::size_t>(Augmentation::planes[p][0])])
      labels.moves.rotate[p] = false;
  return labels;
}

bool moves_within(const Augmentation& augmentation, const Box& box) {
  for (std::size_t a = 0; a < 3; ++a)
    if (box.extent[a] != augmentation.extents[a] &&
        (augmentation.flip[a] || augmentation.crop[a] > 0 || augmentation.shift[a] || rotates_axis(augmentation, a)))
      return false;
  return true;
}

namespace {

/// What is moved and what is not; empty without moves.
std::string moved_text(const Deck& deck, const DataSet& data, const Shape& input, const Shape& output) {
  if (!augmentation_of(deck, input)) return {};
  const std::string asked = moves_text(deck);
  switch (data.labels().kind) {
    case LabelDemand::Kind::features:
      return fmt::format("{}: applied to the features, which are also the targets", asked);
    case LabelDemand::Kind::values:
      break;
    default:
      return fmt::format("{}: applied to features; class labels do not change", asked);
  }
  const auto labels = label_augmentation(deck, data, input, data.labels().target_shape(output));
  if (!labels) return fmt::format("{}: applied to features; labels ({} number(s) per sample) are not pixels and do not change", asked, output.size());
  const Extents pixels = spatial_extents(labels->shape);
  return fmt::format("{}: applied to features and to labels of {} channel(s) of {} pixels", asked, labels->shape[0],
                     text_of(pixels, std::max(input.rank() - 1, output.rank() - 1)));
}

}  // namespace

std::string augmentation_text(const Deck& deck, const DataSet& data, const Shape& input, const Shape& output) {
  const std::string moves = moved_text(deck, data, input, output), changes = changes_text(deck);
  if (changes.empty()) return moves;
  const bool targets = data.labels().kind == LabelDemand::Kind::features;
  return fmt::format("{}{}{}: applied to features{}", moves, moves.empty() ? "" : "; ", changes,
                     targets ? ", which are also the targets; data.erase to the input alone" : "; labels do not change");
}

}  // namespace trireme
