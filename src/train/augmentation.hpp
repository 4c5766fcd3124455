// What data.flip and data.crop move in training: the features, and labels that have the features' pixels.
#pragma once

#include <optional>
#include <string>

#include "config/deck.hpp"
#include "data/data_set.hpp"
#include "kokkos_kernels/batch.hpp"

namespace trireme {

/// Flips and crops of samples of the shape `input`; nothing where the deck asks for none. Usage errors name the key.
std::optional<Augmentation> augmentation_of(const Deck& deck, const Shape& input);

/// How labels that are numbers move with their samples.
struct LabelAugmentation {
  Augmentation moves;
  Shape shape;          // of a label, as far as it moves: (channels, D, H, W)
  bool flat;            // the network's output is one list of these numbers, so that targets are channels first
};

/// Nothing where no label moves: the deck asks for no flip or crop, labels are classes or the features themselves, or they have no pixels.
/// Pixels are seen in the output's shape or, where the output is flat, in the shape that the labels are stored in. Along each axis that is flipped or
/// cropped labels have as many pixels as the input (or one, where it is flipped only). A usage error says which axis does not fit.
std::optional<LabelAugmentation> label_augmentation(const Deck& deck, const DataSet& data, const Shape& input, const Shape& output);

/// Whether a box of samples of these extents gets its pixels from the same box.
bool moves_within(const Augmentation& augmentation, const Box& box);

/// One line for the log: what is moved and what is not. Empty where the deck asks for no flip or crop.
std::string augmentation_text(const Deck& deck, const DataSet& data, const Shape& input, const Shape& output);

}  // namespace trireme
