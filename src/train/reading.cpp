#include "train/reading.hpp"

#include <utility>

#include "base/error.hpp"
#include "layers/spatial.hpp"

namespace trireme {

namespace {

// One number for all channels, or one for each.
double per_channel(const std::vector<double>& values, std::int64_t channel, double fallback) {
  if (values.empty()) return fallback;
  return values[values.size() == 1 ? 0 : static_cast<std::size_t>(channel)];
}

/// The targets that a loss is defined for.
void bound(const Deck& deck, ValueRule& rule) {
  const std::string& kind = deck.text("loss.kind");
  if (kind != "bce" && kind != "bce_with_logits") return;
  rule.low = 0;
  rule.high = 1;
  rule.bounded_by = "loss.kind = " + kind;
}

}  // namespace

ShardNames shard_names(const Deck& deck, bool labelled) {
  ShardNames names{.features = deck.text("data.features"),
                   .labels = labelled ? deck.text("data.labels") : "",
                   .allow_unwritten = deck.boolean("data.allow_unwritten"),
                   .allow_external = deck.boolean("data.allow_external")};
  names.axes = AxisOrder::parse(deck.text("data.axes"), "data.axes");
  names.label_axes = AxisOrder::parse(deck.text("data.label_axes"), "data.label_axes");
  names.netcdf = deck.boolean("data.netcdf");
  return names;
}

Normalisation normalisation(const Deck& deck, const Shape& input) {
  const double scale = deck.real("data.scale");
  const auto mean = deck.reals("data.mean"), deviation = deck.reals("data.std");
  const std::int64_t channels = channels_of(input);
  for (const auto& [key, list] : {std::pair{"data.mean", mean}, std::pair{"data.std", deviation}})
    if (list.size() > 1 && list.size() != static_cast<std::size_t>(channels))
      throw usage_error("{} has {} numbers; the model's input {} has {} channels. Expected 1 or {} numbers", key, list.size(), input.text(), channels,
                        channels);
  Normalisation found;
  for (std::int64_t c = 0; c < channels; ++c) {
    const double std = per_channel(deviation, c, 1);
    if (std == 0) throw usage_error("data.std has a 0 (channel {}); inputs are divided by it", c);
    found.factor.push_back(scale / std);
    found.shift.push_back(-per_channel(mean, c, 0) / std);
  }
  return found;
}

ValueRule feature_rule(const Deck& deck, const Shape& input, const LabelDemand& labels, bool single) {
  ValueRule rule;
  rule.single = single;
  const bool plain = deck.real("data.scale") == 1 && deck.reals("data.mean").empty() && deck.reals("data.std").empty();
  if (!plain) {
    Normalisation made = normalisation(deck, input);
    rule.factor = std::move(made.factor);
    rule.shift = std::move(made.shift);
  }
  if (labels.kind == LabelDemand::Kind::features) bound(deck, rule);
  if (deck.text("data.missing") == "mean") {
    if (deck.reals("data.mean").empty())
      throw usage_error("data.missing = mean needs data.mean, which is not given. Hint: trireme inspect DIR --statistics prints it as lines for the deck");
    if (deck.real("data.scale") == 0) throw usage_error("data.missing = mean has no meaning with data.scale = 0");
    rule.instead.clear();
    for (std::size_t c = 0; c < rule.factor.size(); ++c) rule.instead.push_back(-rule.shift[c] / rule.factor[c]);
  }
  return rule;
}

ValueRule label_rule(const Deck& deck, const LabelDemand& labels, bool single) {
  ValueRule rule;
  rule.single = single;
  if (labels.kind == LabelDemand::Kind::values) bound(deck, rule);
  return rule;
}

}  // namespace trireme
