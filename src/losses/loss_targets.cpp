// Which labels a loss needs.
#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>
#include <set>

#include "base/error.hpp"
#include "base/registry.hpp"
#include "losses/loss_function.hpp"
#include "losses/loss_terms.hpp"

namespace trireme {

namespace {

const bool keys_are_known = add_keys_of(loss_kinds());

bool is_default(const Deck& deck, const KeySpec& spec) {
  if (spec.type == KeySpec::Type::real) return deck.real(spec.name) == parse_real(spec.fallback, spec.name);
  return deck.text(spec.name) == spec.fallback;
}

/// Refuses keys of [loss] that have no effect on this loss.
void check_keys(const Deck& deck, const LossKind& kind) {
  const auto names = [](const LossKind& of) {
    std::set<std::string> all(of.uses.begin(), of.uses.end());
    for (const KeySpec& spec : of.keys) all.insert(spec.name);
    return all;
  };
  const std::set<std::string> mine = names(kind);
  for (const KeySpec& spec : deck_keys()) {
    if (!spec.name.starts_with("loss.") || spec.name == "loss.kind" || mine.contains(spec.name) || is_default(deck, spec)) continue;
    std::string users;
    for (const LossKind& other : loss_kinds())
      if (names(other).contains(spec.name)) users += (users.empty() ? "" : ", ") + other.name;
    throw usage_error("{} = {} has no effect with loss.kind = {}. Hint: remove the key, or set loss.kind to a loss that uses it: {}", spec.name,
                      deck.text(spec.name), kind.name, users);
  }
}

}  // namespace

const LossKind& loss_kind(const Deck& deck) { return entry_of(loss_kinds(), deck.text("loss.kind")); }

LossTargets loss_targets(const LossKind& kind, const Deck& deck, const Shape& output) {
  const std::string& asked = deck.text("loss.targets");
  const bool several = output.rank() > 0 && output[0] > 1;
  LossTargets targets{.type = kind.targets, .shape = output};
  if (kind.classes_or_binary) targets.type = several && asked != "probabilities" ? LossKind::Targets::classes : LossKind::Targets::binary;
  const std::int64_t pixels = output.rank() > 1 ? output.size() / std::max<std::int64_t>(1, output[0]) : 1;
  if (targets.type == LossKind::Targets::classes) {
    targets.classes = output[0];
    targets.probabilities = asked == "probabilities";
    if (output.rank() > 1 && !several)
      throw usage_error(
          "loss.kind = {} needs one score per class and pixel; the network's output {} has one channel. Hint: for yes or no in each pixel set "
          "loss.kind = bce_with_logits; else set out = (number of classes) in the last layer",
          kind.name, output.text());
    if (!targets.probabilities) targets.shape = output.rank() > 1 ? output.without_first().with_first(1) : Shape{};
    targets.divisor = kind.of_samples || kind.divisor_is_samples ? 1 : pixels;
    return targets;
  }
  if (asked == "classes" && kind.classes_or_binary)
    throw usage_error(
        "loss.targets = classes needs an output with one score per class; the network's output is {}. Hint: set out = (number of classes) in the "
        "last layer, or loss.targets = auto for yes or no",
        output.text());
  if (output[0] % kind.outputs_per_target != 0)
    throw usage_error("loss.kind = {} needs {} outputs for each target; the network's output is {}. Hint: set out in the last layer to a multiple of {}",
                      kind.name, kind.outputs_per_target, output.text(), kind.outputs_per_target);
  targets.shape[0] = output[0] / kind.outputs_per_target;
  targets.divisor = kind.of_samples || kind.divisor_is_samples ? 1 : targets.shape.size();
  return targets;
}

std::optional<double> ignored_target(const Deck& deck) {
  const std::string& text = deck.text("loss.ignore");
  if (text.empty()) return std::nullopt;
  return text == "nan" || text == "NaN" ? std::numeric_limits<double>::quiet_NaN() : parse_real(text, "loss.ignore");
}

std::vector<double> row_weights(const Deck& deck, std::int64_t rows) {
  const std::string& kind = deck.text("loss.reduction_weights");
  if (kind == "none") return {};
  std::vector<double> weights;
  const auto count = static_cast<double>(rows);
  for (std::int64_t r = 0; r < rows; ++r) {
    const auto row = static_cast<double>(r);
    const double latitude = kind == "latitude" ? (row + 0.5) / count - 0.5 : rows == 1 ? 0.0 : row / (count - 1) - 0.5;  // in half turns
    weights.push_back(std::max(0.0, std::cos(latitude * std::numbers::pi)));
  }
  const double mean = std::accumulate(weights.begin(), weights.end(), 0.0) / count;
  if (!(mean > 1e-9)) throw usage_error("loss.reduction_weights = {}: all {} rows of the output lie on a pole", kind, rows);
  for (double& weight : weights) weight /= mean;
  return weights;
}

LabelDemand label_demand(const Deck& deck, const Shape& input, const Shape& output) {
  if (has_loss_terms(deck)) {
    for (const KeySpec& spec : deck_keys())
      if (spec.name.starts_with("loss.") && !is_default(deck, spec))
        throw usage_error("{} = {} has no effect beside [loss NAME] sections. Hint: write the key into the section of the loss it belongs to", spec.name,
                          deck.text(spec.name));
    const std::vector<LossTerm> terms = loss_terms(deck, output);
    for (const LossTerm& term : terms) check_keys(term.deck, loss_kind(term.deck));
    LabelDemand demand{.kind = LabelDemand::Kind::values, .shape = output};
    demand.shape[0] = target_channels(terms);
    demand.count = demand.shape.size();
    demand.of = "the targets of the losses, joined along the channels";
    return demand;
  }
  const LossKind& kind = loss_kind(deck);
  check_keys(deck, kind);
  if (deck.text("data.target") == "features") {
    const LossTargets targets = loss_targets(kind, deck, output);
    if (targets.type == LossKind::Targets::classes || kind.outputs_per_target != 1)
      throw usage_error(
          "data.target = features does not go with loss.kind = {}, which needs other targets than numbers of the output's shape. Hint: set "
          "loss.kind = mse",
          kind.name);
    if (output != input)
      throw usage_error("data.target = features needs an output of the input's shape; model.input is {}, the network's output is {}. Hint: {}", input.text(),
                        output.text(),
                        output.size() == input.size() ? fmt::format("end with 'layer = reshape shape={}'", input.text()) : "change the last layers");
    if (ignored_target(deck))
      throw usage_error("loss.ignore marks labels that do not count; with data.target = features there are no labels. Hint: remove loss.ignore");
    return {LabelDemand::Kind::features, output.size()};
  }
  if (deck.text("data.labels").empty()) throw usage_error("data.labels is empty; the loss '{}' needs labels", deck.text("loss.kind"));
  const LossTargets targets = loss_targets(kind, deck, output);
  LabelDemand demand;
  demand.ignored = ignored_target(deck);
  if (targets.probabilities && demand.ignored)
    throw usage_error("loss.ignore does not go with loss.targets = probabilities: no class probability means 'not known'. Hint: store class numbers");
  if (targets.numbers()) {
    demand.kind = LabelDemand::Kind::classes;
    demand.count = targets.classes;
    return demand;
  }
  demand.kind = LabelDemand::Kind::values;
  demand.count = targets.shape.size();
  demand.shape = targets.shape;
  demand.classes = targets.maps() ? targets.classes : 0;
  if (targets.maps())
    demand.of = fmt::format("one class number for each pixel of the network's output {}", output.text());
  else if (targets.shape != output)
    demand.of = fmt::format("the target of the network's output {}", output.text());
  return demand;
}

}  // namespace trireme
