#include "train/batch_stager.hpp"

#include <cstring>
#include <utility>

#include "base/error.hpp"
#include "base/random.hpp"
#include "io/with_type.hpp"
#include "kokkos_kernels/instances.hpp"
#include "layers/spatial.hpp"
#include "train/reading.hpp"

namespace trireme {

namespace {

constexpr std::uint64_t augment_purpose = 0x6175676D656E74;       // "augment"
constexpr std::uint64_t evaluation_purpose = 0x6576616C75617465;  // "evaluate"

/// Key of the random numbers of a batch's samples.
template <class Choices>
Choices drawn(Choices augmentation, std::uint64_t key, std::int64_t first_sample) {
  augmentation.key = key;
  augmentation.first_sample = first_sample;
  return augmentation;
}

}  // namespace

template <class T>
BatchStager<T>::Field::Field(const Shape& whole, const std::optional<Box>& slab, ElementType of) : shape(whole), type(of) {
  region.channels = region.local_channels = channels_of(whole);
  region.extents = spatial_extents(whole);
  region.box.extent = region.extents;
  if (!slab) return;
  region.box = *slab;
  if (slab->intersection({.extent = region.extents}) != *slab)
    throw internal_error("BatchStager: a box [{}+{}, {}+{}, {}+{}] of samples of {}", slab->first[0], slab->extent[0], slab->first[1], slab->extent[1],
                         slab->first[2], slab->extent[2], whole.text());
}

template <class T>
bool BatchStager<T>::reads_slab(const Deck& deck, const Shape& shape, const Box& box) {
  const auto augmentation = augmentation_of(deck, shape);
  return !augmentation || moves_within(*augmentation, box);
}

template <class T>
BatchStager<T>::BatchStager(const Deck& deck, const DataSet& data, const Shape& input, const Shape& output, std::int64_t samples, const StagedPart& part)
    : input_(input, part.input_slab, data.feature_type()),
      target_(data.labels().target_shape(output), part.output_slab,
              data.labels().kind == LabelDemand::Kind::features ? data.feature_type() : data.label_type()),
      to_input_(part.features),
      to_targets_(part.targets),
      labels_(data.labels().kind),
      augmentation_(augmentation_of(deck, input)),
      jitter_(color_jitter_of(deck)),
      erasing_(erasing_of(deck, input)),
      noise_(deck.real("data.noise")),
      mixup_(part.augments ? deck.real("data.mixup") : 0) {
  if (mixup_ > 0 && labels_ == LabelDemand::Kind::classes)
    throw usage_error(
        "data.mixup = {} mixes targets, and the labels of loss.kind = {} are classes, which cannot be mixed. Hint: set data.mixup = 0, or use labels that are "
        "numbers, as with loss.kind = bce_with_logits",
        deck.text("data.mixup"), deck.text("loss.kind"));
  if (own_target() && output != input) throw internal_error("BatchStager: features of {} are the target of an output of {}", input.text(), output.text());
  if (const auto labels = part.augments ? label_augmentation(deck, data, input, target_.shape) : std::nullopt) {
    moved_labels_.emplace(MovedLabels{Field(labels->shape, labels->flat ? std::nullopt : part.output_slab, data.label_type()), labels->moves, labels->flat});
  }
  const Normalization normal = normalization(deck, input);
  const auto channels = normal.factor.size();
  factor_ = Buffer<T>("trireme::stager::factor", channels);
  shift_ = Buffer<T>("trireme::stager::shift", channels);
  const auto copy_to = [](const Buffer<T>& to, const std::vector<double>& numbers) {
    const auto host = Kokkos::create_mirror_view(to);
    for (std::size_t c = 0; c < numbers.size(); ++c) host(c) = static_cast<T>(numbers[c]);
    Kokkos::deep_copy(to, host);
  };
  copy_to(factor_, normal.factor);
  copy_to(shift_, normal.shift);

  if (to_targets_ && (labels_ == LabelDemand::Kind::values || labels_ == LabelDemand::Kind::features))
    values_ = Buffer<T>("trireme::stager::values", static_cast<std::size_t>(samples * target_.elements()));
  if (to_targets_ && labels_ == LabelDemand::Kind::values) {
    const auto out_channels = static_cast<std::size_t>(channels_of(target_.shape));
    target_factor_ = Buffer<T>("trireme::stager::target_factor", out_channels);
    target_shift_ = Buffer<T>("trireme::stager::target_shift", out_channels);
    Kokkos::deep_copy(target_factor_, T{1});
    if (const auto units = target_normalization(deck, output)) {
      copy_to(target_factor_, units->factor);
      copy_to(target_shift_, units->shift);
    }
  }
  if constexpr (!on_host) {
    const auto staging = [&](std::int64_t bytes) {
      return Staging{HostBuffer<std::byte>("trireme::stager::gathered", static_cast<std::size_t>(samples * bytes)),
                     Buffer<std::byte>("trireme::stager::copy", static_cast<std::size_t>(samples * bytes))};
    };
    copier_ = new_instance(Execution());
    for (Slot& slot : slots_) {
      if (takes_features()) slot.features = staging(data.feature_bytes());
      if (to_targets_ && labels_ == LabelDemand::Kind::values) slot.values = staging(data.label_bytes());
      if (to_targets_ && labels_ == LabelDemand::Kind::classes) slot.classes = staging(sizeof(std::int32_t));
    }
  }
}

template <class T>
void BatchStager<T>::cast(const Execution& exec, const Field& field, bool slab, std::span<const std::byte* const> samples, const Staging& staging,
                          const Buffer<T>& factor, const Buffer<T>& shift, const Augmentation* augmentation, bool channels_first, Span<T> out) {
  const auto n = static_cast<std::int64_t>(samples.size()), channels = channels_of(field.shape);
  const RawSamples raw{.each = on_host ? samples.data() : nullptr, .first = staging.copy.data(), .bytes = field.raw_bytes(slab)};
  const auto& extents = slab ? field.region.box.extent : field.region.extents;  // extents of the samples in the batch
  // Augmented samples are whole along the axes of flips and crops. Whole samples without augmentation may still have to be cut.
  const bool moves = augmentation != nullptr || (!slab && !field.region.whole());
  Augmentation how = augmentation != nullptr ? *augmentation : Augmentation();
  for (std::size_t a = 0; a < 3; ++a) how.extents[a] = extents[a];
  const Box box = slab ? how.whole() : field.region.box;
  with_type(field.type, [&]<class Raw>(Raw) {
    if (moves) return augment_batch<Raw, T>(exec, n, channels, raw, factor, shift, how, box, channels_first, out);
    cast_batch<Raw, T>(exec, n, channels, field.elements() / channels, raw, factor, shift, out);
  });
}

template <class T>
void BatchStager<T>::stage(const HostBatch& batch) {
  if constexpr (!on_host) {
    filled_ = 1 - filled_;
    staged_ = true;
    const Slot& slot = slots_[filled_];
    const auto copy = [&](const Staging& staging, std::int64_t bytes) {
      const std::pair<std::size_t, std::size_t> used(0, static_cast<std::size_t>(bytes));
      Kokkos::deep_copy(copier_, Kokkos::subview(staging.copy, used), Kokkos::subview(staging.gathered, used));
    };
    const auto gather = [&](const Staging& staging, std::span<const std::byte* const> samples, std::int64_t bytes) {
      if (samples.empty()) return;
      std::byte* to = staging.gathered.data();
      for (const std::byte* const sample : samples) std::memcpy(std::exchange(to, to + bytes), sample, static_cast<std::size_t>(bytes));
      copy(staging, to - staging.gathered.data());
    };
    if (takes_features()) gather(slot.features, batch.features, read_features().raw_bytes(batch.feature_slab));
    if (to_targets_) gather(slot.values, batch.values, target_.raw_bytes(batch.label_slab));
    if (to_targets_ && !batch.classes.empty()) {
      std::memcpy(slot.classes.gathered.data(), batch.classes.data(), batch.classes.size_bytes());
      copy(slot.classes, static_cast<std::int64_t>(batch.classes.size_bytes()));
    }
  }
}

template <class T>
void BatchStager<T>::take_features(const Pass& pass, const HostBatch& batch, const Slot& slot, std::uint64_t key, std::int64_t first_sample, Span<T> input,
                                   Targets<T>& targets) {
  const Execution& exec = pass.exec;
  const auto augmentation = pass.training && augmentation_ ? std::optional(drawn(*augmentation_, key, first_sample)) : std::nullopt;
  const bool both = to_input_ && own_target();
  if (batch.feature_slab && augmentation && !moves_within(*augmentation, read_features().region.box))
    throw internal_error("BatchStager: the batch holds slabs, and data.flip, crop, shift or rotate move pixels between these");
  if (batch.feature_slab && both && !input_.same_part(target_))
    throw internal_error("BatchStager: the batch holds slabs, and those of input and target differ");
  const auto take = [&](const Field& field, Span<T> out) {
    cast(exec, field, batch.feature_slab, batch.features, slot.features, factor_, shift_, augmentation ? &*augmentation : nullptr, false, out);
    if (pass.training && jitter_)
      jitter_color<T>(exec, batch.count, field.elements(), drawn(*jitter_, key, first_sample), slice<T>(out, 0, batch.count * field.elements()));
  };
  if (to_input_) take(input_, input);
  if (own_target()) {
    const std::int64_t elements = batch.count * target_.elements();
    const Span<T> values = slice<T>(values_, 0, elements);
    if (both && input_.same_part(target_))
      Kokkos::deep_copy(exec, values, slice<T>(input, 0, elements));
    else
      take(target_, values);
    targets.values = values;
  }
  if (to_input_) mix_samples(pass, key, first_sample, input_.elements(), input);
  if (own_target()) mix_samples(pass, key, first_sample, target_.elements(), slice<T>(values_, 0, batch.count * target_.elements()));
  if (to_input_ && noise_ > 0 && (pass.training || labels_ == LabelDemand::Kind::features))
    add_noise<T>(exec, batch.count, input_.elements(), noise_, key, first_sample, input, input_.region);
  if (to_input_ && pass.training && erasing_) erase_boxes<T>(exec, batch.count, drawn(*erasing_, key, first_sample), input_.region, input);
}

template <class T>
void BatchStager<T>::take_values(const Pass& pass, const HostBatch& batch, const Slot& slot, std::uint64_t key, std::int64_t first_sample,
                                 Targets<T>& targets) {
  const Span<T> values = slice<T>(values_, 0, batch.count * target_.elements());
  targets.values = values;
  if (!pass.training || !moved_labels_)
    return cast(pass.exec, target_, batch.label_slab, batch.values, slot.values, target_factor_, target_shift_, nullptr, false, values);
  const Augmentation augmentation = drawn(moved_labels_->augmentation, key, first_sample);
  if (batch.label_slab && !moves_within(augmentation, target_.region.box))
    throw internal_error("BatchStager: the batch holds slabs of labels, and data.flip, crop, shift or rotate move pixels between these");
  cast(pass.exec, moved_labels_->field, batch.label_slab, batch.values, slot.values, target_factor_, target_shift_, &augmentation,
       moved_labels_->channels_first, values);
}

template <class T>
void BatchStager<T>::mix_samples(const Pass& pass, std::uint64_t key, std::int64_t first_sample, std::int64_t elements, Span<T> x) const {
  if (!pass.training || mixup_ == 0 || pass.samples == 0) return;
  const Mixup mixup = Mixup::drawn(mixup_, pass.samples, key, first_sample);
  mix_pairs<T>(pass.exec, pass.samples, elements, mixup.turn, mixup.share, x);
}

template <class T>
Targets<T> BatchStager<T>::load(const Pass& pass, const HostBatch& batch, Span<T> input) {
  Targets<T> targets;
  if (!staged_) stage(batch);
  staged_ = false;
  if (batch.count == 0) return targets;
  wait_for(pass.exec, copier_);
  const Slot& slot = slots_[filled_];
  const std::uint64_t key = pass.training ? mix(mix(pass.seed, augment_purpose), static_cast<std::uint64_t>(pass.step)) : mix(pass.seed, evaluation_purpose);
  const std::int64_t first_sample = pass.training ? pass.first_sample : batch.first_row;
  if (takes_features()) take_features(pass, batch, slot, key, first_sample, input, targets);
  if (!to_targets_) return targets;
  if (!batch.values.empty()) {
    take_values(pass, batch, slot, key, first_sample, targets);
    mix_samples(pass, key, first_sample, target_.elements(), slice<T>(values_, 0, batch.count * target_.elements()));
  }
  if (!batch.classes.empty()) {
    if constexpr (on_host) {
      targets.classes = Span<const std::int32_t>(batch.classes.data(), batch.classes.size());
    } else {
      targets.classes = Span<const std::int32_t>(reinterpret_cast<const std::int32_t*>(slot.classes.copy.data()), batch.classes.size());
    }
  }
  return targets;
}

template class BatchStager<float>;
template class BatchStager<double>;

}  // namespace trireme
