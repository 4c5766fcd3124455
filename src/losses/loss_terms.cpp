#include "losses/loss_terms.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "parallel/graph.hpp"

namespace trireme {

namespace {

Deck deck_of(const Deck& deck, const DeckSection& section) {
  std::vector<std::string> overrides;
  for (const auto& [key, value] : section.values())
    if (key != "of" && key != "target" && key != "weight") overrides.push_back("loss." + key + "=" + value);
  return Deck(deck.resolved(), fmt::format("{}, [loss {}]", deck.origin(), section.name()), overrides);
}

}  // namespace

bool has_loss_terms(const Deck& deck) {
  return std::ranges::any_of(deck.named_sections(), [](const DeckSection& s) { return s.kind() == "loss"; });
}

std::vector<LossTerm> loss_terms(const Deck& deck, const Shape& output) {
  std::vector<LossTerm> terms;
  if (!has_loss_terms(deck)) {
    LossTerm term{.name = "", .deck = deck, .target = "labels", .output = output, .targets = loss_targets(deck, output)};
    term.target_channels = term.targets.shape.rank() > 0 ? term.targets.shape[0] : 1;
    terms.push_back(std::move(term));
    return terms;
  }
  if (deck.text("data.target") == "features")
    throw usage_error("data.target = features goes with one loss. Hint: name the array of the features in the target of a [loss NAME] section");
  const Graph graph(deck);
  const GraphNode& joined = graph.nodes().back();
  std::int64_t first = 0, targets = 0;
  std::size_t at = 0;
  for (const DeckSection& section : deck.named_sections()) {
    if (section.kind() != "loss") continue;
    LossTerm term{.name = section.name(),
                  .deck = deck_of(deck, section),
                  .weight = section.real("weight"),
                  .target = section.text("target"),
                  .output = graph.shapes()[joined.inputs[at++]],
                  .targets = {},
                  .first = first};
    term.targets = loss_targets(term.deck, term.output);
    // Class numbers are a channel of the joined targets.
    if (term.targets.numbers()) term.targets.shape = term.output.without_first().with_first(1);
    term.target_channels = term.targets.shape[0];
    first += term.output[0];
    const auto same = std::ranges::find(terms, term.target, &LossTerm::target);
    term.first_target = same != terms.end() ? same->first_target : targets;
    if (same == terms.end())
      targets += term.target_channels;
    else if (same->target_channels != term.target_channels)
      throw usage_error("[loss {}] and [loss {}] share the target '{}', but need {} and {} numbers per pixel", same->name, term.name, term.target,
                        same->target_channels, term.target_channels);
    if (ignored_target(term.deck) || !term.deck.text("loss.class_weights").empty())
      throw usage_error("[loss {}]: ignore and class_weights are possible with a single [loss] only, because the mean is over the weights of all targets",
                        term.name);
    terms.push_back(std::move(term));
  }
  for (LossTerm& term : terms) term.joined_targets = target_channels(terms);
  return terms;
}

std::int64_t target_channels(const std::vector<LossTerm>& terms) {
  std::int64_t channels = 0;
  for (const LossTerm& term : terms) channels = std::max(channels, term.first_target + term.target_channels);
  return channels;
}

}  // namespace trireme
