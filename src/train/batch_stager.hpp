// Converts a host batch to the network's input and the loss's targets on the device: one kernel that casts, scales, normalizes, transposes to
// channels last and, in training, augments. If features are their own target, the target is the input before noise is added. Input and target are
// distributed like the network's input and output: the pixels of one may be whole on a rank where those of the other are divided.
#pragma once

#include <optional>
#include <span>

#include "config/deck.hpp"
#include "data/batch_stream.hpp"
#include "kokkos_kernels/batch.hpp"
#include "kokkos_kernels/region.hpp"
#include "layers/layer.hpp"
#include "losses/targets.hpp"
#include "train/augmentation.hpp"

namespace trireme {

/// The part of each sample that this rank's part of the network uses.
struct StagedPart {
  std::optional<Box> input_slab = {}, output_slab = {};  // boxes in the extents of input and output; empty: all
  bool features = true;                                  // fill the input (first pipeline stage)
  bool targets = true;                                   // fill the targets (last pipeline stage)
  bool augments = true;                                  // training: labels that have the pixels of the features are moved with them

  /// The box of the features that contains all pixels used; empty: all. `own_target`: features are also their own target.
  std::optional<Box> features_slab(bool own_target) const {
    const bool to_targets = targets && own_target;
    if (features && to_targets) return input_slab == output_slab ? input_slab : std::nullopt;
    return to_targets ? output_slab : input_slab;
  }
};

template <class T>
class BatchStager {
 public:
  /// Normalization and augmentation from the deck's section [data]. `samples`: maximum batch size. The label demand of
  /// the data set decides the kind of targets. Usage errors name the key. Only `part` of each sample is produced, whether batches hold whole samples
  /// or BatchStream's slabs: StagedPart::features_slab of the features, the output's slab of labels.
  BatchStager(const Deck& deck, const DataSet& data, const Shape& input, const Shape& output, std::int64_t samples, const StagedPart& part = {});

  /// Whether training needs only this box of the features of a sample of this shape, that is, no flip, crop, shift or rotation moves pixels along a divided
  /// dimension. Otherwise the stream must deliver whole samples, and the stager takes its box from them. (Evaluation never moves pixels.)
  static bool reads_slab(const Deck& deck, const Shape& shape, const Box& box);

  /// Starts copying to the device the batch that the next load() will use, concurrently with running kernels. The rows of the batch are not read
  /// after this call. Kernels launched by the last load() but one must have completed. Does nothing on the host.
  void stage(const HostBatch& batch);
  /// Forgets what was staged: load() will be called with another batch.
  void discard() { staged_ = false; }
  /// Fills `input` with this rank's part of the batch and returns this rank's targets. Stages the batch first if stage() was not called. Training
  /// passes get augmented samples; random numbers depend on the pass's seed and step and on positions in the global batch. In other passes only
  /// features that are their own target get noise; it depends on the pass's seed and on the rows of the data set (batches of Order::blocks). On the
  /// host the batch must stay valid until the kernels launched on pass.exec have completed.
  Targets<T> load(const Pass& pass, const HostBatch& batch, Span<T> input);

 private:
  /// Transfer to a device: samples gathered in memory from which it can copy, and the copy on the device.
  struct Staging {
    HostBuffer<std::byte> gathered;
    Buffer<std::byte> copy;
  };
  struct Slot {
    Staging features, values, classes;
  };
  /// Features or values: the part that is used, and its layout.
  struct Field {
    Field(const Shape& whole, const std::optional<Box>& slab, ElementType type);
    bool same_part(const Field& other) const { return region.box == other.region.box; }
    std::int64_t elements() const { return region.elements(); }  // per sample, of the part
    std::int64_t raw_bytes(bool slab) const { return (slab ? elements() : shape.size()) * static_cast<std::int64_t>(size_of(type)); }
    Shape shape;  // of a whole sample
    Region region;
    ElementType type;
  };
  bool own_target() const { return to_targets_ && labels_ == LabelDemand::Kind::features; }
  bool takes_features() const { return to_input_ || own_target(); }
  /// The field that describes the features in a batch.
  const Field& read_features() const { return to_input_ ? input_ : target_; }
  /// `slab`: samples in the batch are already this part. Augmented samples may be produced channels first.
  void cast(const Execution& exec, const Field& field, bool slab, std::span<const std::byte* const> samples, const Staging& staging, const Buffer<T>& factor,
            const Buffer<T>& shift, const Augmentation* augmentation, bool channels_first, Span<T> out);
  void take_features(const Pass& pass, const HostBatch& batch, const Slot& slot, std::uint64_t key, std::int64_t first_sample, Span<T> input,
                     Targets<T>& targets);
  void take_values(const Pass& pass, const HostBatch& batch, const Slot& slot, std::uint64_t key, std::int64_t first_sample, Targets<T>& targets);

  Field input_, target_;  // target_: of features that are their own target, or of values
  bool to_input_, to_targets_;
  LabelDemand::Kind labels_;
  std::optional<Augmentation> augmentation_;  // moves
  std::optional<ColorJitter> jitter_;
  std::optional<Erasing> erasing_;
  /// Labels that are augmented with the features, with their pixels.
  struct MovedLabels {
    Field field;
    Augmentation augmentation;
    bool channels_first;
  };
  std::optional<MovedLabels> moved_labels_;
  /// Mixes the samples of a training pass with each other.
  void mix_samples(const Pass& pass, std::uint64_t key, std::int64_t first_sample, std::int64_t elements, Span<T> x) const;
  double noise_, mixup_;
  Buffer<T> factor_, shift_;                // per input channel
  Buffer<T> target_factor_, target_shift_;  // per output channel
  Buffer<T> values_;
  // Device builds: kernels of a pass read one slot while the other is filled for the next pass.
  Execution copier_;
  Slot slots_[2];
  int filled_ = 0;  // the slot of the last stage()
  bool staged_ = false;
};

}  // namespace trireme
