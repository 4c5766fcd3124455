#include "train/metric_counter.hpp"

#include <algorithm>

#include "kokkos_kernels/elementwise.hpp"
#include "layers/spatial.hpp"
#include "losses/term_loss.hpp"
#include "metrics/metrics.hpp"

namespace trireme {

namespace {

constexpr std::size_t binary_counts = 6;  // of count_binary

/// Where this rank's outputs lie, for metrics of channels and latitudes.
template <class T>
OutputPlaces places_of_outputs(const LossTerm& term, const Network<T>& network) {
  OutputPlaces places;
  const Deck& deck = term.deck;
  const LossTargets& targets = term.targets;
  if (targets.classes > 0) return places;
  places.channels = targets.shape[0];
  if (deck.text("loss.reduction_weights") == "none") return places;
  Box box{.extent = spatial_extents(term.output)};
  const auto whole = row_weights(deck, box.extent[1]);
  if (network.output_box()) box = *network.output_box();
  places.row_weights.assign(whole.begin() + box.first[1], whole.begin() + box.end(1));
  places.width = box.extent[2];
  return places;
}

/// Pixels of a sample on this rank.
template <class T>
std::int64_t local_pixels(const Network<T>& network) {
  const Shape& local = network.local_output();
  return local.size() == 0 ? 0 : local.size() / local[0];
}

}  // namespace

template <class T>
MetricCounter<T>::MetricCounter(const LossTerm& term, const Network<T>& network, const ProcessGrid& grid, const CountedPart& part, std::int64_t rows)
    : term_(term),
      targets_(term.targets),
      kind_(loss_kind(term.deck)),
      grid_(grid),
      part_(part),
      rows_(rows),
      pixels_(local_pixels(network)),
      outputs_(pixels_ * term.output[0]),
      compared_(targets_.classes > 0 ? 0 : outputs_ / kind_.outputs_per_target),
      joined_outputs_(network.output_shape()[0]),
      units_(target_normalization(term), term.output[0]),
      classes_(targets_.classes),
      confuses_(classes_ > 0 && classes_ <= Metrics::most_confused),
      ignored_(ignored_target(term.deck)),
      places_(places_of_outputs(term, network)),
      counted_(static_cast<std::size_t>(part.own.count)) {
  const bool yes_or_no = targets_.type == LossKind::Targets::binary || classes_ == 2;
  const std::int64_t scores = term.output.size() / std::max<std::int64_t>(1, classes_);
  if (yes_or_no && rows <= most_scores / scores) scores_.emplace();
  if (targets_.type == LossKind::Targets::values) relative_.emplace(network.output_box() ? &grid_.spatial() : nullptr, network.largest_batch());
  const auto compared = static_cast<std::size_t>(compared_), blocks = counted_.size();
  if (classes_ > 0)
    counts_ = Buffer<std::int64_t>("trireme::evaluator::counts", ClassCounts::totals_size + (confuses_ ? classes_ * classes_ : 0));
  else
    sums_ = Buffer<OutputSums>("trireme::evaluator::sums", part.has_outputs ? compared * blocks : 0);
  if (targets_.type == LossKind::Targets::binary) counts_ = Buffer<std::int64_t>("trireme::evaluator::counts", binary_counts);
  if (targets_.probabilities)
    largest_ = Buffer<std::int32_t>("trireme::evaluator::largest", static_cast<std::size_t>(network.largest_batch() * outputs_ / classes_));
  if (term.name.empty() || !part.has_outputs) return;
  const auto items = static_cast<std::size_t>(network.largest_batch() * pixels_);
  own_output_ = Buffer<T>("trireme::evaluator::own_output", items * static_cast<std::size_t>(term.output[0]));
  own_target_ = Buffer<T>("trireme::evaluator::own_target", items * static_cast<std::size_t>(term.target_channels));
}

template <class T>
void MetricCounter<T>::clear() {
  Kokkos::deep_copy(counts_, 0);
  std::ranges::fill(counted_, 0);
  if (scores_) scores_->clear();
  if (relative_) relative_->clear();
}

template <class T>
void MetricCounter<T>::add(const Execution& exec, std::int64_t count, std::size_t block, Span<const T> output, const Targets<T>& targets) {
  const std::int64_t rows = count * pixels_, channels = term_.output[0];
  Targets<T> own = targets;
  if (!term_.name.empty()) {
    copy_columns<T>(exec, rows, channels, output, joined_outputs_, term_.first, own_output_, channels, 0);
    copy_columns<T>(exec, rows, term_.target_channels, targets.values, term_.joined_targets, term_.first_target, own_target_, term_.target_channels, 0);
    output = own_output_;
    own.values = own_target_;
  }
  if (units_.changes()) {
    own.values = units_.in_file_units(exec, rows, own.values, 0);
    output = units_.in_file_units(exec, rows, output, 1);
  }
  this->count(exec, count, block, output, own);
}

template <class T>
void MetricCounter<T>::count_classes_of(const Execution& exec, std::int64_t count, Span<const T> output, const Targets<T>& targets) {
  const std::int64_t items = count * outputs_ / classes_;
  ClassTargets<T> labels{.numbers = targets.classes, .map = targets.values, .ignored = Ignored<T>::of(ignored_)};
  if (targets_.probabilities) {
    largest_class<T>(exec, items, classes_, targets.values, largest_);
    labels = {.numbers = largest_};
  }
  count_classes<T>(
      exec, items, classes_, output, labels,
      {slice<std::int64_t>(counts_, 0, ClassCounts::totals_size), slice<std::int64_t>(counts_, ClassCounts::totals_size, confuses_ ? classes_ * classes_ : 0)});
  if (scores_) scores_->add_classes(exec, items, labels, output);
}

template <class T>
void MetricCounter<T>::count(const Execution& exec, std::int64_t count, std::size_t block, Span<const T> output, const Targets<T>& targets) {
  if (classes_ > 0) return count_classes_of(exec, count, output, targets);
  const bool logits = kind_.logits, first = counted_[block] == 0;
  const auto ignored = Ignored<T>::of(ignored_);
  const std::int64_t channels = targets_.shape[0];
  if (targets_.type == LossKind::Targets::binary) count_binary<T>(exec, count, outputs_, logits ? T{} : T(0.5), ignored, output, targets.values, counts_);
  const ComparedOutputs<T> compared{.logits = logits, .ignored = ignored, .channels = channels, .stride = channels * kind_.outputs_per_target};
  if (scores_) scores_->add_binary(exec, count * outputs_, ignored, output, targets.values);
  if (relative_) relative_->add(exec, count, compared_, compared, output, targets.values);
  sum_errors<T>(exec, count, compared_, first, compared, output, targets.values,
                slice<OutputSums>(sums_, static_cast<std::int64_t>(block) * compared_, compared_));
  counted_[block] += count;
}

template <class T>
void MetricCounter<T>::total_counts(MetricStatistics& found) {
  std::vector<std::int64_t> counts(counts_.size(), 0);
  // Outputs of a sample that are split over ranks are counted by each rank; outputs that are whole on several ranks are counted by one of them.
  if (part_.counts)
    Kokkos::deep_copy(Kokkos::View<std::int64_t*, Kokkos::HostSpace, Kokkos::MemoryTraits<Kokkos::Unmanaged>>(counts.data(), counts.size()), counts_);
  grid_.run().all_reduce(std::span(counts));
  if (classes_ > 0) {
    found.classes = classes_;
    found.hits = counts[0], found.top5_hits = counts[1], found.undefined = counts[2], found.counted = counts[3];
    found.confusion.assign(counts.begin() + ClassCounts::totals_size, counts.end());
  } else {
    found.true_positives = counts[0], found.false_positives = counts[1], found.false_negatives = counts[2], found.true_negatives = counts[3];
    found.undefined = counts[4], found.soft_targets = counts[5];
  }
}

template <class T>
void MetricCounter<T>::total_errors(MetricStatistics& found) {
  OutputTotals totals;
  if (part_.has_outputs) {
    std::vector<std::int64_t> rows(static_cast<std::size_t>(part_.blocks), 0);
    std::ranges::copy(counted_, rows.begin() + part_.own.first);
    grid_.data().all_reduce(std::span(rows));
    const auto mine = Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), sums_);
    totals = merge_blocks(grid_.data(), rows, std::span<const OutputSums>(mine.data(), mine.size()), compared_, places_);
    if (!part_.counts) totals = {};
  }
  totals.channels.resize(static_cast<std::size_t>(places_.channels));
  const std::vector<double> told = totals.numbers(), all = grid_.run().all_gather(std::span<const double>(told));
  for (std::size_t at = 0; at < all.size(); at += told.size()) found.errors.add(OutputTotals::from(std::span(all).subspan(at, told.size())));
}

template <class T>
MetricStatistics MetricCounter<T>::total() {
  MetricStatistics found;
  found.targets = targets_.type;
  found.samples = rows_;
  found.outputs = term_.output.size();
  found.pixels = found.outputs / term_.output[0];
  if (targets_.type != LossKind::Targets::values) total_counts(found);
  if (classes_ == 0) total_errors(found);
  if (scores_) found.auroc = scores_->area(grid_.run(), part_.counts);
  // Each rank that shares a sample's pixels has the whole error of the sample.
  if (relative_) relative_->total(grid_.run(), part_.counts && grid_.place().spatial_rank() == 0, found);
  return found;
}

template class MetricCounter<float>;
template class MetricCounter<double>;

}  // namespace trireme
