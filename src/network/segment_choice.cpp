// Chooses the borders between segments (recompute.hpp). The estimate of memory counts, during the backward pass of a segment [i, j): the values that earlier
// segments keep for later ones; what the segment keeps for its own backward pass up to step t; and the gradients that are alive at t. For a number of segments
// and a limit of memory, dynamic programming finds the borders that keep least; bisection finds the smallest limit. `smallest` compares the plans of several
// such choices.
#include <algorithm>
#include <cmath>
#include <optional>
#include <set>

#include "network/activation_memory.hpp"
#include "network/recompute.hpp"

namespace trireme {

namespace {

using Bytes = std::int64_t;
constexpr Bytes endless = std::numeric_limits<Bytes>::max() / 4;

/// Segments may begin at these steps; the first is 0, and the last is the number of steps.
template <class T>
std::vector<std::size_t> borders_of(const StepGraph<T>& graph) {
  const std::size_t n = graph.steps.size();
  std::vector<bool> possible(n + 1, true);
  const auto join = [&](std::size_t producer, std::size_t consumer) {
    for (std::size_t p = producer + 1; p <= consumer; ++p) possible[p] = false;
  };
  for (std::size_t i = 0; i < n; ++i) {
    const Step<T>& step = graph.steps[i];
    if (step.inputs.empty() || step.inputs[0] == 0) continue;
    // Of the program before fusion, which is that of all ranks: value v is of step v - 1.
    if (capability<const IsEpilogue>(std::as_const(*step.layer)) != nullptr) join(step.inputs[0] - 1, i);
    if (step.in_place) join(graph.producer[step.inputs[0]], i);
  }
  std::vector<std::size_t> borders;
  for (std::size_t p = 0; p <= n; ++p)
    if (possible[p] || p == n) borders.push_back(p);
  return borders;
}

template <class T>
class SegmentCosts {
 public:
  SegmentCosts(const StepGraph<T>& graph, const ExecutionOrder& order, std::int64_t samples, int slots)
      : graph_(graph), order_(order), samples_(samples), slots_(slots), borders_(borders_of(graph)) {
    const std::size_t n = graph.steps.size();
    read_.assign(n, {});
    stored_.assign(n + 1, 0);
    gradients_.assign(n, 0);
    count_values();
    count_gradients();
    for (std::size_t i = 0; i < n; ++i) stored_[i + 1] += stored_[i];
    fill();
  }

  /// The borders, without the last, of `count` segments, or of any number if it is 0.
  std::vector<std::size_t> best(std::size_t count) const {
    Bytes low = 0, high = 1;
    while (!within(high, count)) low = high, high *= 2;
    for (int k = 0; k < 24 && high - low > high / 256; ++k) {
      const Bytes middle = low + (high - low) / 2;
      (within(middle, count) ? high : low) = middle;
    }
    return *within(high, count);
  }

  std::size_t most_segments() const { return borders_.size() - 1; }

 private:
  Bytes bytes_of(std::size_t value) const { return samples_ * graph_.shapes[value].size() * static_cast<Bytes>(sizeof(T)); }

  /// Values by the step that makes their memory: whether backward reads it, and the last step that reads it forward.
  void count_values() {
    std::vector<std::size_t> root(graph_.shapes.size(), no_index);
    std::vector<bool> stored(graph_.steps.size());
    for (std::size_t value = 1; value < graph_.shapes.size(); ++value) {
      if (!graph_.is_made(value)) continue;
      const std::size_t producer = graph_.producer[value];
      const Step<T>& step = graph_.steps[producer];
      const bool shared = step.in_place && step.inputs[0] > 0;
      root[value] = shared ? root[step.inputs[0]] : producer;
      Read& read = read_[root[value]];
      if (!shared) read.bytes = bytes_of(value);
      if (step.layer->needs().output_in_backward) stored[root[value]] = true;
      for (const std::size_t consumer : graph_.consumers[value]) {
        read.last = std::max(read.last, consumer);
        if (graph_.steps[consumer].layer->needs().input_in_backward) stored[root[value]] = true;
      }
    }
    for (std::size_t i = 0; i < graph_.steps.size(); ++i) {
      const LayerNeeds& needs = graph_.steps[i].layer->needs();
      if (!graph_.steps[i].fused_into) stored_[i + 1] += needs.state + samples_ * needs.state_per_sample;
      if (stored[i]) stored_[i + 1] += read_[i].bytes;
    }
  }

  /// Gradients that are alive at the backward pass of each step, as in the memory plan.
  void count_gradients() {
    std::vector<std::size_t> block(graph_.shapes.size(), no_index);
    struct Life {
      std::size_t first, last;
      Bytes bytes;
    };
    std::vector<Life> lives;
    for (std::size_t value = graph_.shapes.size(); value-- > 1;) {
      if (!order_.has_gradient(graph_, value)) continue;
      const auto& consumers = graph_.consumers[value];
      const std::size_t last = consumers.empty() ? graph_.steps.size() - 1 : consumers.back();
      if (consumers.size() == 1 && graph_.steps[consumers[0]].in_place)
        block[value] = block[graph_.steps[consumers[0]].result];
      else
        block[value] = lives.size(), lives.push_back({last, last, bytes_of(value)});
      if (block[value] != no_index) lives[block[value]].first = graph_.producer[value];
      for (std::size_t c = 0; c + 1 < consumers.size(); ++c)
        if (order_.wanted[value]) gradients_[consumers[c]] += bytes_of(value);
    }
    for (const Life& life : lives)
      for (std::size_t t = life.first; t <= life.last; ++t) gradients_[t] += life.bytes;
  }

  /// For each segment: what it keeps for later segments, and its largest memory in addition to what earlier ones keep.
  void fill() {
    const std::size_t m = borders_.size();
    kept_.assign(m * m, 0), largest_.assign(m * m, 0);
    for (std::size_t j = 1; j < m; ++j) {
      Bytes kept = 0;
      std::size_t t = borders_[j];
      for (std::size_t i = j; i-- > 0;) {
        for (; t > borders_[i]; --t)
          if (read_[t - 1].bytes > 0 && read_[t - 1].last >= borders_[j]) kept += read_[t - 1].bytes;
        kept_[i * m + j] = kept * slots_;
      }
    }
    for (std::size_t i = 0; i + 1 < m; ++i) {
      Bytes largest = 0;
      std::size_t t = borders_[i];
      for (std::size_t j = i + 1; j < m; ++j) {
        for (; t < borders_[j]; ++t) largest = std::max(largest, stored_[t + 1] - stored_[borders_[i]] + gradients_[t]);
        largest_[i * m + j] = std::max(largest, kept_[i * m + j]);
      }
    }
  }

  /// Borders that need at most `limit` bytes; empty: there are none.
  std::optional<std::vector<std::size_t>> within(Bytes limit, std::size_t count) const {
    const std::size_t m = borders_.size(), rounds = count == 0 ? 1 : count;
    // By segments so far and border: the least memory that they keep for later ones, and the border before.
    std::vector<std::vector<Bytes>> least(rounds + 1, std::vector<Bytes>(m, endless));
    std::vector<std::vector<std::size_t>> before(rounds + 1, std::vector<std::size_t>(m, no_index));
    least[0][0] = 0;
    for (std::size_t c = 1; c <= rounds; ++c) {
      if (count == 0) least[1][0] = 0;
      const auto& from = count == 0 ? least[1] : least[c - 1];
      for (std::size_t j = 1; j < m; ++j)
        for (std::size_t i = 0; i < j; ++i) {
          if (from[i] == endless || from[i] + largest_[i * m + j] > limit || from[i] + kept_[i * m + j] >= least[c][j]) continue;
          least[c][j] = from[i] + kept_[i * m + j];
          before[c][j] = i;
        }
    }
    if (before[rounds][m - 1] == no_index) return std::nullopt;
    std::vector<std::size_t> begins;
    std::size_t c = rounds;
    for (std::size_t j = m - 1; j > 0;) {
      j = before[c][j];
      begins.insert(begins.begin(), borders_[j]);
      if (count > 0) --c;
    }
    return begins;
  }

  struct Read {
    std::size_t last = 0;  // the last step that reads it
    Bytes bytes = 0;
  };
  const StepGraph<T>& graph_;
  const ExecutionOrder& order_;
  std::int64_t samples_;
  int slots_;
  std::vector<std::size_t> borders_;
  std::vector<Read> read_;             // by step that makes the memory
  std::vector<Bytes> stored_;          // sum over the steps before: kept from forward to backward
  std::vector<Bytes> gradients_;       // by step
  std::vector<Bytes> kept_, largest_;  // by pair of borders
};

/// Memory of activations with these segments. The graph is as before afterwards.
template <class T>
Bytes bytes_with(StepGraph<T>& graph, const ExecutionOrder& order, std::int64_t samples, int slots, const std::vector<std::size_t>& begins) {
  std::vector<bool> in_place;
  for (const Step<T>& step : graph.steps) in_place.push_back(step.in_place);
  ExecutionOrder changed = order;
  recompute_segments(graph, changed, begins, slots > 1);
  const Bytes bytes = plan_activations(graph, changed, samples, true, slots).bytes(slots);
  for (std::size_t i = 0; i < in_place.size(); ++i) graph.steps[i].in_place = in_place[i];
  return bytes;
}

}  // namespace

template <class T>
std::vector<std::size_t> choose_segments(StepGraph<T>& graph, const ExecutionOrder& order, std::int64_t samples, int slots, const RecomputeOption& option) {
  using enum RecomputeOption::Kind;
  if (option.kind == none || graph.steps.empty()) return {};
  const SegmentCosts<T> costs(graph, order, samples, slots);
  const std::size_t most = costs.most_segments(), fewest = slots > 1 ? 1 : 2;
  if (most < fewest) return {};
  if (option.kind == segments) {
    const auto wanted = static_cast<std::size_t>(option.segments);
    return wanted < fewest ? std::vector<std::size_t>() : costs.best(std::min(wanted, most));
  }
  std::vector<std::size_t> chosen;
  Bytes least = plan_activations(graph, order, samples, true, slots).bytes(slots);
  std::set<std::size_t> counts{0, 1, 2, 3, 4, 6, 8, static_cast<std::size_t>(std::lround(std::sqrt(static_cast<double>(most))))};
  for (const std::size_t count : counts) {
    if (count > most || (count > 0 && count < fewest)) continue;
    const std::vector<std::size_t> begins = costs.best(count);
    if (begins.size() < fewest) continue;
    const Bytes bytes = bytes_with(graph, order, samples, slots, begins);
    if (bytes < least) least = bytes, chosen = begins;
  }
  return chosen;
}

template std::vector<std::size_t> choose_segments(StepGraph<float>&, const ExecutionOrder&, std::int64_t, int, const RecomputeOption&);
template std::vector<std::size_t> choose_segments(StepGraph<double>&, const ExecutionOrder&, std::int64_t, int, const RecomputeOption&);

}  // namespace trireme
