#include "train/local_batch.hpp"

#include "kokkos_kernels/boxes.hpp"
#include "layers/spatial.hpp"

namespace trireme {

namespace {

// A box of whole samples.
template <class T>
void crop(const Execution& exec, std::int64_t n, const Shape& whole, const Box& box, Span<const T> from, Span<T> to) {
  copy_box<T>(exec, n,
              {.channels = channels_of(whole), .extent = box.extent, .from = spatial_extents(whole), .from_first = box.first, .to = box.extent, .to_first = {0, 0, 0}},
              from, to);
}

}  // namespace

template <class T>
LocalBatch<T>::LocalBatch(const Deck& deck, const DataSet& data, Network<T>& network, std::int64_t samples)
    : network_(network),
      first_(network.place().first_stage()),
      last_(network.place().last_stage()),
      stager_(deck, data, network.input_shape(), network.output_shape(), samples) {
  if (!first_ || network.input_box()) whole_ = Buffer<T>("trireme::local_batch::whole", static_cast<std::size_t>(samples * network.input_shape().size()));
  if (last_ && network.output_box() && data.labels().kind != LabelDemand::Kind::classes)
    targets_ = Buffer<T>("trireme::local_batch::targets", static_cast<std::size_t>(samples * network.local_output().size()));
}

template <class T>
Targets<T> LocalBatch<T>::load(const Pass& pass, const HostBatch& batch) {
  if (!first_ && !last_) return {};
  const bool whole_input = whole_.size() == 0;
  const Span<T> input = whole_input ? network_.input() : slice<T>(whole_, 0, static_cast<std::int64_t>(whole_.size()));
  Targets<T> targets = stager_.load(pass, batch, input);
  if (batch.count == 0) return targets;
  if (first_ && !whole_input) crop<T>(pass.exec, batch.count, network_.input_shape(), *network_.input_box(), input, network_.input());
  if (!last_) return {};
  if (targets_.size() > 0) {
    const Span<T> part = slice<T>(targets_, 0, batch.count * network_.local_output().size());
    crop<T>(pass.exec, batch.count, network_.output_shape(), *network_.output_box(), targets.values, part);
    targets.values = part;
  }
  return targets;
}

HostBatch part_of(const HostBatch& batch, std::int64_t first, std::int64_t count) {
  HostBatch part = batch;
  part.first += first;
  part.first_row += first;
  part.count = count;
  const auto cut = [&](auto& list) {
    if (!list.empty()) list = list.subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(count));
  };
  cut(part.features);
  cut(part.classes);
  cut(part.values);
  return part;
}

template class LocalBatch<float>;
template class LocalBatch<double>;

}  // namespace trireme
