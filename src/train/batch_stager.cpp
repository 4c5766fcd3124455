#include "train/batch_stager.hpp"

#include "base/error.hpp"
#include "kokkos_kernels/batch.hpp"
#include "layers/spatial.hpp"

namespace trireme {

namespace {

// One number for all channels, or one for each.
double per_channel(const std::vector<double>& values, std::int64_t channel, double fallback) {
  if (values.empty()) return fallback;
  return values[values.size() == 1 ? 0 : static_cast<std::size_t>(channel)];
}

}  // namespace

template <class T>
BatchStager<T>::BatchStager(const Deck& deck, const DataSet& data, const Shape& input, const Shape& output, std::int64_t samples)
    : input_(input), output_(output), feature_type_(data.feature_type()), label_type_(data.label_type()) {
  const double scale = deck.real("data.scale");
  const auto mean = deck.reals("data.mean"), deviation = deck.reals("data.std");
  const std::int64_t channels = channels_of(input);
  for (const auto& [key, list] : {std::pair{"data.mean", mean}, std::pair{"data.std", deviation}})
    if (list.size() > 1 && list.size() != static_cast<std::size_t>(channels))
      throw usage_error("{} has {} numbers; the model's input {} has {} channels. Expected 1 or {} numbers", key, list.size(), input.text(), channels,
                        channels);
  factor_ = Buffer<T>("trireme::stager::factor", static_cast<std::size_t>(channels));
  shift_ = Buffer<T>("trireme::stager::shift", static_cast<std::size_t>(channels));
  const auto factor = Kokkos::create_mirror_view(factor_), shift = Kokkos::create_mirror_view(shift_);
  for (std::int64_t c = 0; c < channels; ++c) {
    const double std = per_channel(deviation, c, 1);
    if (std == 0) throw usage_error("data.std has a 0 (channel {}); inputs are divided by it", c);
    factor(static_cast<std::size_t>(c)) = static_cast<T>(scale / std);
    shift(static_cast<std::size_t>(c)) = static_cast<T>(-per_channel(mean, c, 0) / std);
  }
  Kokkos::deep_copy(factor_, factor);
  Kokkos::deep_copy(shift_, shift);

  if (data.labels().kind == LabelDemand::Kind::values) {
    const auto out_channels = static_cast<std::size_t>(channels_of(output));
    one_ = Buffer<T>("trireme::stager::one", out_channels);
    zero_ = Buffer<T>("trireme::stager::zero", out_channels);
    Kokkos::deep_copy(one_, T{1});
    values_ = Buffer<T>("trireme::stager::values", static_cast<std::size_t>(samples * output.size()));
  }
  if constexpr (!on_host) {
    features_staging_ = Buffer<std::byte>("trireme::stager::features", static_cast<std::size_t>(samples * data.feature_bytes()));
    if (data.labels().kind == LabelDemand::Kind::values)
      labels_staging_ = Buffer<std::byte>("trireme::stager::labels", static_cast<std::size_t>(samples * data.label_bytes()));
    if (data.labels().kind == LabelDemand::Kind::classes) classes_ = Buffer<std::int32_t>("trireme::stager::classes", static_cast<std::size_t>(samples));
  }
}

template <class T>
void BatchStager<T>::cast(const Execution& exec, ElementType type, std::int64_t n, const Shape& shape, std::span<const std::byte> raw,
                          [[maybe_unused]] Buffer<std::byte>& staging, const Buffer<T>& factor, const Buffer<T>& shift, Span<T> out) {
  const std::byte* bytes = raw.data();
  if constexpr (!on_host) {
    using Host = Kokkos::View<const std::byte*, Kokkos::HostSpace, Kokkos::MemoryTraits<Kokkos::Unmanaged>>;
    Kokkos::deep_copy(exec, slice<std::byte>(staging, 0, static_cast<std::int64_t>(raw.size())), Host(raw.data(), raw.size()));
    bytes = staging.data();
  }
  const auto as = [&]<class Raw>(Raw) {
    cast_batch<Raw, T>(exec, n, channels_of(shape), pixels_of(shape), reinterpret_cast<const Raw*>(bytes), factor, shift, out);
  };
  switch (type) {
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
Targets<T> BatchStager<T>::load(const Execution& exec, const HostBatch& batch, Span<T> input) {
  Targets<T> targets;
  if (batch.count == 0) return targets;
  cast(exec, feature_type_, batch.count, input_, batch.features, features_staging_, factor_, shift_, input);
  if (!batch.values.empty()) {
    cast(exec, label_type_, batch.count, output_, batch.values, labels_staging_, one_, zero_, slice<T>(values_, 0, batch.count * output_.size()));
    targets.values = slice<T>(values_, 0, batch.count * output_.size());
  }
  if (!batch.classes.empty()) {
    if constexpr (on_host) {
      targets.classes = Span<const std::int32_t>(batch.classes.data(), batch.classes.size());
    } else {
      using Host = Kokkos::View<const std::int32_t*, Kokkos::HostSpace, Kokkos::MemoryTraits<Kokkos::Unmanaged>>;
      Kokkos::deep_copy(exec, slice<std::int32_t>(classes_, 0, batch.count), Host(batch.classes.data(), batch.classes.size()));
      targets.classes = slice<std::int32_t>(classes_, 0, batch.count);
    }
  }
  return targets;
}

template class BatchStager<float>;
template class BatchStager<double>;

}  // namespace trireme
