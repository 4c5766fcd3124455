#include "train/standardization.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/log.hpp"

namespace trireme {

namespace {

std::vector<double> shared(const Communicator& comm, std::vector<double> numbers) {
  auto count = static_cast<std::int64_t>(numbers.size());
  comm.broadcast(std::span(&count, 1));
  numbers.resize(static_cast<std::size_t>(count));
  if (count > 0) comm.broadcast(std::span(numbers));
  return numbers;
}

}  // namespace

void ask_for_moments_of(const Communicator& comm, const std::filesystem::path& checkpoint, ShardNames& names) {
  Moments features, labels;
  comm.together([&] {
    if (comm.rank() != 0) return;
    const CheckpointReader reader(checkpoint);
    const auto read = [&](const std::string& name) {
      const auto found = std::ranges::find(reader.arrays(), name, &CheckpointReader::ArrayInfo::name);
      if (found == reader.arrays().end()) return std::vector<double>();
      std::vector<double> numbers(static_cast<std::size_t>(found->shape.size()));
      reader.read(name, numbers.data(), found->shape.size());
      return numbers;
    };
    features = {read("data/features_mean"), read("data/features_deviation")};
    labels = {read("data/labels_mean"), read("data/labels_deviation")};
    for (const Moments* moments : {&features, &labels})
      if (moments->mean.size() != moments->deviation.size() || std::ranges::any_of(moments->deviation, [](double d) { return !(d > 0); }))
        throw checkpoint_error("checkpoint '{}': the means and standard deviations of its training data do not match each other", checkpoint.string());
  });
  features = {shared(comm, features.mean), shared(comm, features.deviation)};
  labels = {shared(comm, labels.mean), shared(comm, labels.deviation)};
  if (!features.mean.empty()) names.feature_moments = features;
  if (!labels.mean.empty()) names.label_moments = labels;
}

void tell_of_moments(const DataSet& data, const ShardNames& asked) {
  if (data.changes_moments())
    log::warn("data {}: rows are standardized with the means and standard deviations of the training data; {}", data.where(),
              data.standardized() ? "these shards were standardized with other values" : "these shards are not standardized");
  else if (!asked.feature_moments && data.standardized())
    log::warn(
        "data {}: these shards are standardized; the training data was not, or its checkpoint does not record it. Hint: evaluate and predict on rows "
        "that were prepared like the training data",
        data.where());
}

void tell_of_type(const Communicator& comm, const std::filesystem::path& checkpoint, const DataSet& data) {
  comm.together([&] {
    if (comm.rank() != 0) return;
    const CheckpointReader reader(checkpoint);
    const auto found = reader.content().integers.find("data_feature_type");
    if (found == reader.content().integers.end() || found->second < 0 || found->second > static_cast<std::int64_t>(ElementType::f64)) return;
    const auto trained = static_cast<ElementType>(found->second);
    const bool floats = !is_integer(trained) && !is_integer(data.feature_type());
    if (trained == data.feature_type() || floats) return;
    log::warn(
        "data {}: the features are {}, but those of the training data were {}. Hint: check that both have the same range, for example 0 to 255 or 0 to 1; "
        "--data.scale=FACTOR converts them",
        data.where(), name_of(data.feature_type()), name_of(trained));
  });
}

}  // namespace trireme
