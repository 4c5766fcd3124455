#include "data/data_set.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>

#include "base/checked.hpp"
#include "base/error.hpp"
#include "base/random.hpp"
#include "base/stop_signals.hpp"
#include "base/text.hpp"
#include "io/retry.hpp"

namespace trireme {

namespace {

/// A ShardInfo without its path (which every rank knows), for communication.
struct Record {
  std::int64_t index, rows;
  std::uint64_t checksum, decoding, sources;
  std::int64_t sample[Shape::max_rank], label[Shape::max_rank];
  std::int8_t sample_rank, label_rank, feature_type, label_type, has_labels, single_sample, has_checksums, feature_gaps, label_gaps;
};

Record pack(std::size_t index, const ShardInfo& info) {
  Record record{};
  record.index = static_cast<std::int64_t>(index);
  record.rows = info.rows;
  record.checksum = info.checksum;
  record.decoding = info.decoding;
  record.sources = info.sources;
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
  info.checksum = record.checksum;
  info.decoding = record.decoding;
  info.sources = record.sources;
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

/// The key of the deck that names the axes of features or labels.
std::string axes_key(const std::vector<ArraySource>& arrays, const char* plain) { return arrays.empty() ? plain : arrays.front().axes_key; }

/// Refuses samples with the right number of values in another order, which would be silently permuted.
void check_order(const ShardInfo& shard, const std::string& name, const std::string& key, const AxisOrder& axes, const Shape& row, const std::string& what,
                 const Shape& wanted) {
  if (same_order(row, wanted)) return;
  const std::string found = stored_shape(shard, row, axes);
  if (axes.given())
    throw data_error(
        "shard '{}': data set '{}' has shape {}; with {} = {} its samples are {}, but {} is {}. Hint: name the axes in the file's order, the "
        "slowest first",
        shard.path, name, found, key, axes.text(), row.text(), what, wanted.text());
  const std::string order = axes_for(row, wanted);
  throw data_error("shard '{}': data set '{}' has shape {}, so samples are {}; {} is {}: the same number of values in another order. Hint: {}", shard.path,
                   name, found, row.tuple(), what, wanted.text(),
                   order.empty() ? fmt::format("{} must have the extents of the file, channels first; {} sets another order of axes", what, key)
                                 : fmt::format("{} = {} reads these files without conversion", key, order));
}

void check_against_model(const ShardInfo& shard, const ShardNames& names, const Shape& sample) {
  if (sample.rank() == 0) return;
  if (shard.sample.size() == sample.size())
    return check_order(shard, names.features, axes_key(names.feature_arrays, "data.axes"), names.axes, shard.sample, "[model] input", sample);
  const std::string found = stored_shape(shard, shard.sample, names.axes);
  // If the whole file is one sample, a hint that treats its rows as samples would be wrong.
  const Shape whole = shard.single_sample || names.axes.given() ? Shape{} : shard.sample.with_first(shard.rows);
  std::string hint;
  if (whole.rank() > 1 && whole.size() == sample.size()) {
    const std::string order = axes_for(whole, sample);
    hint = order.empty() ? fmt::format("if each file is one sample, [model] input must have the extents of the file, {}", whole.tuple())
                         : fmt::format("if each file is one sample, data.axes = {} reads it as {}", order, sample.text());
  } else if (whole.rank() > 1 && whole.rank() == sample.rank()) {
    hint = fmt::format(
        "[model] input is the shape of one sample, channels first: {} if each row is a sample, {} if each file is a sample (data.axes sets "
        "another order of axes)",
        shard.sample.tuple(), whole.tuple());
  } else {
    hint = fmt::format("input = {} reads these files without conversion, with the first extent as channels (data.axes sets another order of axes)",
                       shard.sample.rank() == 0 ? "1" : shard.sample.text());
  }
  throw data_error("shard '{}': data set '{}' has shape {}, which is {} numbers per sample; the deck's [model] input is {}, which is {}. Hint: {}", shard.path,
                   names.features, found, shard.sample.size(), sample.text(), sample.size(), hint);
}

void check_against_demand(const ShardInfo& shard, const ShardNames& names, const LabelDemand& demand) {
  if (!demand.stored()) return;
  if (!shard.has_labels)
    throw data_error(
        "shard '{}': found no labels, but the loss of this run needs labels. Hint: data.labels names the data set of "
        "labels; it is set to '{}'",
        shard.path, names.labels);
  const std::string found = stored_shape(shard, shard.label, names.label_axes);
  if (demand.kind == LabelDemand::Kind::classes && shard.label.size() != 1)
    throw data_error(
        "shard '{}': data set '{}' has shape {}, which is {} numbers per sample; class labels are one number per sample, "
        "from 0 to {}. Hint: loss.targets = probabilities takes one-hot labels and probabilities; for one class per pixel, end the network with an output "
        "of (classes, extents...)",
        shard.path, names.labels, found, shard.label.size(), demand.count - 1);
  if (demand.kind != LabelDemand::Kind::values) return;
  if (shard.label.size() != demand.count && !demand.of.empty())
    throw data_error("shard '{}': data set '{}' has shape {}, which is {} numbers per sample; the loss needs {} numbers per sample, {}. Hint: {}", shard.path,
                     names.labels, found, shard.label.size(), demand.count, demand.of,
                     demand.classes > 0 && shard.label.size() == demand.count * demand.classes
                         ? "loss.targets = probabilities takes one-hot labels and probabilities of each class"
                         : "the extents of the output must be those of the labels");
  if (shard.label.size() != demand.count)
    throw data_error(
        "shard '{}': data set '{}' has shape {}, which is {} numbers per sample; the network's output is {} numbers per "
        "sample. Hint: set out = {} in the last layer to fit these files",
        shard.path, names.labels, found, shard.label.size(), demand.count, shard.label.size());
  if (demand.shape.rank() > 0)
    check_order(shard, names.labels, axes_key(names.label_arrays, "data.label_axes"), names.label_axes, shard.label,
                demand.of.empty() ? "the network's output" : demand.of, demand.shape);
}

void check_against_sibling(const ShardInfo& shard, const ShardInfo& sibling, const ShardNames& names, bool labels) {
  const auto differ = [&](const std::string& what, const std::string& name, const std::string& found, const std::string& other) {
    throw data_error(
        "shard '{}': data set '{}' has {} {}; shard '{}' has {}. All shards of a data set must agree. "
        "Hint: remove the shard that does not belong to the data set, or use different folders for data.train and data.test",
        shard.path, name, what, found, sibling.path, other);
  };
  if (!(without_leading_ones(shard.sample) == without_leading_ones(sibling.sample)))
    differ("shape", names.features, stored_shape(shard, shard.sample, names.axes), stored_shape(sibling, sibling.sample, names.axes));
  if (shard.feature_type != sibling.feature_type)
    differ("type", names.features, std::string(name_of(shard.feature_type)), std::string(name_of(sibling.feature_type)));
  if (labels && shard.label_type != sibling.label_type)
    differ("type", names.labels, std::string(name_of(shard.label_type)), std::string(name_of(sibling.label_type)));
}

/// The list of files, created on rank 0 only: a folder listed by a thousand ranks would overload the file system.
std::vector<std::string> share_list(const Communicator& comm, const std::string& where) {
  std::string joined;
  comm.together([&] {
    if (comm.rank() != 0) return;
    for (const std::string& path : with_retries(usual_retries, [&] { return find_shards(where); })) joined += path + '\0';
  });
  joined = comm.broadcast(joined);
  std::vector<std::string> paths;
  for (std::size_t at = 0, end; (end = joined.find('\0', at)) != std::string::npos; at = end + 1) paths.push_back(joined.substr(at, end - at));
  return paths;
}

}  // namespace

DataSet::DataSet(const Communicator& comm, const std::string& where, const ShardNames& names, const Shape& sample, const LabelDemand& labels)
    : where_(where), names_(names), labels_(labels) {
  const bool labelled = labels.stored();
  if (!labelled) names_.labels.clear(), names_.label_arrays.clear();  // then shards need no labels
  // Class numbers are one number per sample, whatever extents of 1 the files have.
  const Shape label = labels.kind == LabelDemand::Kind::classes ? Shape{1} : labels.shape;
  const std::vector<std::string> paths = share_list(comm, where);
  if (paths.empty()) throw data_error("'{}' names no shard. Hint: give a folder with *.h5 files, a glob, or a comma-separated list of these", where);

  const auto rank = static_cast<std::size_t>(comm.rank()), ranks = static_cast<std::size_t>(comm.size());
  std::vector<Record> mine;
  comm.together([&] {
    for (std::size_t s = rank; s < paths.size(); s += ranks) {
      if (const int signal = StopSignal::seen(); signal != 0)
        throw fail(ExitCode::requeue, "stopped by signal {} while opening shards ({} of {}), before the first step; run the same command again to continue",
                   signal, s, paths.size());
      mine.push_back(pack(s, with_retries(usual_retries, [&] { return describe_shard(paths[s], names_, sample, label); })));
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

  // The checks, and so the error, are the same on every rank. A shard without rows does not determine the shape or type of a sample.
  for (const ShardInfo& shard : shards_) {
    starts_.push_back(0);
    if (__builtin_add_overflow(starts_[starts_.size() - 2], shard.rows, &starts_.back()))
      throw data_error("'{}': the shards up to '{}' have more rows than fit in 64 bits. Hint: the file is damaged; copy it or create it again", where,
                       shard.path);
  }
  if (size() == 0)
    throw data_error("'{}': {} shard{} found, but {} no rows (data set '{}'). Hint: {}", where, shards_.size(), shards_.size() == 1 ? " was" : "s were",
                     shards_.size() == 1 ? "it has" : "they have", names_.features,
                     names_.feature_arrays.empty() ? "check whether the conversion was interrupted"
                                                   : "the ranges of rows or the windows of time steps leave no sample; use other ranges or shorter windows");
  while (shards_[reference_].rows == 0) ++reference_;
  std::int64_t all_bytes = 0;
  if (!fits({size(), std::max<std::int64_t>(1, reference().sample.size() + reference().label.size()), 8}, all_bytes))
    throw data_error("'{}': the size in bytes of {} rows of {} does not fit in 64 bits. Hint: a shard is damaged; copy it or create it again", where, size(),
                     reference().sample.tuple());
  for (const ShardInfo& shard : shards_) {
    if (shard.rows == 0) continue;
    check_against_sibling(shard, reference(), names_, labelled && shard.has_labels && reference().has_labels);
    check_against_model(shard, names_, sample);
    check_against_demand(shard, names_, labels_);
  }
  take_moments(comm);
}

void DataSet::select(const HeldOut& held_out, bool validation) {
  if (!runs_.empty()) throw internal_error("'{}': rows were already selected", where_);
  const std::int64_t rows = size(), block = (rows + HeldOut::most_blocks - 1) / HeldOut::most_blocks, blocks = (rows + block - 1) / block;
  const auto wanted = static_cast<std::int64_t>(std::llround(held_out.fraction * static_cast<double>(blocks)));
  if (wanted < 1 || wanted >= blocks)
    throw data_error(
        "'{}' has {} rows: a fraction of {} of them holds out {} and leaves {} for training. Hint: choose another fraction, or give files for validation",
        where_, rows, held_out.fraction, wanted, blocks - wanted);
  std::vector<std::pair<std::uint64_t, std::int64_t>> drawn;
  for (std::int64_t b = 0; b < blocks; ++b) drawn.emplace_back(mix(mix(held_out.seed, 0x76616c6964ull), static_cast<std::uint64_t>(b)), b);  // "valid"
  std::ranges::sort(drawn);
  std::vector<bool> held(static_cast<std::size_t>(blocks), false);
  for (std::int64_t i = 0; i < wanted; ++i) held[static_cast<std::size_t>(drawn[static_cast<std::size_t>(i)].second)] = true;

  const std::vector<std::int64_t> before = starts_;
  starts_ = {0};
  runs_.resize(shards_.size());
  for (std::size_t s = 0; s < shards_.size(); ++s) {
    std::int64_t kept = 0;
    for (std::int64_t row = before[s]; row < before[s + 1];) {
      const std::int64_t b = row / block, end = std::min((b + 1) * block, before[s + 1]);
      if (held[static_cast<std::size_t>(b)] == validation) {
        const std::int64_t file_row = row - before[s];
        auto& runs = runs_[s];
        if (runs.empty() || runs.back().file_row + kept - runs.back().row != file_row) runs.push_back({kept, file_row});
        kept += end - row;
      }
      row = end;
    }
    starts_.push_back(starts_.back() + kept);
  }
}

DataSet::Place DataSet::place(std::size_t shard, std::int64_t row) const {
  const std::int64_t rows = starts_[shard + 1] - starts_[shard];
  if (runs_.empty()) return {row, rows - row};
  const auto& runs = runs_[shard];
  const auto after = std::ranges::upper_bound(runs, row, {}, &Run::row);
  const Run& run = *(after - 1);
  return {run.file_row + row - run.row, (after == runs.end() ? rows : after->row) - row};
}

/// Default moments for standardizing rows: those of the first shard.
void DataSet::take_moments(const Communicator& comm) {
  const auto share = [&](std::vector<double> numbers) {
    auto count = static_cast<std::int64_t>(numbers.size());
    comm.broadcast(std::span(&count, 1));
    numbers.resize(static_cast<std::size_t>(count));
    if (count > 0) comm.broadcast(std::span(numbers));
    return numbers;
  };
  const auto take = [&](std::optional<Moments>& moments, Moments& stored, const std::string& name) {
    if (!names_.feature_arrays.empty()) {
      if (moments && !moments->mean.empty())
        throw data_error(
            "'{}': the training data were standardized by trireme shard, and these arrays are joined from several datasets. Hint: read them as the "
            "training data were read",
            where_);
      moments = stored;
      return;
    }
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

std::int64_t DataSet::feature_bytes() const { return reference().sample.size() * static_cast<std::int64_t>(size_of(feature_type())); }

std::int64_t DataSet::label_bytes() const {
  if (!labels_.stored()) return 0;
  return reference().label.size() * static_cast<std::int64_t>(size_of(label_type()));
}

std::size_t DataSet::shard_of(std::int64_t row) const {
  const auto after = std::upper_bound(starts_.begin(), starts_.end(), row);
  return static_cast<std::size_t>(after - starts_.begin() - 1);
}

}  // namespace trireme
