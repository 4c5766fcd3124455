#include "train/augmentation.hpp"

#include <algorithm>
#include <string_view>

#include "base/error.hpp"
#include "base/text.hpp"
#include "layers/spatial.hpp"

namespace trireme {

namespace {

constexpr std::string_view axis_names = "zyx";

using Extents = std::array<std::int64_t, 3>;

/// The shape of one label as the files have it: of the first shard that has rows.
Shape stored_label(const DataSet& data) {
  const auto& shards = data.shards();
  const auto shard = std::ranges::find_if(shards, [](const ShardInfo& info) { return info.rows > 0; });
  return shard == shards.end() ? Shape{} : shard->label;
}

/// Of labels whose output is a flat list: their last extents, at most as many as the input has spatial dimensions, right-aligned. Nothing where they are
/// a list themselves.
std::optional<Extents> pixels_of_stored(const Shape& label, const Shape& input) {
  const int dims = input.rank() - 1, held = std::min(label.rank(), dims);
  Extents extents{1, 1, 1};
  for (int d = 0; d < held; ++d) extents[static_cast<std::size_t>(2 - d)] = label[label.rank() - 1 - d];
  if (held == dims && extents == spatial_extents(input)) return extents;
  const auto longer = std::ranges::count_if(label.span(), [](std::int64_t extent) { return extent > 1; });
  return longer > 1 ? std::optional(extents) : std::nullopt;
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
  const auto flips = split(deck.text("data.flip"), ',');
  const int dims = input.rank() - 1;
  if (crop == 0 && flips.empty()) return std::nullopt;
  if (dims < 1 || dims > 3)
    throw usage_error("data.flip and data.crop need samples of channels and 1 to 3 dimensions, as 3x32x32; model.input is {}", input.text());
  for (int d = 0; d < dims; ++d) augmentation.extents[3 - dims + d] = input[1 + d];
  for (int axis = 3 - dims; axis < 3; ++axis) augmentation.crop[axis] = crop;
  const std::string& fill = deck.text("data.crop_fill");
  augmentation.fill = fill == "mean" ? Augmentation::Fill::mean : fill == "edge" ? Augmentation::Fill::edge : Augmentation::Fill::zero;
  for (const std::string& name : flips) {
    const std::size_t axis = name.size() == 1 ? axis_names.find(name) : axis_names.npos;
    if (axis == axis_names.npos || static_cast<int>(axis) < 3 - dims)
      throw usage_error("data.flip = {}: '{}' is no axis of model.input = {}. Expected {}", deck.text("data.flip"), name, input.text(),
                        dims == 1 ? "x (the last one)" : dims == 2 ? "x (the last one), y" : "x (the last one), y, z");
    augmentation.flip[axis] = true;
  }
  return augmentation;
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
  for (std::size_t a = 0; a < 3; ++a) {
    labels.moves.extents[a] = (*seen)[a];
    if ((*seen)[a] == of_input[a]) continue;
    const bool cropped = labels.moves.crop[a] > 0, flipped = labels.moves.flip[a];
    if (cropped || (flipped && (*seen)[a] > 1)) {
      const int dims = std::max(input.rank() - 1, output.rank() - 1);
      throw usage_error("{} moves pixels of model.input = {} along {}, and labels have {} pixels where samples have {}, so the labels cannot follow. Hint: "
                        "store labels with the input's pixels, set {}, or, if the labels' numbers are no pixels, store them as one list a sample and end "
                        "the network with a flat output",
                        cropped ? fmt::format("data.crop = {}", deck.text("data.crop")) : fmt::format("data.flip = {}", deck.text("data.flip")), input.text(),
                        axis_names[a], text_of(*seen, dims), text_of(of_input, dims), cropped ? "data.crop = 0" : "data.flip to other axes");
    }
    labels.moves.flip[a] = false;  // one pixel, of all that the samples have along this axis: it is the same turned round
  }
  return labels;
}

bool moves_within(const Augmentation& augmentation, const Box& box) {
  for (std::size_t a = 0; a < 3; ++a)
    if (box.extent[a] != augmentation.extents[a] && (augmentation.flip[a] || augmentation.crop[a] > 0)) return false;
  return true;
}

std::string augmentation_text(const Deck& deck, const DataSet& data, const Shape& input, const Shape& output) {
  if (!augmentation_of(deck, input)) return {};
  std::string asked;
  if (const std::string& flips = deck.text("data.flip"); !flips.empty()) asked = "data.flip = " + flips;
  if (deck.integer("data.crop") > 0) asked += fmt::format("{}data.crop = {}", asked.empty() ? "" : ", ", deck.text("data.crop"));
  switch (data.labels().kind) {
    case LabelDemand::Kind::features: return fmt::format("{}: targets are the features and move with them", asked);
    case LabelDemand::Kind::values: break;
    default: return fmt::format("{}: features move, class labels stay as they are", asked);
  }
  const auto labels = label_augmentation(deck, data, input, output);
  if (!labels) return fmt::format("{}: features move; labels stay as they are, for their {} number(s) a sample are no pixels", asked, output.size());
  const Extents pixels = spatial_extents(labels->shape);
  return fmt::format("{}: features move, and with them labels, of {} channel(s) of {} pixels", asked, labels->shape[0],
                     text_of(pixels, std::max(input.rank() - 1, output.rank() - 1)));
}

}  // namespace trireme
