#include "commands/plan_report.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.hpp"
#include "base/share.hpp"
#include "base/text.hpp"
#include "layers/part.hpp"
#include "losses/loss_function.hpp"
#include "network/network.hpp"
#include "optim/optimizer.hpp"
#include "reduction/gradient_reducer.hpp"
#include "train/norm_values.hpp"

namespace trireme {

namespace {

constexpr int most_planned = 4096;

std::string channels_of(const NodePlan& node) {
  switch (node.channels) {
    case NodePlan::Channels::whole:
      return "whole";
    case NodePlan::Channels::column:
      return "column";
    case NodePlan::Channels::row:
      return "row";
    case NodePlan::Channels::grouped:
      return "groups";
    case NodePlan::Channels::kept:
      return "as input";
  }
  return "";
}

template <class T>
void fill_ranks(PlanReport& report, const Deck& deck) {
  const auto size = static_cast<std::int64_t>(sizeof(T));
  const GridShape& grid = report.grid;
  const std::int64_t reducers = grid.data * grid.spatial_ranks();
  // For the first rank of the data axis, which has at least as many samples as the others.
  const std::int64_t share = report.virtual_ranks > 0 ? most_of_batch(deck, grid) : (deck.integer("data.batch") + grid.data - 1) / grid.data,
                     batches = deck.integer("train.accumulate"),
                     passes = report.micro_batches * (report.virtual_ranks > 0 ? share_of(report.virtual_ranks, 0, grid.data).count : batches);
  for (int rank = 0; rank < grid.model_ranks(); ++rank) {
    const GridPlace place(grid, rank);
    const Network<T> network(deck, largest_pass(deck, grid), Network<T>::Use::training, place);
    const auto reduce = ReduceOptions::from(deck, grid, network.arena_size());
    report.places.push_back(place);
    report.memory.push_back(run_memory(deck, grid, network));
    const auto& again = network.recomputed();
    const auto all = static_cast<double>(std::max<std::int64_t>(1, network.summary().multiply_adds));
    report.recomputed.push_back({again.segments, again.without_bytes, static_cast<double>(again.multiply_adds) / all});

    auto& traffic = report.traffic.emplace_back();
    const auto add = [&](const Traffic& sent) {
      AxisTraffic& axis = traffic[sent.axis];
      axis.messages += static_cast<double>(sent.messages) * static_cast<double>(passes);
      axis.bytes += static_cast<double>(sent.elements * share) * static_cast<double>(batches * size);
    };
    for (const auto& line : network.traffic()) add(line.traffic);
    for (const Traffic& sent : loss_traffic(deck, network)) add(sent);
    if (reducers > 1) {
      AxisTraffic& axis = traffic["gradients"];
      axis.messages += 1;
      // Virtual ranks: each tree node is sent, and the sums are gathered.
      const double ways = reduce.virtual_ranks.empty() ? 2 : 1 + static_cast<double>(reduce.nodes_of(place.spatial_rank()));
      axis.bytes += ways * static_cast<double>(reducers - 1) / static_cast<double>(reducers) * static_cast<double>(network.gradient_elements() * size);
    }
  }
}

}  // namespace

PlanReport::PlanReport(const Deck& deck, int ranks) : grid(grid_shape(deck, ranks)) {
  if (grid.model_ranks() > most_planned)
    throw usage_error("the axes of [parallel] other than data take {} ranks. Expected at most {}, because the plan lists each of them", grid.model_ranks(),
                      most_planned);
  const Graph graph(deck);
  const ParallelPlan plan(graph, deck, grid);
  require_norm_values(plan, deck, 0);
  micro_batches = plan.micro_batches();
  virtual_ranks = virtual_ranks_of(deck, grid);
  pass_samples = largest_pass(deck, grid);
  for (std::size_t i = 0; i < graph.nodes().size(); ++i) {
    const GraphNode& node = graph.nodes()[i];
    const NodePlan& how = plan.node(i);
    PlannedLayerLine line{how.stage, node.name, node.spec.kind, graph.shapes()[i + 1].text(), {}, channels_of(how), how.split ? "split" : "whole", 0};
    LayerPart part;
    if (!how.out.empty()) part.out = {0, how.out[1]};
    part.split = plan.value(i + 1).split;
    part.output = plan.boxes(graph.shapes()[i + 1], part.split)[0];
    line.part = part.output_of(graph.shapes()[i + 1]).text();
    for (const ParameterSpec& parameter : node.parameters) line.parameters += parameter.shape.size();
    layers.push_back(line);
  }
  double work = 0;
  for (const double cost : plan.stage_costs()) work += cost;
  for (const double cost : plan.stage_costs()) stage_shares.push_back(cost / work);
  bubble = plan.bubble();
  if (deck.text("train.precision") == "fp64")
    fill_ranks<double>(*this, deck);
  else
    fill_ranks<float>(*this, deck);
}

std::int64_t PlanReport::most_memory() const {
  std::int64_t most = 0;
  for (const RunMemory& rank : memory) most = std::max(most, rank.total());
  return most;
}

std::string PlanReport::text() const {
  std::string out = fmt::format("grid: {} ({} rank(s)); {} sample(s) per pass, {} micro-batch(es) per {}\n\n", grid.text(), grid.ranks(), pass_samples,
                                micro_batches, virtual_ranks > 0 ? fmt::format("virtual rank, {} virtual ranks per batch", virtual_ranks) : "batch");
  out += fmt::format("{:<7}{:<18} {:<15} {:>14} {:>14} {:<10} {:<8} {:>12}\n", "stage", "layer", "kind", "whole", "on first rank", "channels", "pixels",
                     "parameters");
  for (const PlannedLayerLine& line : layers)
    out += fmt::format("{:<7}{:<18} {:<15} {:>14} {:>14} {:<10} {:<8} {:>12}\n", line.stage, line.name, line.kind, line.shape, line.part, line.channels,
                       line.pixels, line.parameters);
  if (grid.pipeline > 1) {
    out += "\npipeline: work per stage";
    for (const double share : stage_shares) out += fmt::format(" {:.0f} %", 100 * share);
    out += fmt::format("; bubble (p - 1)/(m + p - 1) = {:.0f} % of a step if the stages are equal\n", 100 * bubble);
  }
  const auto bytes = [](std::int64_t n) { return human_bytes(static_cast<double>(n)); };
  out += fmt::format(
      "\nmemory per rank (data coordinate 0; the other coordinates need the same), without the data set\n"
      "{:<26} {:>11} {:>11} {:>11} {:>11} {:>11} {:>11} {:>11} {:>11} {:>11}\n",
      "pipeline, spatial, tensor", "parameters", "gradients", "state", "activations", "workspace", "messages", "evaluation", "checkpoint", "total");
  for (std::size_t r = 0; r < memory.size(); ++r) {
    const RunMemory& m = memory[r];
    const GridPlace& p = places[r];
    out += fmt::format("{:<26} {:>11} {:>11} {:>11} {:>11} {:>11} {:>11} {:>11} {:>11} {:>11}\n",
                       fmt::format("{}, {}x{}x{}, {}", p.pipeline, p.spatial[0], p.spatial[1], p.spatial[2], p.tensor), bytes(m.parameters), bytes(m.gradients),
                       bytes(m.state + m.average), bytes(m.activations), bytes(m.workspace), bytes(m.messages), bytes(m.evaluation), bytes(m.checkpoint),
                       bytes(m.total()));
  }
  out += recomputation_text();
  std::map<std::string, AxisTraffic> most;
  for (const auto& rank : traffic)
    for (const auto& [axis, sent] : rank) {
      most[axis].messages = std::max(most[axis].messages, sent.messages);
      most[axis].bytes = std::max(most[axis].bytes, sent.bytes);
    }
  out += "\nbytes sent per step, by the rank that sends most along each axis\n";
  if (most.empty()) out += "  nothing\n";
  for (const auto& [axis, sent] : most) {
    if (axis == "gradients")
      out += fmt::format("  {:<10} {} in buckets (data and spatial axes: {} (p - 1)/p of the gradients)\n", axis, human_bytes(sent.bytes),
                         virtual_ranks > 0 ? "(nodes + 1)" : "2");
    else
      out += fmt::format("  {:<10} {} in {:.0f} operations\n", axis, human_bytes(sent.bytes), sent.messages);
  }
  return out;
}

std::string PlanReport::recomputation_text() const {
  std::string out;
  for (std::size_t r = 0; r < memory.size(); ++r)
    if (const PlannedRecomputation& plan = recomputed[r]; plan.segments > 1 || memory[r].activations < plan.without_bytes)
      out += fmt::format("{}{}, {}x{}x{}, {}: {} segments, activations {} instead of {}, {:.0f} % of the forward multiply-adds twice\n",
                         out.empty() ? "\nrecomputation of activations (train.recompute)\n" : "", places[r].pipeline, places[r].spatial[0],
                         places[r].spatial[1], places[r].spatial[2], places[r].tensor, plan.segments, human_bytes(static_cast<double>(memory[r].activations)),
                         human_bytes(static_cast<double>(plan.without_bytes)), 100 * plan.share);
  return out;
}

nlohmann::json PlanReport::json() const {
  nlohmann::json object{{"ranks", grid.ranks()},          {"data", grid.data},       {"pipeline", grid.pipeline},
                        {"tensor", grid.tensor},          {"spatial", grid.spatial}, {"micro_batches", micro_batches},
                        {"virtual_ranks", virtual_ranks}, {"bubble", bubble},        {"stage_shares", stage_shares},
                        {"most_memory", most_memory()}};
  for (const PlannedLayerLine& line : layers)
    object["layers"].push_back({{"name", line.name},
                                {"kind", line.kind},
                                {"stage", line.stage},
                                {"shape", line.shape},
                                {"part", line.part},
                                {"channels", line.channels},
                                {"pixels", line.pixels},
                                {"parameters", line.parameters}});
  for (std::size_t r = 0; r < memory.size(); ++r) {
    const RunMemory& m = memory[r];
    nlohmann::json rank{{"pipeline", places[r].pipeline},
                        {"spatial", places[r].spatial},
                        {"tensor", places[r].tensor},
                        {"parameters", m.parameters},
                        {"gradients", m.gradients},
                        {"state", m.state},
                        {"average", m.average},
                        {"activations", m.activations},
                        {"activations_without_recompute", recomputed[r].without_bytes},
                        {"segments", recomputed[r].segments},
                        {"recomputed_share", recomputed[r].share},
                        {"workspace", m.workspace},
                        {"messages", m.messages},
                        {"evaluation", m.evaluation},
                        {"checkpoint", m.checkpoint},
                        {"mpi", m.mpi},
                        {"total", m.total()}};
    for (const auto& [axis, sent] : traffic[r]) rank["sent"][axis] = {{"messages", sent.messages}, {"bytes", sent.bytes}};
    object["memory"].push_back(rank);
  }
  return object;
}

}  // namespace trireme
