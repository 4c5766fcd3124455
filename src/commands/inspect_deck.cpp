// Describes a deck: the values of all keys, the network, and the memory and work that it needs.
#include "base/log.hpp"
#include "base/text.hpp"
#include "commands/deck_file.hpp"
#include "commands/inspect.hpp"
#include "commands/json_output.hpp"
#include "losses/loss_function.hpp"
#include "optim/optimizer.hpp"

namespace trireme {

namespace {

template <class T>
int inspect_deck_as(const Deck& deck, const Communicator& comm, const InspectRequest& request) {
  const std::int64_t batch = deck.integer("data.batch"), share = (batch + comm.size() - 1) / comm.size();
  Network<T> network(deck, share, Network<T>::Use::training);
  label_demand(deck, network.input_shape(), network.output_shape());  // throws if target, loss and output do not match
  const Optimizer<T> optimizer(deck, network);
  const auto summary = network.summary();
  const std::int64_t arenas = static_cast<std::int64_t>(optimizer.states().size()) + (deck.real("train.ema") > 0 ? 1 : 0);
  const std::int64_t states = arenas * summary.arena_bytes, parameters = 2 * summary.arena_bytes;
  const std::int64_t total = parameters + states + summary.temporary_bytes + summary.workspace_bytes;
  if (request.json) {
    print_json(comm, {{"kind", "deck"},
                      {"file", request.path},
                      {"name", deck.text("run.name")},
                      {"input", json_of(network.input_shape())},
                      {"output", json_of(network.output_shape())},
                      {"parameters", summary.parameters},
                      {"multiply_adds", summary.multiply_adds},
                      {"ranks", comm.size()},
                      {"samples_a_rank", share},
                      {"bytes_a_rank",
                       {{"parameters_and_gradients", parameters},
                        {"optimizer", states},
                        {"activations", summary.temporary_bytes},
                        {"workspace", summary.workspace_bytes},
                        {"total", total}}},
                      {"network", network.describe()},
                      {"deck", deck.resolved()}});
    return 0;
  }
  const auto bytes = [](std::int64_t n) { return human_bytes(static_cast<double>(n)); };
  log::info("deck {}: no errors\n\n{}", request.path, deck.resolved());
  log::info("network\n{}", network.describe());
  log::info("{} parameters; {:.3f} M multiply-adds per sample in the forward pass, about three times as many in a training step", summary.parameters,
            static_cast<double>(summary.multiply_adds) * 1e-6);
  log::info(
      "memory per rank with {} rank(s), {} samples per rank: {} (parameters and gradients {}, optimizer {}, activations {}, "
      "workspace {})",
      comm.size(), share, bytes(total), bytes(parameters), bytes(states), bytes(summary.temporary_bytes), bytes(summary.workspace_bytes));
  return 0;
}

}  // namespace

int inspect_deck(const Communicator& comm, const InspectRequest& request) {
  const Deck deck = shared_deck(comm, request.path, request.overrides);
  return deck.text("train.precision") == "fp64" ? inspect_deck_as<double>(deck, comm, request) : inspect_deck_as<float>(deck, comm, request);
}

}  // namespace trireme
