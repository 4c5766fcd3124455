#include "data/window_plan.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

namespace trireme {

namespace {
std::int64_t divide_up(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }
}  // namespace

Planner::Planner(Sampler sampler, std::int64_t size, std::int64_t batch, int rank, int ranks, std::int64_t most)
    : sampler_(std::move(sampler)), size_(size), batch_(batch), rank_(rank), ranks_(ranks), reach_{0, size} {
  batches_ = sampler_->batches();
  batches_per_window_ = sampler_->batches_per_window();
  const std::int64_t largest = std::min(batch, size), even = share_of(largest, rank, ranks).count;
  largest_share_ = most > 0 ? std::min(std::max(most, even), largest) : even;
  most_rows_ = largest_share_ * std::min(batches_, batches_per_window_);
}

Planner::Planner(std::int64_t size, std::int64_t batch, std::int64_t window, int rank, int ranks)
    : size_(size), batch_(divide_up(batch, ranks)), rank_(rank), ranks_(ranks) {
  const Share block = share_of(size, rank, ranks);
  reach_ = {block.first, block.count};
  batches_ = divide_up(share_of(size, 0, ranks).count, batch_);
  batches_per_window_ = std::min(batches_, divide_up(divide_up(window, ranks), batch_));
  largest_share_ = std::min(batch_, block.count);
  most_rows_ = std::min(block.count, batches_per_window_ * batch_);
}

Planner::Size Planner::size_of_batch(std::int64_t index, const Shares& shares) const {
  if (!sequential()) {
    const std::int64_t count = std::min(batch_, size_ - index * batch_);
    const Share mine = shares.of(count, rank_);
    return {count, mine.first, mine.count};
  }
  // Ranks below size % ranks own one row more than the others.
  const std::int64_t each = size_ / ranks_, longer = size_ % ranks_;
  const auto left = [&](std::int64_t rows) { return std::clamp<std::int64_t>(rows - index * batch_, 0, batch_); };
  const std::int64_t of_longer = left(each + 1), of_other = left(each);
  const auto of_first = [&](std::int64_t ranks) { return std::min(ranks, longer) * of_longer + std::max<std::int64_t>(0, ranks - longer) * of_other; };
  return {of_first(ranks_), of_first(rank_), rank_ < longer ? of_longer : of_other};
}

void Planner::plan(std::int64_t epoch, std::int64_t window, bool rows_as_places, const Shares& shares, WindowPlan& plan) {
  plan.epoch = epoch;
  plan.window = window;
  plan.shares = shares;
  const std::int64_t first_batch = window * batches_per_window_;
  plan.batches = std::min(batches_per_window_, batches_ - first_batch);
  plan.begin.assign(1, 0);
  for (std::int64_t b = 0; b < plan.batches; ++b) {
    const Size size = size_of_batch(first_batch + b, shares);
    plan.begin.push_back(plan.begin.back() + (rows_as_places && !sequential() ? size.global_count : size.count));
  }
  plan.places.resize(static_cast<std::size_t>(plan.begin.back()));
  plan.runs.clear();
  if (sequential())
    plan_sequential(rows_as_places, plan);
  else
    plan_shuffled(rows_as_places, plan);
}

void Planner::plan_shuffled(bool rows_as_places, WindowPlan& plan) {
  sampler_->window(plan.epoch, plan.window, rows_);
  // Rows come in ascending order, so the position of a row within its batch is the number of rows of that batch seen before.
  // The counter is that number minus the start of the wanted range (this rank's share, or all): rows in [0, count) are wanted.
  met_.clear();
  for (std::int64_t b = 0; b < plan.batches; ++b) met_.push_back(rows_as_places ? 0 : -size_of_batch(plan.window * batches_per_window_ + b, plan.shares).first);
  std::int64_t kept = 0;
  const std::uint32_t* batch = rows_.batch.data();
  for (const RowRun& run : rows_.runs) {
    for (std::int64_t row = run.first; row < run.first + run.count; ++row) {
      const std::uint32_t b = *batch++;
      const std::int64_t place = met_[b]++, start = plan.begin[b];
      if (place < 0 || place >= plan.begin[b + 1] - start) continue;
      plan.places[static_cast<std::size_t>(start + place)] = rows_as_places ? row : kept++;
      if (rows_as_places) continue;
      if (plan.runs.empty() || plan.runs.back().first + plan.runs.back().count != row)
        plan.runs.push_back({row, 1});
      else
        ++plan.runs.back().count;
    }
  }
}

void Planner::plan_sequential(bool rows_as_places, WindowPlan& plan) const {
  const std::int64_t offset = plan.window * batches_per_window_ * batch_, count = plan.begin.back();
  std::iota(plan.places.begin(), plan.places.end(), rows_as_places ? offset : 0);
  if (count > 0 && !rows_as_places) plan.runs.push_back({reach_.first + offset, count});
}

}  // namespace trireme
