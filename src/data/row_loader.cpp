#include "data/row_loader.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <new>
#include <string>
#include <type_traits>

#include "base/error.hpp"
#include "base/timer.hpp"
#include "io/with_type.hpp"

namespace trireme {

namespace {

constexpr std::int64_t span_bytes = 4 << 20;   // bytes of one read
constexpr std::int64_t gap_bytes = 256 << 10;  // reading through a gap of this size is cheaper than a seek on most file systems
constexpr std::size_t huge_page = 2 << 20;
constexpr double step_seconds = 0.01;  // for many small shards: opening them takes the time

template <class T>
T element(const std::byte* from, std::int64_t i) {
  T value;
  std::memcpy(&value, from + i * static_cast<std::int64_t>(sizeof(T)), sizeof(T));
  return value;
}

/// Converts labels to class numbers, and ignored labels to -1. Returns the index of the first that is not a whole number in [0, classes), or -1.
template <class T>
std::int64_t to_classes(const std::byte* labels, std::int64_t n, std::int64_t classes, const std::optional<double>& ignored, std::int32_t* out) {
  for (std::int64_t i = 0; i < n; ++i) {
    const T label = element<T>(labels, i);
    if (ignored && is_ignored(static_cast<double>(label), *ignored)) {
      out[i] = -1;
      continue;
    }
    bool legal;
    if constexpr (std::is_floating_point_v<T>)
      legal = label >= 0 && label < static_cast<T>(classes) && label == std::floor(label);
    else
      legal = label >= 0 && static_cast<std::uint64_t>(label) < static_cast<std::uint64_t>(classes);
    if (!legal) return i;
    out[i] = static_cast<std::int32_t>(label);
  }
  return -1;
}

}  // namespace

template <class T>
PageArray<T>::PageArray(std::int64_t n) {
  // Rows of large blocks are accessed in random order: huge pages reduce TLB misses.
  const std::size_t bytes = std::max<std::size_t>(1, static_cast<std::size_t>(n) * sizeof(T));
  const std::size_t page = bytes >= huge_page ? huge_page : 4096;
  void* memory = std::aligned_alloc(page, (bytes + page - 1) / page * page);
  if (!memory) throw std::bad_alloc();
  memory_.reset(static_cast<T*>(memory));
#ifdef MADV_HUGEPAGE
  if (page == huge_page) madvise(memory, bytes / page * page, MADV_HUGEPAGE);  // a hint; may fail
#endif
}

RowLoader::RowLoader(const DataSet& data, const RowPart& part)
    : data_(data),
      features_(field(part.features, part.feature_box, part.sample, data.feature_bytes(), data.feature_type(), "features")),
      labels_(field(part.labels && data.labels().stored(), part.label_box, part.label, data.label_bytes(), data.label_type(), "labels")),
      retries_(part.retries),
      verify_(part.verify),
      report_(part.report),
      span_rows_(std::max<std::int64_t>(1, span_bytes / std::max<std::int64_t>(1, features_.bytes + labels_.bytes))),
      gap_rows_(gap_bytes / std::max<std::int64_t>(1, features_.bytes + labels_.bytes)) {
  if (features_.wanted)
    feature_check_ = ValueCheck(part.feature_rule, data.feature_type(), features_.bytes / static_cast<std::int64_t>(size_of(data.feature_type())));
  if (labels_.wanted) label_check_ = ValueCheck(part.label_rule, data.label_type(), labels_.bytes / static_cast<std::int64_t>(size_of(data.label_type())));
  if (labels_.box && data.labels().kind != LabelDemand::Kind::values) throw internal_error("RowLoader: a box of labels that are not values");
  open_.reserve(most_open_files);
}

RowLoader::Field RowLoader::field(bool wanted, const std::optional<Box>& box, const Shape& seen, std::int64_t row_bytes, ElementType type,
                                  const char* what) const {
  Field made{.wanted = wanted, .box = {}, .shape = seen, .bytes = wanted ? row_bytes : 0};
  if (!wanted || !box) return made;
  bool inside = seen.rank() >= 1 && seen.rank() <= 4 && seen.size() * static_cast<std::int64_t>(size_of(type)) == row_bytes;
  bool whole = true;
  for (std::size_t a = 0; inside && a < 3; ++a) {
    const int d = seen.rank() - 3 + static_cast<int>(a);
    const std::int64_t extent = d >= 1 ? seen[d] : 1;
    inside &= box->first[a] >= 0 && box->extent[a] >= 0 && box->end(a) <= extent;
    whole &= box->extent[a] == extent;
  }
  if (!inside)
    throw internal_error("'{}': a box [{}+{}, {}+{}, {}+{}] of {} with shape {} and {} bytes per row", data_.where(), box->first[0], box->extent[0],
                         box->first[1], box->extent[1], box->first[2], box->extent[2], what, seen.tuple(), row_bytes);
  if (whole) return made;
  made.box = box;
  made.bytes = seen[0] * box->pixels() * static_cast<std::int64_t>(size_of(type));
  return made;
}

std::int64_t RowLoader::Field::place_in_row(std::int64_t i) const {
  if (!box) return i;
  const auto extent = [&](int d) { return shape.rank() - 3 + d >= 1 ? shape[shape.rank() - 3 + d] : 1; };
  const std::int64_t x = i % box->extent[2], y = i / box->extent[2] % box->extent[1], plane = i / (box->extent[2] * box->extent[1]);
  const std::int64_t z = plane % box->extent[0], channel = plane / box->extent[0];
  return ((channel * extent(0) + box->first[0] + z) * extent(1) + box->first[1] + y) * extent(2) + box->first[2] + x;
}

RowBlock RowLoader::allocate(std::int64_t rows) const {
  RowBlock block;
  block.allocated = true;
  if (features_.wanted) block.features = PageArray<std::byte>(rows * features_.bytes);
  if (labels_.wanted && data_.labels().kind == LabelDemand::Kind::classes) block.classes = PageArray<std::int32_t>(rows);
  if (labels_.wanted && data_.labels().kind == LabelDemand::Kind::values) block.values = PageArray<std::byte>(rows * labels_.bytes);
  return block;
}

void RowLoader::start(std::span<const RowRun> runs, RowBlock& block) {
  runs_ = runs;
  block_ = &block;
  run_ = 0;
  done_ = filled_ = 0;
}

bool RowLoader::step() {
  const Timer timer;
  const std::int64_t before = bytes_read_;
  while (run_ < runs_.size()) {
    if (bytes_read_ - before >= span_bytes || timer.seconds() > step_seconds) return false;
    next_span();
  }
  return true;
}

void RowLoader::next_span() {
  const std::int64_t first = runs_[run_].first + done_;
  if (first < data_.starts()[shard_] || first >= data_.starts()[shard_ + 1]) shard_ = data_.shard_of(first);
  const std::int64_t shard_first = data_.starts()[shard_];
  const DataSet::Place place = data_.place(shard_, first - shard_first);
  const std::int64_t limit = first + std::min(place.count, span_rows_);

  parts_.clear();
  std::int64_t end = first;
  while (run_ < runs_.size()) {
    const std::int64_t from = runs_[run_].first + done_, run_end = runs_[run_].first + runs_[run_].count;
    if (from >= limit || from - end > gap_rows_) break;
    end = std::min(run_end, limit);
    parts_.push_back({from - first, end - from, place.file_row + from - first});
    done_ += end - from;
    if (end < run_end) break;
    ++run_;
    done_ = 0;
  }
  with_retries(retries_, [&] {
    try {
      read_span(place.file_row, end - first);
    } catch (const IoError&) {
      forget_reader();
      throw;
    }
  });
}

void RowLoader::read_span(std::int64_t shard_row, std::int64_t count) {
  if (block_->features) {
    ShardReader& from = reader();
    std::byte* features = block_->features.get() + filled_ * features_.bytes;
    const std::span<std::byte> out(features, static_cast<std::size_t>(count * features_.bytes));
    bytes_read_ += features_.box ? from.read_features(shard_row, count, *features_.box, out) : from.read_features(shard_row, count, out);
    compact(features, features_.bytes);
    check(features, feature_check_, features_, data_.names().features, data_.shards()[shard_].feature_gaps);
  }
  if (block_->classes) read_classes(reader(), shard_row, count);
  if (block_->values) {
    ShardReader& from = reader();
    std::byte* values = block_->values.get() + filled_ * labels_.bytes;
    const std::span<std::byte> out(values, static_cast<std::size_t>(count * labels_.bytes));
    bytes_read_ += labels_.box ? from.read_labels(shard_row, count, *labels_.box, out) : from.read_labels(shard_row, count, out);
    compact(values, labels_.bytes);
    check(values, label_check_, labels_, data_.names().labels, data_.shards()[shard_].label_gaps);
  }
  for (const Part& part : parts_) filled_ += part.count;
}

/// Moves the wanted parts of the span at `rows` to its front.
void RowLoader::compact(std::byte* rows, std::int64_t row_bytes) const {
  std::int64_t kept = 0;
  for (const Part& part : parts_) {
    if (part.offset != kept) std::memmove(rows + kept * row_bytes, rows + part.offset * row_bytes, static_cast<std::size_t>(part.count * row_bytes));
    kept += part.count;
  }
}

void RowLoader::read_classes(ShardReader& from, std::int64_t shard_row, std::int64_t count) {
  raw_labels_.resize(static_cast<std::size_t>(count * labels_.bytes));
  bytes_read_ += from.read_labels(shard_row, count, raw_labels_);
  std::int32_t* out = block_->classes.get() + filled_;
  const std::int64_t classes = data_.labels().count;
  for (const Part& part : parts_) {
    const std::byte* labels = raw_labels_.data() + part.offset * labels_.bytes;
    with_type(data_.label_type(), [&](auto zero) {
      using T = decltype(zero);
      const std::int64_t bad = to_classes<T>(labels, part.count, classes, data_.labels().ignored, out);
      if (bad < 0) return;
      const double value = static_cast<double>(element<T>(labels, bad));
      refuse(
          fmt::format("shard '{}': row {} of data set '{}' is {}{}; class labels must be whole numbers from 0 to {}. "
                      "Hint: number the classes from 0, or set the outputs of the network's last layer to the number of classes; loss.ignore = VALUE leaves "
                      "out samples with this label",
                      data_.shards()[shard_].path, part.shard_row + bad, data_.names().labels, element<T>(labels, bad),
                      std::isnan(value) && data_.shards()[shard_].label_gaps ? ", a missing value" : "", classes - 1));
    });
    out += part.count;
  }
}

void RowLoader::check(std::byte* rows, const ValueCheck& check, const Field& field, const std::string& data_set, bool gaps) const {
  for (const Part& part : parts_) {
    for (std::int64_t row = 0; row < part.count; ++row, rows += field.bytes) {
      if (check.passes(rows)) continue;
      const ValueCheck::Fault fault = check.find(rows, gaps);
      if (fault.at < 0) continue;
      refuse(fmt::format("shard '{}': row {} of data set '{}' holds {} (value {} of {} in the row); {}", data_.shards()[shard_].path, part.shard_row + row,
                         data_set, check.reason(rows, fault.at, gaps), field.place_in_row(fault.at), field.box ? field.shape.size() : check.elements(),
                         fault.what));
    }
  }
}

void RowLoader::refuse(const std::string& fault) const {
  if (!report_) throw Error(ExitCode::data, fault);
  report_(fault);
}

void RowLoader::forget_reader() {
  std::erase_if(open_, [&](const OpenShard& open) { return open.shard == shard_; });
}

/// The reader of shard_; opens it if necessary and closes the least recently used one.
ShardReader& RowLoader::reader() {
  ++uses_;
  for (OpenShard& open : open_) {
    if (open.shard != shard_) continue;
    open.last_use = uses_;
    return open.reader;
  }
  if (open_.size() == most_open_files) {
    const auto oldest = std::min_element(open_.begin(), open_.end(), [](const OpenShard& a, const OpenShard& b) { return a.last_use < b.last_use; });
    if (oldest != open_.end() - 1) *oldest = std::move(open_.back());
    open_.pop_back();
  }
  return open_.emplace_back(OpenShard{shard_, uses_, ShardReader(data_.shards()[shard_], data_.names(), features_.shape, labels_.shape, verify_)}).reader;
}

}  // namespace trireme
