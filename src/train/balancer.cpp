#include "train/balancer.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <numeric>
#include <queue>
#include <thread>

#include "base/error.hpp"
#include "base/share.hpp"

namespace trireme {

namespace {

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

double slowest(std::span<const double> rates, std::span<const std::int64_t> shares) {
  double seconds = 0;
  for (std::size_t r = 0; r < rates.size(); ++r) seconds = std::max(seconds, rates[r] * static_cast<double>(shares[r]));
  return seconds;
}

}  // namespace

std::vector<std::int64_t> balanced_shares(std::span<const double> seconds_per_sample, std::int64_t batch, std::int64_t most) {
  const std::size_t ranks = seconds_per_sample.size();
  const auto least = static_cast<std::int64_t>(ranks);
  if (batch < least || batch > least * most) throw internal_error("balanced_shares: {} samples for {} ranks of 1 to {}", batch, ranks, most);
  // A rank without samples would not be measured again, so each gets one. Each further sample goes to the rank that would finish it first. This is
  // optimal: no exchange of samples makes the slowest rank faster.
  std::vector<std::int64_t> shares(ranks, 1);
  using Next = std::pair<double, std::size_t>;
  std::priority_queue<Next, std::vector<Next>, std::greater<>> next;
  const auto offer = [&](std::size_t r) {
    if (shares[r] < most) next.emplace(seconds_per_sample[r] * static_cast<double>(shares[r] + 1), r);
  };
  for (std::size_t r = 0; r < ranks; ++r) offer(r);
  for (std::int64_t left = batch - least; left > 0; --left) {
    const std::size_t r = next.top().second;
    next.pop();
    ++shares[r];
    offer(r);
  }
  return shares;
}

Balancer::Balancer(const Communicator& comm, int place, int ranks, std::int64_t batch, std::int64_t most)
    : comm_(comm), place_(place), batch_(batch), most_(most), rates_(static_cast<std::size_t>(ranks), 0) {
  if (batch < ranks)
    throw usage_error(
        "parallel.balance = measured with data.batch = {} on {} ranks of the data axis: each rank needs at least one sample per batch. Hint: "
        "set a larger data.batch, or parallel.balance = even",
        batch, ranks);
  for (int r = 0; r < ranks; ++r) shares_.push_back(share_of(batch, r, ranks).count);
}

void Balancer::add(double own, double step, std::int64_t samples) {
  if (++steps_ <= warm_up) return;
  if (samples > 0) own_.push_back(own / static_cast<double>(samples));
  step_.push_back(step);
}

std::optional<std::vector<std::int64_t>> Balancer::decide() {
  if (steps_ < warm_up + period || (steps_ - warm_up) % period != 0) return std::nullopt;
  // Ranks with the same coordinate (parts of one model) are as slow as the slowest of them.
  std::vector<double> told(rates_.size() + 1, 0);
  if (!own_.empty()) told[static_cast<std::size_t>(place_)] = median(own_);
  told.back() = median(step_);
  own_.clear();
  step_.clear();
  comm_.all_reduce(std::span<double>(told), MPI_MAX);
  (changes_ == 0 ? even_steps_ : uneven_steps_).push_back(told.back());
  for (std::size_t r = 0; r < rates_.size(); ++r)
    if (told[r] > 0) rates_[r] = rates_[r] > 0 ? (rates_[r] + told[r]) / 2 : told[r];
  if (std::ranges::any_of(rates_, [](double rate) { return !(rate > 0); })) return std::nullopt;

  std::vector<std::int64_t> shares = balanced_shares(rates_, batch_, most_);
  if (slowest(rates_, shares) > (1 - worthwhile) * slowest(rates_, shares_)) return std::nullopt;
  ++changes_;
  shares_ = shares;
  return shares;
}

std::optional<Balancer::Gain> Balancer::gain() const {
  // The first period after a change may contain steps with the old shares.
  if (even_steps_.empty() || uneven_steps_.size() < 2) return std::nullopt;
  const auto last = std::min<std::ptrdiff_t>(4, std::ssize(uneven_steps_) - 1);
  return Gain{median(even_steps_), median(std::vector(uneven_steps_.end() - last, uneven_steps_.end()))};
}

SlowDown SlowDown::from_environment(int rank) {
  SlowDown slow;
  const char* const said = std::getenv("TRIREME_SLOW_RANK");
  if (said == nullptr) return slow;
  char* end = nullptr;
  const long slow_rank = std::strtol(said, &end, 10);
  const double factor = *end == ':' ? std::strtod(end + 1, &end) : 0;
  if (*end != '\0' || slow_rank < 0 || !(factor >= 1) || factor > 1000)
    throw usage_error("TRIREME_SLOW_RANK = '{}'. Expected RANK:FACTOR with a factor from 1 to 1000, as in 1:3", said);
  if (slow_rank == rank) slow.factor_ = factor;
  return slow;
}

void SlowDown::after(double seconds) const {
  if (active()) std::this_thread::sleep_for(std::chrono::duration<double>(seconds * (factor_ - 1)));
}

}  // namespace trireme
