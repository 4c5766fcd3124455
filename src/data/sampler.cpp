#include "data/sampler.hpp"

#include <algorithm>
#include <limits>
#include <numeric>
#include <span>
#include <utility>

#include "base/error.hpp"

namespace trireme {

namespace {

constexpr std::uint64_t order_purpose = 0x6F72646572;  // "order"

/// Fisher-Yates shuffle.
void shuffle(std::span<std::uint32_t> values, RandomStream& random) {
  for (std::size_t n = values.size(); n > 1; --n) std::swap(values[n - 1], values[random.below(n)]);
}

std::int64_t divide_up(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

}  // namespace

Sampler::Sampler(std::vector<std::int64_t> starts, std::int64_t batch, std::int64_t chunk, std::int64_t window, std::uint64_t seed, Draw draw)
    : starts_(std::move(starts)), batch_(batch), chunk_(chunk), window_(0), seed_(seed), draw_(draw) {
  if (starts_.empty() || starts_.back() <= 0 || batch <= 0 || chunk <= 0 || window <= 0)
    throw internal_error("Sampler: batch {}, chunk {} and window {} must be positive, and the data must have rows", batch, chunk, window);
  chunk_starts_.push_back(0);
  for (std::size_t s = 0; s + 1 < starts_.size(); ++s) chunk_starts_.push_back(chunk_starts_.back() + divide_up(starts_[s + 1] - starts_[s], chunk_));
  if (chunk_starts_.back() > std::numeric_limits<std::uint32_t>::max())
    throw usage_error("{} rows in chunks of {} are {} chunks; at most {} chunks can be shuffled. Hint: set a larger data.chunk", starts_.back(), chunk_,
                      chunk_starts_.back(), std::numeric_limits<std::uint32_t>::max());
  window_ = std::min(divide_up(window, batch_), batches()) * batch_;
}

std::int64_t Sampler::batches() const { return divide_up(starts_.back(), batch_); }
std::int64_t Sampler::windows() const { return divide_up(starts_.back(), window_); }

RowRun Sampler::chunk(std::uint32_t id) const {
  const auto after = std::upper_bound(chunk_starts_.begin(), chunk_starts_.end(), std::int64_t{id});
  const auto shard = static_cast<std::size_t>(after - chunk_starts_.begin() - 1);
  const std::int64_t first = starts_[shard] + (id - chunk_starts_[shard]) * chunk_;
  return {first, std::min(chunk_, starts_[shard + 1] - first)};
}

void Sampler::order_chunks(std::int64_t epoch) const {
  if (epoch == ordered_epoch_) return;
  ordered_epoch_ = -1;
  order_.resize(static_cast<std::size_t>(chunk_starts_.back()));
  for (std::size_t i = 0; i < order_.size(); ++i) order_[i] = static_cast<std::uint32_t>(i);
  RandomStream random(mix(mix(seed_, order_purpose), static_cast<std::uint64_t>(epoch)));
  if (draw_ != Draw::in_order) shuffle(order_, random);
  window_starts_.clear();
  std::int64_t before = 0;  // rows of the earlier chunks
  for (std::uint32_t i = 0; i < order_.size(); ++i) {
    const std::int64_t after = before + chunk(order_[i]).count;
    for (std::int64_t start; (start = static_cast<std::int64_t>(window_starts_.size()) * window_) < after;) window_starts_.push_back({i, start - before});
    before = after;
  }
  ordered_epoch_ = epoch;
}

void Sampler::window(std::int64_t epoch, std::int64_t w, Window& out) const {
  order_chunks(epoch);
  const std::int64_t rows = std::min(window_, starts_.back() - w * window_);
  choose_runs(w, rows, out.runs);
  draw_batches(rows, RandomStream(mix(mix(seed_, order_purpose), static_cast<std::uint64_t>(epoch)), static_cast<std::uint64_t>(w) + 1), out.batch);
}

void Sampler::choose_runs(std::int64_t w, std::int64_t rows, std::vector<RowRun>& runs) const {
  runs.clear();
  const Cut cut = window_starts_[static_cast<std::size_t>(w)];
  std::int64_t offset = cut.offset, missing = rows;
  for (std::uint32_t i = cut.chunk; missing > 0; ++i, offset = 0) {
    const RowRun whole = chunk(order_[i]);
    const RowRun part{whole.first + offset, std::min(whole.count - offset, missing)};
    runs.push_back(part);
    missing -= part.count;
  }
  std::sort(runs.begin(), runs.end(), [](const RowRun& a, const RowRun& b) { return a.first < b.first; });
  std::size_t last = 0;
  for (std::size_t i = 1; i < runs.size(); ++i) {
    if (runs[last].first + runs[last].count == runs[i].first)
      runs[last].count += runs[i].count;
    else
      runs[++last] = runs[i];
  }
  runs.resize(last + 1);
}

/// Assigns a batch to each of the window's ascending rows. A permutation of batch numbers over ascending rows is the same as a permutation of the
/// rows with each batch sorted.
void Sampler::draw_batches(std::int64_t rows, RandomStream random, std::vector<std::uint32_t>& batch) const {
  batch.resize(static_cast<std::size_t>(rows));
  const std::int64_t full = rows / batch_, rest = rows % batch_;
  auto at = batch.begin();
  if (draw_ != Draw::from_strata) {
    for (std::int64_t b = 0; b < full; ++b) at = std::fill_n(at, batch_, static_cast<std::uint32_t>(b));
    std::fill_n(at, rest, static_cast<std::uint32_t>(full));
    if (draw_ == Draw::freely) shuffle(batch, random);
    return;
  }
  // The last batch of an epoch may be smaller: it has a row in `rest` of the strata, evenly spaced.
  for (std::int64_t stratum = 0, rests = 0; stratum < batch_; ++stratum) {
    const std::int64_t rests_after = (stratum + 1) * rest / batch_;
    const auto size = static_cast<std::size_t>(full + rests_after - rests);
    std::iota(at, at + static_cast<std::ptrdiff_t>(size), 0u);
    shuffle({at, size}, random);
    at += static_cast<std::ptrdiff_t>(size);
    rests = rests_after;
  }
}

std::vector<std::vector<std::int64_t>> Sampler::window(std::int64_t epoch, std::int64_t w) const {
  Window flat;
  window(epoch, w, flat);
  std::vector<std::vector<std::int64_t>> by_batch(static_cast<std::size_t>(divide_up(static_cast<std::int64_t>(flat.batch.size()), batch_)));
  auto batch = flat.batch.begin();
  for (const RowRun& run : flat.runs)
    for (std::int64_t i = 0; i < run.count; ++i) by_batch[*batch++].push_back(run.first + i);
  return by_batch;
}

}  // namespace trireme
