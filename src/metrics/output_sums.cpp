#include "metrics/output_sums.hpp"

#include <algorithm>
#include <vector>

namespace trireme {

namespace {

void add_scaled(LongSum& to, double factor, const LongSum& x) {
  to.add_product(factor, x.high);
  to.add_product(factor, x.low);
}

LongSum square(double x) {
  LongSum sum;
  sum.add_square(x);
  return sum;
}

/// Adds output number o. `block(b)`: its sums over block b.
template <class Block>
void add_output(std::span<const std::int64_t> rows, const Block& block, std::int64_t o, const OutputPlaces& places, OutputTotals& totals) {
  OutputSums all;
  double count = 0;
  for (std::size_t b = 0; b < rows.size(); ++b) {
    if (rows[b] == 0) continue;
    const OutputSums& sums = block(b);
    if (sums.count == 0) continue;
    if (count == 0) all.pivot = sums.pivot;
    const double n = sums.count, off = sums.pivot - all.pivot;
    totals.low = std::min(totals.low, sums.low);
    totals.high = std::max(totals.high, sums.high);
    count += n;
    all.absolute.add(sums.absolute);
    all.squared.add(sums.squared);
    all.shift.add(sums.shift);
    all.spread.add(sums.spread);
    if (off == 0) continue;
    // t - pivot of all = (t - pivot of the block) + off
    all.shift.add_product(n, off);
    add_scaled(all.spread, 2 * off, sums.shift);
    add_scaled(all.spread, n, square(off));
  }
  if (count == 0) return;
  totals.absolute.add(all.absolute);
  totals.count += count;
  totals.squared.add(all.squared);
  OutputTotals::Channel& channel = totals.channels[static_cast<std::size_t>(o % places.channels)];
  channel.squared.add(all.squared);
  channel.count += count;
  if (!places.row_weights.empty()) {
    const auto row = static_cast<std::size_t>(o / places.channels / places.width) % places.row_weights.size();
    add_scaled(totals.weighted_squared, places.row_weights[row], all.squared);
    totals.weight.add_product(places.row_weights[row], count);
  }
  if (all.spread.value() == 0) return;  // every target is the pivot
  // About their mean, which lies `mean` from the pivot.
  const double mean = all.shift.value() / count;
  LongSum spread = all.spread;
  add_scaled(spread, -2 * mean, all.shift);
  add_scaled(spread, count, square(mean));
  totals.r2.add(1 - all.squared.value() / spread.value());
  ++totals.varying;
}

}  // namespace

void OutputTotals::add(const OutputTotals& other) {
  absolute.add(other.absolute);
  r2.add(other.r2);
  varying += other.varying;
  count += other.count;
  low = std::min(low, other.low);
  high = std::max(high, other.high);
  squared.add(other.squared);
  weighted_squared.add(other.weighted_squared);
  weight.add(other.weight);
  channels.resize(std::max(channels.size(), other.channels.size()));
  for (std::size_t c = 0; c < other.channels.size(); ++c) {
    channels[c].squared.add(other.channels[c].squared);
    channels[c].count += other.channels[c].count;
  }
}

std::vector<double> OutputTotals::numbers() const {
  std::vector<double> all{static_cast<double>(varying), count, low, high};
  const auto add = [&](const LongSum& sum) { all.insert(all.end(), {sum.high, sum.low}); };
  for (const LongSum* sum : {&absolute, &r2, &squared, &weighted_squared, &weight}) add(*sum);
  for (const Channel& channel : channels) add(channel.squared), all.push_back(channel.count);
  return all;
}

OutputTotals OutputTotals::from(std::span<const double> numbers) {
  std::size_t at = 0;
  const auto next = [&] { return numbers[at++]; };
  const auto sum = [&] {
    const double high = next();
    return LongSum{high, next()};
  };
  OutputTotals totals;
  totals.varying = static_cast<std::int64_t>(next());
  totals.count = next(), totals.low = next(), totals.high = next();
  for (LongSum* of : {&totals.absolute, &totals.r2, &totals.squared, &totals.weighted_squared, &totals.weight}) *of = sum();
  while (at < numbers.size()) {
    const LongSum squared = sum();
    totals.channels.push_back({squared, next()});
  }
  return totals;
}

OutputTotals merge_blocks(const Communicator& comm, std::span<const std::int64_t> rows, std::span<const OutputSums> mine, std::int64_t outputs,
                          const OutputPlaces& places) {
  static_assert(sizeof(OutputSums) % sizeof(double) == 0);
  constexpr std::int64_t doubles = sizeof(OutputSums) / sizeof(double), most = std::int64_t{1} << 22;  // doubles that a rank sends at a time
  const int ranks = comm.size();
  const auto blocks = static_cast<std::int64_t>(rows.size());
  OutputTotals totals;
  totals.channels.resize(static_cast<std::size_t>(places.channels));
  if (ranks == 1) {
    for (std::int64_t o = 0; o < outputs; ++o)
      add_output(
          rows, [&](std::size_t b) -> const OutputSums& { return mine[b * static_cast<std::size_t>(outputs) + static_cast<std::size_t>(o)]; }, o, places,
          totals);
    return totals;
  }
  const Share own = share_of(blocks, comm.rank(), ranks);
  // The same on all ranks: the first has no fewer blocks than others.
  const std::int64_t at_a_time = std::max<std::int64_t>(most / (doubles * share_of(blocks, 0, ranks).count), ranks);
  std::vector<OutputSums> sent, came;
  std::vector<int> send_counts(static_cast<std::size_t>(ranks)), send_starts(send_counts), counts(send_counts), starts(send_counts);
  for (std::int64_t first = 0; first < outputs; first += at_a_time) {
    const std::int64_t now = std::min(at_a_time, outputs - first);
    const auto width = [&](int r) { return share_of(now, r, ranks); };
    sent.clear();
    std::int64_t coming = 0;
    for (int r = 0; r < ranks; ++r) {
      const auto i = static_cast<std::size_t>(r);
      send_starts[i] = static_cast<int>(doubles * std::ssize(sent));
      for (std::int64_t b = 0; b < own.count; ++b) {
        const auto from = mine.begin() + b * outputs + first + width(r).first;
        sent.insert(sent.end(), from, from + width(r).count);
      }
      send_counts[i] = static_cast<int>(doubles * std::ssize(sent)) - send_starts[i];
      starts[i] = static_cast<int>(doubles * coming);
      counts[i] = static_cast<int>(doubles * share_of(blocks, r, ranks).count * width(comm.rank()).count);
      coming += share_of(blocks, r, ranks).count * width(comm.rank()).count;
    }
    came.resize(static_cast<std::size_t>(coming));
    comm.begin_all_to_all(reinterpret_cast<const double*>(sent.data()), send_counts.data(), send_starts.data(), reinterpret_cast<double*>(came.data()),
                          counts.data(), starts.data())
        .wait();
    const auto here = static_cast<std::size_t>(width(comm.rank()).count);
    for (std::size_t o = 0; o < here; ++o)
      add_output(
          rows, [&](std::size_t b) -> const OutputSums& { return came[b * here + o]; }, first + width(comm.rank()).first + static_cast<std::int64_t>(o), places,
          totals);
  }
  return totals;
}

}  // namespace trireme
