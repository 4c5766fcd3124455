// Augmentation of training samples. Moves (data.shift, crop, flip, rotate) are those of features, and of labels that have the pixels of the features. Changes
// of values (data.brightness, contrast, erase) are those of features alone.
#pragma once

#include <optional>
#include <string>

#include "config/deck.hpp"
#include "data/data_set.hpp"
#include "kokkos_kernels/batch.hpp"

namespace trireme {

/// Moves of samples of shape `input`; empty if the deck has none. Usage errors name the key.
std::optional<Augmentation> augmentation_of(const Deck& deck, const Shape& input);

/// Augmentation of labels that are numbers, together with their samples.
struct LabelAugmentation {
  Augmentation moves;
  Shape shape;  // of the augmented part of a label: (channels, D, H, W)
  bool flat;    // the network's output is one flat list of these numbers, so targets are channels first
};

/// Empty if labels are not augmented: the deck has no moves, labels are classes or the features themselves, or labels have no pixels. Labels have the shape of
/// the output or, if the output is flat, the stored shape. Along each axis of a move labels must have as many pixels as the input (or one pixel, if the axis is
/// only flipped or shifted, or if both axes of a rotated plane have one). Otherwise a usage error names the axis.
std::optional<LabelAugmentation> label_augmentation(const Deck& deck, const DataSet& data, const Shape& input, const Shape& output);

/// Whether the augmented pixels of a box come from the same box, for samples of these extents.
bool moves_within(const Augmentation& augmentation, const Box& box);

/// Changes of values of samples of shape `input`; empty if the deck has none. Usage errors name the key.
std::optional<ColorJitter> color_jitter_of(const Deck& deck);
std::optional<Erasing> erasing_of(const Deck& deck, const Shape& input);

/// Mixup (Zhang et al. 2018) of the samples of one pass: pairs and shares as mix_pairs() takes them. The share is of the distribution Beta(alpha, alpha).
struct Mixup {
  std::int64_t turn = 0;
  double share = 1;

  /// `n`: samples of the pass, at least 1. The numbers depend on (key, first_sample) alone.
  static Mixup drawn(double alpha, std::int64_t n, std::uint64_t key, std::int64_t first_sample);
};

/// One line for the log: what is augmented and what is not. Empty without augmentation.
std::string augmentation_text(const Deck& deck, const DataSet& data, const Shape& input, const Shape& output);

}  // namespace trireme
