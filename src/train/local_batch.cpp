#include "train/local_batch.hpp"

#include <type_traits>

#include "train/reading.hpp"

namespace trireme {

template <class T>
void read_part(BatchStream::Options& options, const Deck& deck, const Network<T>& network, const DataSet& data, bool augments) {
  options.retries = static_cast<int>(deck.integer("run.io_retries"));
  options.verify = deck.text("data.verify") != "never";
  const StagedPart part = staged_part(network, augments);
  const bool own_target = data.labels().kind == LabelDemand::Kind::features;
  options.features = part.features || (part.targets && own_target);
  options.labels = part.targets;
  options.sample = network.input_shape();
  options.label = data.labels().target_shape(network.output_shape());
  options.feature_rule = feature_rule(deck, network.input_shape(), data.labels(), std::is_same_v<T, float>);
  options.label_rule = label_rule(deck, data.labels(), std::is_same_v<T, float>);
  const std::optional<Box> box = part.features_slab(own_target);
  if (box && (!augments || BatchStager<T>::reads_slab(deck, network.input_shape(), *box))) options.slab = box;
  const auto moved = augments ? label_augmentation(deck, data, network.input_shape(), options.label) : std::nullopt;
  const bool values = data.labels().kind == LabelDemand::Kind::values;
  if (part.output_slab && values && (!moved || moves_within(moved->moves, *part.output_slab))) options.label_slab = part.output_slab;
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

#define TRIREME_INSTANTIATE(T) template void read_part(BatchStream::Options&, const Deck&, const Network<T>&, const DataSet&, bool);
TRIREME_INSTANTIATE(float)
TRIREME_INSTANTIATE(double)
#undef TRIREME_INSTANTIATE

}  // namespace trireme
