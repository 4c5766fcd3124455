// From a host batch to the network's input and the loss's targets on the device: one cast, scaled, normalised, channels-last, and in
// training augmented. Where the features are their own target, that is the input before the noise. Each lies as the network's input and output do: the
// output's pixels may all be here where the input's are split, and the other way round.
#pragma once

#include <optional>
#include <span>

#include "config/deck.hpp"
#include "data/batch_stream.hpp"
#include "kokkos_kernels/batch.hpp"
#include "kokkos_kernels/region.hpp"
#include "layers/layer.hpp"
#include "train/augmentation.hpp"

namespace trireme {

/// What a batch's labels have become; the one that the loss does not use is empty.
template <class T>
struct Targets {
  Span<const std::int32_t> classes;  // (n)
  Span<const T> values;              // (n, ..., C), channels-last like the output
};

/// What of each sample this rank's part of the network takes.
struct StagedPart {
  std::optional<Box> input_slab = {}, output_slab = {};  // boxes of the extents of input and output; nothing: all
  bool features = true;                        // fill the input (a pipeline's first stage)
  bool targets = true;                         // make the targets (its last)
  bool augments = true;                        // for training: labels that have the features' pixels are flipped and cropped with them

  /// The box of the features that holds all that is taken of them; nothing: all. `own_target`: of features that are their own target too.
  std::optional<Box> features_slab(bool own_target) const {
    const bool to_targets = targets && own_target;
    if (features && to_targets) return input_slab == output_slab ? input_slab : std::nullopt;
    return to_targets ? output_slab : input_slab;
  }
};

template <class T>
class BatchStager {
 public:
  /// Normalisation and augmentation from the deck's [data] scale, mean, std; flip, crop, noise. `samples`: the most a batch has. What the data set was
  /// asked for decides what the targets are. Usage errors name the key.
  /// Of `part` only that is made, whether batches hold whole samples or BatchStream's slabs: StagedPart::features_slab of the features, the output's of
  /// labels.
  BatchStager(const Deck& deck, const DataSet& data, const Shape& input, const Shape& output, std::int64_t samples, const StagedPart& part = {});

  /// Whether training needs no more than this box of the features of a sample of this shape: nothing moves pixels along a dimension that is split. Where
  /// not, the stream must give whole samples, of which the stager makes its box. (Evaluation moves none.)
  static bool reads_slab(const Deck& deck, const Shape& shape, const Box& box);

  /// Starts the copy of the batch that load() will be called with next to the device, beside what runs there; the batch's rows are not read any more
  /// afterwards. What the load before the last one launched must have ended. On the host there is nothing to do.
  void stage(const HostBatch& batch);
  /// Fills `input` with this rank's part of the batch, which is staged first unless stage() did so, and returns that of the targets; a pass in training gets augmented samples,
  /// drawn by its seed, step and places in the global batch. Outside training only features that are their own target get
  /// noise, drawn by the pass's seed and the rows of the data set (batches of Order::blocks). On the host the batch must stay valid until the kernels launched on pass.exec end.
  Targets<T> load(const Pass& pass, const HostBatch& batch, Span<T> input);

 private:
  /// What a device gets: gathered in memory that it can copy from, and its copy.
  struct Staging {
    HostBuffer<std::byte> gathered;
    Buffer<std::byte> copy;
  };
  struct Slot {
    Staging features, values, classes;
  };
  /// Features or values: what of them is taken, and out of what.
  struct Field {
    Field(const Shape& whole, const std::optional<Box>& slab, ElementType type);
    bool same_part(const Field& other) const { return region.box == other.region.box; }
    std::int64_t elements() const { return region.elements(); }  // of a sample's part
    std::int64_t raw_bytes(bool slab) const { return (slab ? elements() : shape.size()) * static_cast<std::int64_t>(size_of(type)); }
    Shape shape;      // of a whole sample
    Region region;
    ElementType type;
  };
  bool own_target() const { return to_targets_ && labels_ == LabelDemand::Kind::features; }
  bool takes_features() const { return to_input_ || own_target(); }
  /// What batches hold of the features.
  const Field& read_features() const { return to_input_ ? input_ : target_; }
  /// `slab`: the samples are this part already. Moved samples may be wanted channels first.
  void cast(const Execution& exec, const Field& field, bool slab, std::span<const std::byte* const> samples, const Staging& staging, const Buffer<T>& factor,
            const Buffer<T>& shift, const Augmentation* augmentation, bool channels_first, Span<T> out);
  void take_features(const Pass& pass, const HostBatch& batch, const Slot& slot, std::uint64_t key, std::int64_t first_sample, Span<T> input, Targets<T>& targets);
  void take_values(const Pass& pass, const HostBatch& batch, const Slot& slot, std::uint64_t key, std::int64_t first_sample, Targets<T>& targets);

  Field input_, target_;                  // target_: of the features, where these are their own target, or of values
  bool to_input_, to_targets_;
  LabelDemand::Kind labels_;
  std::optional<Augmentation> augmentation_;  // flips and crops
  /// Labels that move with the features, seen with their pixels.
  struct MovedLabels {
    Field field;
    Augmentation augmentation;
    bool channels_first;
  };
  std::optional<MovedLabels> moved_labels_;
  double noise_;
  Buffer<T> factor_, shift_;              // per input channel
  Buffer<T> one_, zero_;                  // per output channel: targets are not normalised
  Buffer<T> values_;
  // Of device builds: one slot is read by the kernels of a pass while the other is filled for the next one.
  Execution copier_;
  Slot slots_[2];
  int filled_ = 0;                        // the slot of the last stage()
  bool staged_ = false;
};

}  // namespace trireme
