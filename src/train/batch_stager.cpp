#include "train/batch_stager.hpp"

#include <cstring>
#include <utility>

#include "base/error.hpp"
#include "base/random.hpp"
#include "kokkos_kernels/order.hpp"
#include "layers/spatial.hpp"
#include "train/reading.hpp"

namespace trireme {

namespace {

constexpr std::uint64_t augment_purpose = 0x6175676D656E74;      // "augment"
constexpr std::uint64_t evaluation_purpose = 0x6576616C75617465;  // "evaluate"

/// What is drawn for a batch's samples.
Augmentation drawn(Augmentation augmentation, std::uint64_t key, std::int64_t first_sample) {
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
      target_(output, part.output_slab, data.labels().kind == LabelDemand::Kind::features ? data.feature_type() : data.label_type()),
      to_input_(part.features),
      to_targets_(part.targets),
      labels_(data.labels().kind),
      augmentation_(augmentation_of(deck, input)),
      noise_(deck.real("data.noise")) {
  if (own_target() && output != input)
    throw internal_error("BatchStager: features of {} are the target of an output of {}", input.text(), output.text());
  if (const auto labels = part.augments ? label_augmentation(deck, data, input, output) : std::nullopt) {
    moved_labels_.emplace(MovedLabels{Field(labels->shape, labels->flat ? std::nullopt : part.output_slab, data.label_type()), labels->moves, labels->flat});
  }
  const Normalisation normal = normalisation(deck, input);
  const auto channels = normal.factor.size();
  factor_ = Buffer<T>("trireme::stager::factor", channels);
  shift_ = Buffer<T>("trireme::stager::shift", channels);
  const auto factor = Kokkos::create_mirror_view(factor_), shift = Kokkos::create_mirror_view(shift_);
  for (std::size_t c = 0; c < channels; ++c) factor(c) = static_cast<T>(normal.factor[c]), shift(c) = static_cast<T>(normal.shift[c]);
  Kokkos::deep_copy(factor_, factor);
  Kokkos::deep_copy(shift_, shift);

  if (to_targets_ && (labels_ == LabelDemand::Kind::values || labels_ == LabelDemand::Kind::features))
    values_ = Buffer<T>("trireme::stager::values",
                        static_cast<std::size_t>(samples * target_.elements()));
  if (to_targets_ && labels_ == LabelDemand::Kind::values) {
    const auto out_channels = static_cast<std::size_t>(channels_of(output));
    one_ = Buffer<T>("trireme::stager::one", out_channels);
    zero_ = Buffer<T>("trireme::stager::zero", out_channels);
    Kokkos::deep_copy(one_, T{1});
  }
  if constexpr (!on_host) {
    const auto staging = [&](std::int64_t bytes) {
      return Staging{HostBuffer<std::byte>("trireme::stager::gathered", static_cast<std::size_t>(samples * bytes)),
                     Buffer<std::byte>("trireme::stager::copy", static_cast<std::size_t>(samples * bytes))};
    };
    copier_ = beside(Execution());
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
  const auto& extents = slab ? field.region.box.extent : field.region.extents;  // of what the samples are
  // What is moved is whole in the dimensions that it is moved along; whole samples that are not moved may yet have to be cut.
  const bool moves = augmentation != nullptr || (!slab && !field.region.whole());
  Augmentation how = augmentation != nullptr ? *augmentation : Augmentation();
  for (std::size_t a = 0; a < 3; ++a) how.extents[a] = extents[a];
  const Box box = slab ? how.whole() : field.region.box;
  const auto as = [&]<class Raw>(Raw) {
    if (moves) return augment_batch<Raw, T>(exec, n, channels, raw, factor, shift, how, box, channels_first, out);
    cast_batch<Raw, T>(exec, n, channels, field.elements() / channels, raw, factor, shift, out);
  };
  switch (field.type) {
    case ElementType::u8: return as(std::uint8_t{});
    case ElementType::i8: return as(std::int8_t{});
    case ElementType::u16: return as(std::uint16_t{});
    case ElementType::i16: return as(std::int16_t{});
    case ElementType::u32: return as(std::uint32_t{});
    case ElementType::i32: return as(std::int32_t{});
    case ElementType::u64: return as(std::uint64_t{});
    case ElementType::i64: return as(std::int64_t{});
    case ElementType::f32: return as(float{});
    case ElementType::f64: return as(double{});
  }
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
    throw internal_error("BatchStager: the batch holds slabs, and data.flip or data.crop move pixels between these");
  if (batch.feature_slab && both && !input_.same_part(target_))
    throw internal_error("BatchStager: the batch holds slabs, and those of input and target differ");
  const auto take = [&](const Field& field, Span<T> out) {
    cast(exec, field, batch.feature_slab, batch.features, slot.features, factor_, shift_, augmentation ? &*augmentation : nullptr, false, out);
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
  if (to_input_ && noise_ > 0 && (pass.training || labels_ == LabelDemand::Kind::features))
    add_noise<T>(exec, batch.count, input_.elements(), noise_, key, first_sample, input, input_.region);
}

template <class T>
void BatchStager<T>::take_values(const Pass& pass, const HostBatch& batch, const Slot& slot, std::uint64_t key, std::int64_t first_sample,
                                 Targets<T>& targets) {
  const Span<T> values = slice<T>(values_, 0, batch.count * target_.elements());
  targets.values = values;
  if (!pass.training || !moved_labels_) return cast(pass.exec, target_, batch.label_slab, batch.values, slot.values, one_, zero_, nullptr, false, values);
  const Augmentation augmentation = drawn(moved_labels_->augmentation, key, first_sample);
  if (batch.label_slab && !moves_within(augmentation, target_.region.box))
    throw internal_error("BatchStager: the batch holds slabs of labels, and data.flip or data.crop move pixels between these");
  cast(pass.exec, moved_labels_->field, batch.label_slab, batch.values, slot.values, one_, zero_, &augmentation, moved_labels_->channels_first, values);
}

template <class T>
Targets<T> BatchStager<T>::load(const Pass& pass, const HostBatch& batch, Span<T> input) {
  Targets<T> targets;
  if (!staged_) stage(batch);
  staged_ = false;
  if (batch.count == 0) return targets;
  run_after(pass.exec, copier_);
  const Slot& slot = slots_[filled_];
  const std::uint64_t key = pass.training ? mix(mix(pass.seed, augment_purpose), static_cast<std::uint64_t>(pass.step)) : mix(pass.seed, evaluation_purpose);
  const std::int64_t first_sample = pass.training ? pass.first_sample : batch.first_row;
  if (takes_features()) take_features(pass, batch, slot, key, first_sample, input, targets);
  if (!to_targets_) return targets;
  if (!batch.values.empty()) take_values(pass, batch, slot, key, first_sample, targets);
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
