#include "data/data_set.hpp"

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "base/checked.hpp"
#include "base/error.hpp"
#include "base/stop_signals.hpp"
#include "base/text.hpp"
#include "io/retry.hpp"

namespace trireme {

namespace {

/// A ShardInfo without its path (which every rank knows), for the journey between ranks.
struct Record {
  std::int64_t index, rows;
  std::int64_t sample[Shape::max_rank], label[Shape::max_rank];
  std::int8_t sample_rank, label_rank, feature_type, label_type, has_labels, single_sample, has_checksums, feature_gaps, label_gaps;
};

Record pack(std::size_t index, const ShardInfo& info) {
  Record record{};
  record.index = static_cast<std::int64_t>(index);
  record.rows = info.rows;
  std::copy(info.sample.span().begin(), info.sample.span().end(), record.sample);
  std::copy(info.label.span().begin(), info.label.span().end(), record.label);
  record.sample_rank = static_cast<std::int8_t>(info.sample.rank());
  record.label_rank = static_cast<std::int8_t>(info.label.rank());
  record.feature_type = static_cast<std::int8_t>(info.feature_type);
  record.label_type = static_cast<std::int8_t>(info.label_type);
  record.has_labels = info.has_labels;
  record.single_sample = info.single_sample;
  record.has_checksums = info.has_checksums;
  record.feature_gaps = info.feature_gaps;
  record.label_gaps = info.label_gaps;
  return record;
}

void unpack(const Record& record, ShardInfo& info) {
  info.rows = record.rows;
  info.sample = Shape(std::span(record.sample, static_cast<std::size_t>(record.sample_rank)));
  info.label = Shape(std::span(record.label, static_cast<std::size_t>(record.label_rank)));
  info.feature_type = static_cast<ElementType>(record.feature_type);
  info.label_type = static_cast<ElementType>(record.label_type);
  info.has_labels = record.has_labels != 0;
  info.single_sample = record.single_sample != 0;
  info.has_checksums = record.has_checksums != 0;
  info.feature_gaps = record.feature_gaps != 0;
  info.label_gaps = record.label_gaps != 0;
}

Shape without_leading_ones(Shape shape) {
  while (shape.rank() > 0 && shape[0] == 1) shape = shape.without_first();
  return shape;
}

/// The shape of a data set as the file has it; `row` is in the model's order.
std::string stored_shape(const ShardInfo& info, const Shape& row, const AxisOrder& axes) {
  const Shape stored = axes.as_stored(row);
  if (info.single_sample) return stored.tuple();
  std::string text = fmt::format("({}", info.rows);
  for (const std::int64_t extent : stored.span()) text += fmt::format(", {}", extent);
  return text + (stored.rank() == 0 ? ",)" : ")");
}

/// Samples with as many numbers as are wanted, but in another order: each would be mixed up without a word.
void check_order(const ShardInfo& shard, const std::string& name, const char* key, const AxisOrder& axes, const Shape& row, const std::string& what,
                 const Shape& wanted) {
  if (same_order(row, wanted)) return;
  const std::string found = stored_shape(shard, row, axes);
  if (axes.given())
    throw data_error("shard '{}': data set '{}' has shape {}; {} = {} makes samples of {} of it, and {} is {}. Hint: name the axes as the file has them, the "
                     "slowest first",
                     shard.path, name, found, key, axes.text(), row.text(), what, wanted.text());
  const std::string order = axes_for(row, wanted);
  throw data_error("shard '{}': data set '{}' has shape {}, samples of {}; {} is {}: as many numbers, in another order. Hint: {}", shard.path, name, found,
                   row.tuple(), what, wanted.text(),
                   order.empty() ? fmt::format("{} must have the extents of the file, channels first; {} tells another order of axes", what, key)
                                 : fmt::format("{} = {} reads these files as they are", key, order));
}

void check_against_model(const ShardInfo& shard, const ShardNames& names, const Shape& sample) {
  if (sample.rank() == 0) return;
  if (shard.sample.size() == sample.size()) return check_order(shard, names.features, "data.axes", names.axes, shard.sample, "[model] input", sample);
  const std::string found = stored_shape(shard, shard.sample, names.axes);
  // Is the whole file one sample? Then a hint that makes samples of its rows would be wrong.
  const Shape whole = shard.single_sample || names.axes.given() ? Shape{} : shard.sample.with_first(shard.rows);
  std::string hint;
  if (whole.rank() > 1 && whole.size() == sample.size()) {
    const std::string order = axes_for(whole, sample);
    hint = order.empty() ? fmt::format("where a file is one sample, [model] input must have its extents, {}", whole.tuple())
                         : fmt::format("where a file is one sample, data.axes = {} reads it as {}", order, sample.text());
  } else if (whole.rank() > 1 && whole.rank() == sample.rank()) {
    hint = fmt::format("[model] input is the shape of one sample: that of a row, {}, or where a file is one sample that of the file, {}, channels first "
                       "(data.axes tells another order)",
                       shard.sample.tuple(), whole.tuple());
  } else {
    hint = fmt::format("input = {} would take these files as they are, with the first extent as channels (data.axes tells another order)",
                       shard.sample.rank() == 0 ? "1" : shard.sample.text());
  }
  throw data_error("shard '{}': data set '{}' has shape {}, that is {} numbers a sample; the deck's [model] input is {}, that is {}. Hint: {}", shard.path,
                   names.features, found, shard.sample.size(), sample.text(), sample.size(), hint);
}

void check_against_demand(const ShardInfo& shard, const ShardNames& names, const LabelDemand& demand) {
  if (!demand.stored()) return;
  if (!shard.has_labels)
    throw data_error(
        "shard '{}': no labels were found, and the loss of this run needs them. Hint: data.labels names the data "
        "set that holds them; it is '{}' now",
        shard.path, names.labels);
  const std::string found = stored_shape(shard, shard.label, names.label_axes);
  if (demand.kind == LabelDemand::Kind::classes && shard.label.size() != 1)
    throw data_error(
        "shard '{}': data set '{}' has shape {}, that is {} numbers a sample; class labels are one number a sample, "
        "from 0 to {}. Hint: one-hot labels must be stored as the number of the class",
        shard.path, names.labels, found, shard.label.size(), demand.count - 1);
  if (demand.kind != LabelDemand::Kind::values) return;
  if (shard.label.size() != demand.count)
    throw data_error(
        "shard '{}': data set '{}' has shape {}, that is {} numbers a sample; the network's output is {} numbers a "
        "sample. Hint: the last layer's out = {} would fit these files",
        shard.path, names.labels, found, shard.label.size(), demand.count, shard.label.size());
  if (demand.shape.rank() > 0)
    check_order(shard, names.labels, "data.label_axes", names.label_axes, shard.label, "the network's output", demand.shape);
}

void check_against_sibling(const ShardInfo& shard, const ShardInfo& sibling, const ShardNames& names, bool labels) {
  const auto differ = [&](const std::string& what, const std::string& name, const std::string& found,
                          const std::string& other) {
    throw data_error(
        "shard '{}': data set '{}' has {} {}; its sibling '{}' has {}. All shards of a data set must agree. "
        "Hint: remove the shard that does not belong, or give data.train and data.test folders of their own",
        shard.path, name, what, found, sibling.path, other);
  };
  if (!(without_leading_ones(shard.sample) == without_leading_ones(sibling.sample)))
    differ("shape", names.features, stored_shape(shard, shard.sample, names.axes), stored_shape(sibling, sibling.sample, names.axes));
  if (shard.feature_type != sibling.feature_type)
    differ("type", names.features, std::string(name_of(shard.feature_type)),
           std::string(name_of(sibling.feature_type)));
  if (labels && shard.label_type != sibling.label_type)
    differ("type", names.labels, std::string(name_of(shard.label_type)), std::string(name_of(sibling.label_type)));
}

/// The list of files, made by rank 0 alone: a thousand ranks that list one folder would be a burden to the file system.
std::vector<std::string> share_list(const Communicator& comm, const std::string& where) {
  std::string joined;
  comm.together([&] {
    if (comm.rank() != 0) return;
    for (const std::string& path : find_shards(where)) joined += path + '\0';
  });
  joined = comm.broadcast(joined);
  std::vector<std::string> paths;
  for (std::size_t at = 0, end; (end = joined.find('\0', at)) != std::string::npos; at = end + 1)
    paths.push_back(joined.substr(at, end - at));
  return paths;
}

}  // namespace

DataSet::DataSet(const Communicator& comm, const std::string& where, const ShardNames& names, const Shape& sample,
                 const LabelDemand& labels)
    : where_(where), names_(names), labels_(labels) {
  const bool labelled = labels.stored();
  if (!labelled) names_.labels.clear();  // then a shard need not have any
  const std::vector<std::string> paths = share_list(comm, where);
  if (paths.empty())
    throw data_error("'{}' names no shard. Hint: a folder with *.h5 files, a glob, or a comma-separated list of these",
                     where);

  const auto rank = static_cast<std::size_t>(comm.rank()), ranks = static_cast<std::size_t>(comm.size());
  std::vector<Record> mine;
  comm.together([&] {
    for (std::size_t s = rank; s < paths.size(); s += ranks) {
      if (const int signal = StopSignal::seen(); signal != 0)
        throw fail(ExitCode::requeue, "stopped by signal {} while shards were opened ({} of {}), before the first step; start the same command again", signal, s,
                   paths.size());
      mine.push_back(pack(s, with_retries(usual_retries, [&] { return describe_shard(paths[s], names_, sample); })));
    }
  });
  const std::vector<std::byte> bytes = comm.all_gather(std::as_bytes(std::span<const Record>(mine)));
  shards_.resize(paths.size());
  for (std::size_t at = 0; at < bytes.size(); at += sizeof(Record)) {
    Record record;
    std::memcpy(&record, bytes.data() + at, sizeof(Record));
    const auto s = static_cast<std::size_t>(record.index);
    unpack(record, shards_[s]);
    shards_[s].path = paths[s];
  }

  // The checks are the same on every rank, and so is the error. A shard without rows says nothing of a sample's shape
  // or type.
  for (const ShardInfo& shard : shards_) {
    starts_.push_back(0);
    if (__builtin_add_overflow(starts_[starts_.size() - 2], shard.rows, &starts_.back()))
      throw data_error("'{}': the shards up to '{}' have more rows than fit in 64 bits. Hint: the file is damaged; copy or make it again", where, shard.path);
  }
  if (size() == 0)
    throw data_error("'{}': {} shard{} found, but no row in {} (data set '{}'). Hint: was the conversion cut short?",
                     where, shards_.size(), shards_.size() == 1 ? " was" : "s were",
                     shards_.size() == 1 ? "it" : "any of them", names_.features);
  while (shards_[reference_].rows == 0) ++reference_;
  std::int64_t all_bytes = 0;
  if (!fits({size(), std::max<std::int64_t>(1, reference().sample.size() + reference().label.size()), 8}, all_bytes))
    throw data_error("'{}': {} rows of {} are more bytes than fit in 64 bits. Hint: a shard is damaged; copy or make it again", where, size(),
                     reference().sample.tuple());
  for (const ShardInfo& shard : shards_) {
    if (shard.rows == 0) continue;
    check_against_sibling(shard, reference(), names_, labelled && shard.has_labels && reference().has_labels);
    check_against_model(shard, names_, sample);
    check_against_demand(shard, names_, labels_);
  }
  take_moments(comm);
}

/// What rows are to be standardized by, where the caller does not say: what the first shard's are.
void DataSet::take_moments(const Communicator& comm) {
  const auto share = [&](std::vector<double> numbers) {
    auto count = static_cast<std::int64_t>(numbers.size());
    comm.broadcast(std::span(&count, 1));
    numbers.resize(static_cast<std::size_t>(count));
    if (count > 0) comm.broadcast(std::span(numbers));
    return numbers;
  };
  const auto take = [&](std::optional<Moments>& moments, Moments& stored, const std::string& name) {
    comm.together([&] {
      if (comm.rank() == 0) stored = with_retries(usual_retries, [&] { return stored_moments(reference().path, name); });
    });
    stored = {share(stored.mean), share(stored.deviation)};
    if (!moments) moments = stored;
  };
  take(names_.feature_moments, stored_features_, names_.features);
  if (labels_.stored()) take(names_.label_moments, stored_labels_, names_.labels);
}

bool DataSet::changes_moments() const {
  return !(*names_.feature_moments == stored_features_) || (labels_.stored() && !(*names_.label_moments == stored_labels_));
}

ElementType DataSet::feature_type() const { return reference().feature_type; }
ElementType DataSet::label_type() const { return reference().label_type; }

std::int64_t DataSet::feature_bytes() const {
  return reference().sample.size() * static_cast<std::int64_t>(size_of(feature_type()));
}

std::int64_t DataSet::label_bytes() const {
  if (!labels_.stored()) return 0;
  return reference().label.size() * static_cast<std::int64_t>(size_of(label_type()));
}

std::size_t DataSet::shard_of(std::int64_t row) const {
  const auto after = std::upper_bound(starts_.begin(), starts_.end(), row);
  return static_cast<std::size_t>(after - starts_.begin() - 1);
}

}  // namespace trireme
