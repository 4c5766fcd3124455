#include "config/exclusions.hpp"

#include <fmt/ranges.h>

#include <algorithm>

#include "base/error.hpp"

namespace trireme {

namespace {

Condition is(const char* key, std::vector<std::string> values) { return {key, std::move(values)}; }
Condition above(const char* key, double least) { return {key, {}, least}; }

std::vector<std::string> texts(const Exclusion& exclusion, const Deck* deck) {
  std::vector<std::string> all;
  for (const Condition& condition : exclusion.conditions) all.push_back(deck == nullptr ? condition.text() : condition.text(*deck));
  return all;
}

}  // namespace

bool Condition::holds(const Deck& deck) const {
  const std::string& value = deck.text(key);
  return values.empty() ? parse_real(value, key) > above : std::ranges::find(values, value) != values.end();
}

std::string Condition::text() const { return values.empty() ? fmt::format("{} > {:g}", key, above) : fmt::format("{} = {}", key, fmt::join(values, " or ")); }

std::string Condition::text(const Deck& deck) const { return fmt::format("{} = {}", key, deck.text(key)); }

const std::vector<Exclusion>& exclusions() {
  static const std::vector<Exclusion> table{
      {{is("data.target", {"features"}), is("loss.kind", {"cross_entropy"})},
       "cross_entropy takes class numbers, and features are none",
       "set loss.kind = mse"},
      {{is("parallel.reduce", {"hierarchical"}), is("optimizer.shard", {"true"})},
       "the hierarchical reduction needs the full sum on each node's first rank, and with optimizer.shard no rank has it",
       "leave parallel.reduce = auto"},
      {{is("parallel.reduce", {"hierarchical"}), is("parallel.reduce_dtype", {"bf16"})},
       "the hierarchical reduction needs the full sum on each node's first rank, and with compressed gradients no rank has it",
       "leave parallel.reduce = auto"},
      {{is("parallel.reduce_dtype", {"bf16"}), is("train.precision", {"fp64"})},
       "gradients of 53 significant bits would be sent with 8",
       "set parallel.reduce_dtype = full"},
      {{above("data.virtual_ranks", 0), is("parallel.reduce", {"hierarchical"})},
       "gradients of virtual ranks are summed in a fixed tree",
       "leave parallel.reduce = auto"},
      {{above("data.virtual_ranks", 0), is("parallel.reduce_dtype", {"bf16"})},
       "gradients of virtual ranks are summed at full precision",
       "set parallel.reduce_dtype = full"},
      {{above("data.virtual_ranks", 0), above("train.accumulate", 1)},
       "virtual ranks are computed one by one, so that they need the memory of one",
       "multiply data.batch and data.virtual_ranks by train.accumulate, and set train.accumulate = 1"},
      {{above("data.virtual_ranks", 0), is("parallel.balance", {"measured"})},
       "the samples of a rank would depend on measured times, and with virtual ranks no result depends on time",
       "set parallel.balance = even"},
      {{above("data.virtual_ranks", 0), is("optimizer.shard", {"true"}), above("optimizer.clip_norm", 0)},
       "the norm of the gradient would be summed rank by rank, so that its bits would depend on the number of ranks",
       "set optimizer.shard = false"},
      {{above("data.virtual_ranks", 0), is("optimizer.shard", {"true"}), is("optimizer.kind", {"lars", "lamb"})},
       "norms of parameters would be summed rank by rank, so that their bits would depend on the number of ranks",
       "set optimizer.shard = false"},
      {{above("data.mixup", 0), is("data.virtual_ranks", {"0"})},
       "the samples that are mixed would depend on the number of ranks",
       "set data.virtual_ranks, for example to the largest number of ranks; 1 mixes the whole batch on one rank"},
      {{is("numerics.on_nonfinite", {"rollback"}), is("task.mode", {"average", "tournament"})},
       "a task that goes back would not meet the others again",
       "set numerics.on_nonfinite = skip or stop"},
  };
  return table;
}

void check_exclusions(const Deck& deck) {
  for (const Exclusion& exclusion : exclusions()) {
    if (!std::ranges::all_of(exclusion.conditions, [&](const Condition& condition) { return condition.holds(deck); })) continue;
    throw usage_error("deck '{}': {} exclude each other: {}. Hint: {}", deck.origin(), fmt::join(texts(exclusion, &deck), " and "), exclusion.because,
                      exclusion.remedy);
  }
}

}  // namespace trireme
