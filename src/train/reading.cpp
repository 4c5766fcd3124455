#include "train/reading.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/error.hpp"
#include "base/text.hpp"
#include "layers/spatial.hpp"
#include "losses/loss_terms.hpp"
#include "train/arrays.hpp"

namespace trireme {

namespace {

// One number for all channels, or one per channel.
double per_channel(const std::vector<double>& values, std::int64_t channel, double fallback) {
  if (values.empty()) return fallback;
  return values[values.size() == 1 ? 0 : static_cast<std::size_t>(channel)];
}

/// The numbers that a loss takes as targets. `classes`: of targets that are class numbers; 0: they are not.
ValueDomain domain_of(const LossKind& kind, std::int64_t classes, const std::string& section) {
  const std::string set_by = section + "kind = " + kind.name;
  if (classes > 0) return {.classes = classes, .set_by = set_by};
  if (kind.targets == LossKind::Targets::values && !kind.classes_or_binary && !kind.probability_targets) return {};
  return {.low = 0, .high = 1, .set_by = set_by};
}

/// For each channel of the joined targets what its losses take. Losses may share a target: the narrowest domain counts.
std::vector<ValueDomain> domains_of(const std::vector<LossTerm>& terms) {
  std::vector<ValueDomain> domains(static_cast<std::size_t>(target_channels(terms)));
  for (const LossTerm& term : terms) {
    const std::int64_t classes = term.targets.numbers() || term.targets.maps() ? term.targets.classes : 0;
    const ValueDomain mine = domain_of(loss_kind(term.deck), classes, fmt::format("[loss {}] ", term.name));
    for (std::int64_t c = term.first_target; c < term.first_target + term.target_channels; ++c) {
      ValueDomain& domain = domains[static_cast<std::size_t>(c)];
      if (mine.classes > 0 && (domain.classes == 0 || mine.classes < domain.classes)) domain = mine;
      if (mine.bounded() && domain.classes == 0 && !domain.bounded()) domain = mine;
    }
  }
  return domains;
}

}  // namespace

ShardNames shard_names(const Deck& deck, bool labelled) {
  ShardNames names{.features = deck.text("data.features"),
                   .labels = labelled ? deck.text("data.labels") : "",
                   .allow_unwritten = deck.boolean("data.allow_unwritten"),
                   .allow_external = deck.boolean("data.allow_external")};
  names.netcdf = deck.boolean("data.netcdf");
  join_arrays(deck, names, labelled);
  if (!names.feature_arrays.empty()) return names;
  names.axes = AxisOrder::parse(deck.text("data.axes"), "data.axes");
  names.label_axes = AxisOrder::parse(deck.text("data.label_axes"), "data.label_axes");
  return names;
}

namespace {

/// The numbers of mean or std for `channels` channels: one for all, one for each, or one for each channel of a time step.
std::vector<double> spread(const DeckSection& section, const char* key, std::int64_t channels, double fallback) {
  const std::string& text = section.text(key);
  std::vector<double> given, all;
  for (const std::string& item : split(text, ',')) {
    if (item == "auto" || item.find(":/") != item.npos)
      throw usage_error("{} = {} is replaced by numbers when training begins; this command needs the numbers. Hint: use the deck.ini of the run directory",
                        section.full(key), text);
    given.push_back(parse_real(item, section.full(key)));
  }
  if (given.empty()) given = {fallback};
  const auto count = static_cast<std::int64_t>(given.size());
  if (channels % count != 0)
    throw usage_error("{} has {} numbers; the array has {} channels. Expected one number, one for each channel, or one for each channel of a time step",
                      section.full(key), count, channels);
  for (std::int64_t c = 0; c < channels; ++c) all.push_back(given[static_cast<std::size_t>(c % count)]);
  return all;
}

/// The normalization that [array NAME] gives; empty: none.
std::optional<Normalization> normalization_of(const Deck& deck, const std::string& name, std::int64_t channels) {
  const DeckSection* section = deck.section("array", name);
  if (section == nullptr || (section->real("scale") == 1 && section->text("mean").empty() && section->text("std").empty())) return std::nullopt;
  const double scale = section->real("scale");
  const std::vector<double> mean = spread(*section, "mean", channels, 0), deviation = spread(*section, "std", channels, 1);
  Normalization found;
  for (std::size_t c = 0; c < mean.size(); ++c) {
    if (deviation[c] < 0) throw usage_error("{} is {} for channel {}. Expected numbers above 0", section->full("std"), deviation[c], c);
    if (deviation[c] == 0 || scale == 0)
      throw usage_error("{} is 0 for channel {}. Expected another number, because the array is divided by it", section->full(scale == 0 ? "scale" : "std"), c);
    found.factor.push_back(scale / deviation[c]);
    found.shift.push_back(-mean[c] / deviation[c]);
  }
  return found;
}

/// The normalization of the features by their [array] sections; empty: none gives one.
std::optional<Normalization> normalization_of_arrays(const Deck& deck, const Shape& input) {
  Normalization all;
  bool any = false;
  const auto inputs = deck.inputs();
  for (const Deck::Input& one : inputs) {
    const std::int64_t channels = inputs.size() == 1 ? channels_of(input) : one.shape[0];
    const auto found = normalization_of(deck, one.name, channels);
    any = any || found;
    const auto plain = static_cast<std::size_t>(channels);
    const Normalization use = found.value_or(Normalization{std::vector<double>(plain, 1.0), std::vector<double>(plain, 0.0)});
    all.factor.insert(all.factor.end(), use.factor.begin(), use.factor.end());
    all.shift.insert(all.shift.end(), use.shift.begin(), use.shift.end());
  }
  if (!any) return std::nullopt;
  for (const char* key : {"data.scale", "data.mean", "data.std"})
    if (!deck.text(key).empty() && deck.text(key) != "1")
      throw usage_error("{} and the scale, mean or std of an [array] section are both given. Hint: keep one", key);
  return all;
}

}  // namespace

std::optional<Normalization> target_normalization(const LossTerm& term) {
  const auto found = normalization_of(term.deck, term.target, term.target_channels);
  if (!found) return found;
  const LossKind& kind = loss_kind(term.deck);
  if (term.deck.text("data.target") == "features")
    throw usage_error("[array labels] has a scale, mean or std, but data.target = features uses no labels. Hint: normalize [array features]");
  if (kind.targets != LossKind::Targets::values)
    throw usage_error("[array {}] has a scale, mean or std, but loss.kind = {} takes {}, which have no units. Hint: remove these keys", term.target, kind.name,
                      kind.targets == LossKind::Targets::classes ? "class numbers" : "numbers from 0 to 1");
  if (kind.outputs_per_target != 1)
    throw usage_error(
        "[array {}] has a scale, mean or std, but loss.kind = {} has {} outputs for each target, which have different units. Hint: remove these keys",
        term.target, kind.name, kind.outputs_per_target);
  return found;
}

namespace {

/// Whether a loss may have targets with a normalization.
bool may_normalize(const Deck& deck) { return has_loss_terms(deck) || deck.section("array", "labels") != nullptr; }

/// The normalizations of several losses, each of the channels from `first` on; others stay as they are.
std::optional<Normalization> joined(const std::vector<LossTerm>& terms, std::int64_t channels, std::int64_t LossTerm::*first) {
  const auto count = static_cast<std::size_t>(channels);
  Normalization all{std::vector<double>(count, 1.0), std::vector<double>(count, 0.0)};
  bool any = false;
  for (const LossTerm& term : terms) {
    const auto found = target_normalization(term);
    if (!found) continue;
    any = true;
    std::ranges::copy(found->factor, all.factor.begin() + term.*first);
    std::ranges::copy(found->shift, all.shift.begin() + term.*first);
  }
  return any ? std::optional(all) : std::nullopt;
}

}  // namespace

std::optional<Normalization> target_normalization(const Deck& deck, const Shape& output) {
  if (!may_normalize(deck)) return std::nullopt;
  const auto terms = loss_terms(deck, output);
  return joined(terms, target_channels(terms), &LossTerm::first_target);
}

std::optional<Normalization> output_normalization(const Deck& deck, const Shape& output) {
  if (!may_normalize(deck)) return std::nullopt;
  return joined(loss_terms(deck, output), channels_of(output), &LossTerm::first);
}

Normalization normalization(const Deck& deck, const Shape& input) {
  if (auto found = normalization_of_arrays(deck, input)) return *std::move(found);
  const double scale = deck.real("data.scale");
  const auto mean = deck.reals("data.mean"), deviation = deck.reals("data.std");
  const std::int64_t channels = channels_of(input);
  for (const auto& [key, list] : {std::pair{"data.mean", mean}, std::pair{"data.std", deviation}})
    if (list.size() > 1 && list.size() != static_cast<std::size_t>(channels))
      throw usage_error("{} has {} numbers; model.input = {} has {} channels. Expected 1 or {} numbers", key, list.size(), input.text(), channels, channels);
  Normalization found;
  for (std::int64_t c = 0; c < channels; ++c) {
    const double std = per_channel(deviation, c, 1);
    if (std == 0) throw usage_error("data.std is 0 for channel {}; inputs are divided by data.std, so it must not be 0", c);
    found.factor.push_back(scale / std);
    found.shift.push_back(-per_channel(mean, c, 0) / std);
  }
  return found;
}

namespace {

/// Refuses factors that are 0 or infinite in the precision of the run: every feature of the channel would be the same number, or infinite.
void require_usable(const Deck& deck, const Normalization& made, bool single) {
  const auto rounded = [&](double value) { return single ? static_cast<double>(static_cast<float>(value)) : value; };
  const auto list = [&](const char* key) { return deck.text(key).empty() ? "(not set)" : deck.text(key); };
  for (std::size_t c = 0; c < made.factor.size(); ++c) {
    const double factor = rounded(made.factor[c]), shift = rounded(made.shift[c]);
    if (factor != 0 && std::isfinite(factor) && std::isfinite(shift)) continue;
    throw usage_error(
        "data.scale = {}, data.mean = {} and data.std = {} turn a feature x of channel {} into x * {:.3g} + {:.3g}; in {} this is x * {:.3g} + "
        "{:.3g}, so all features would be {}. Hint: correct these keys; trireme inspect DIR --statistics prints them as lines for the deck",
        deck.text("data.scale"), list("data.mean"), list("data.std"), c, made.factor[c], made.shift[c], single ? "fp32" : "fp64", factor, shift,
        factor == 0 && std::isfinite(shift) ? "the same number" : "infinite");
  }
}

}  // namespace

ValueRule feature_rule(const Deck& deck, const Shape& input, const LabelDemand& labels, bool single) {
  ValueRule rule;
  rule.single = single;
  const bool plain = deck.real("data.scale") == 1 && deck.reals("data.mean").empty() && deck.reals("data.std").empty() && !normalization_of_arrays(deck, input);
  if (!plain) {
    Normalization made = normalization(deck, input);
    require_usable(deck, made, single);
    rule.factor = std::move(made.factor);
    rule.shift = std::move(made.shift);
  }
  if (labels.kind == LabelDemand::Kind::features && !has_loss_terms(deck)) rule.domains = {domain_of(loss_kind(deck), 0, "loss.")};
  if (deck.text("data.missing") == "mean") {
    const auto has_mean = [&](const Deck::Input& one) {
      const DeckSection* section = deck.section("array", one.name);
      return section != nullptr && !section->text("mean").empty();
    };
    if (deck.reals("data.mean").empty() && !std::ranges::all_of(deck.inputs(), has_mean))
      throw usage_error(
          "data.missing = mean needs data.mean, or the mean of each [array] of the features, and neither is set. Hint: set mean = auto in [array "
          "features], or data.mean; trireme inspect DIR --statistics prints it as lines for the deck");
    rule.instead.clear();
    for (std::size_t c = 0; c < rule.factor.size(); ++c) rule.instead.push_back(-rule.shift[c] / rule.factor[c]);
  }
  return rule;
}

namespace {

std::optional<Normalization> normalization_of_labels(const Deck& deck, const LabelDemand& labels) {
  if (has_loss_terms(deck)) return target_normalization(deck, labels.shape);
  LossTerm term{.name = "", .deck = deck, .target = "labels", .output = labels.shape, .targets = {}};
  term.target_channels = labels.shape.rank() > 0 ? channels_of(labels.shape) : labels.count;
  return target_normalization(term);
}

}  // namespace

ValueRule label_rule(const Deck& deck, const LabelDemand& labels, bool single) {
  ValueRule rule;
  rule.single = single;
  rule.labels = true;
  rule.ignored = labels.ignored;
  if (labels.kind != LabelDemand::Kind::values) return rule;
  if (has_loss_terms(deck)) {
    rule.domains = domains_of(loss_terms(deck, labels.shape));
    rule.ignorable = false;
  } else {
    rule.domains = {domain_of(loss_kind(deck), labels.classes, "loss.")};
  }
  if (auto units = normalization_of_labels(deck, labels)) {
    if (labels.ignored && !std::isnan(*labels.ignored))
      throw usage_error(
          "loss.ignore = {} does not go with a scale, mean or std of [array labels], which change labels. Hint: store labels that do not count as "
          "NaN and set loss.ignore = nan",
          deck.text("loss.ignore"));
    rule.factor = std::move(units->factor);
    rule.shift = std::move(units->shift);
  }
  return rule;
}

}  // namespace trireme
