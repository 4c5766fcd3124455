#include "reduction/communication_report.hpp"

#include <fmt/format.h>

#include <array>

#include "base/text.hpp"

namespace trireme {

namespace {

/// Mean over the remembered steps of the smallest wait of any rank of `comm`. Collective over `comm`.
double least_wait(const Meter& meter, const Communicator& comm) {
  std::vector<double> waits = meter.last_waits();
  if (waits.empty()) return 0;
  comm.all_reduce(std::span(waits), MPI_MIN);
  double sum = 0;
  for (const double wait : waits) sum += wait;
  return sum / static_cast<double>(waits.size());
}

/// Mean of a number over the ranks with each of the `places` coordinates. Collective.
std::vector<double> mean_by_place(const ProcessGrid& grid, double mine, int place, int places) {
  std::vector<double> sums(static_cast<std::size_t>(places));
  sums[static_cast<std::size_t>(place)] = mine * places / grid.run().size();
  grid.run().all_reduce(std::span(sums));
  return sums;
}

}  // namespace

void CommunicationReport::add_axes(const ProcessGrid& grid, double step_s, double bubble) {
  const GridShape& shape = grid.shape();
  const GridPlace& place = grid.place();
  const ProcessGrid::Meters& meters = grid.meters();
  const auto steps = static_cast<double>(std::max<std::size_t>(meters.data.steps(), 1));
  const auto add_one = [&](const char* axis, const char* what, const Meter& meter, const Communicator& comm, int at, int places) {
    const Meter::Counts& total = meter.total();
    std::array<double, 5> means{total.messages, total.bytes, total.waited, total.under_way, least_wait(meter, comm) * steps};
    grid.run().all_reduce(std::span<double>(means));
    if (means[0] == 0) return;
    for (double& mean : means) mean /= steps * grid.run().size();
    add({.axis = axis,
         .what = what,
         .messages = means[0],
         .bytes = means[1],
         .under_way_s = means[3],
         .exposed_s = means[4],
         .waited_s = means[2],
         .waited_by_place_s = mean_by_place(grid, total.waited / steps, at, places)});
  };
  const bool divides_data = shape.data > 1, divides_pixels = shape.spatial_ranks() > 1;
  add_one("data", "reductions within layers", meters.data, grid.data(), place.data, shape.data);
  add_one(divides_data ? "data" : "spatial",
          divides_data && divides_pixels ? "normalization-statistics all-reduce, with spatial" : "normalization-statistics all-reduce", meters.reduction,
          grid.reduction(), grid.reduction().rank(), grid.reduction().size());
  add_one("spatial", "halo exchanges and spatial all-reduces", meters.spatial, grid.spatial(), place.spatial_rank(), shape.spatial_ranks());
  add_one("tensor", "channel all-reduces and all-gathers", meters.tensor, grid.tensor(), place.tensor, shape.tensor);
  add_one("pipeline", "activations and their gradients", meters.pipeline, grid.pipeline(), place.pipeline, shape.pipeline);
  const bool stages = shape.pipeline > 1;
  add_one(stages ? "pipeline" : "tensor", stages && shape.tensor > 1 ? "scalar all-reduce, with tensor" : "scalar all-reduce", meters.model, grid.model(),
          grid.model().rank(), grid.model().size());
  if (!stages) return;
  // Stages that are done also wait for others at the end of a step.
  const double waited = (meters.pipeline.total().waited + meters.model.total().waited) / steps / std::max(step_s, 1e-12);
  bubble_ = {.theory = bubble, .by_stage = mean_by_place(grid, waited, place.pipeline, shape.pipeline)};
  for (const double share : bubble_->by_stage) bubble_->measured += share / shape.pipeline;
}

std::string CommunicationReport::text() const {
  std::string text;
  for (const CommunicationLine& line : lines_) {
    text +=
        fmt::format("{}{} over {}: {:.4g} message(s), {} per step; ", text.empty() ? "" : "\n", line.what, line.axis, line.messages, human_bytes(line.bytes));
    if (line.alone_s > 0) text += fmt::format("alone {:.3f} ms, ", 1e3 * line.alone_s);
    if (line.under_way_s > 0) text += fmt::format("in flight {:.3f} ms, ", 1e3 * line.under_way_s);
    text += fmt::format("exposed {:.3f} ms", 1e3 * line.exposed_s);
    if (line.hidden() >= 0) text += fmt::format(", hidden {}{:.0f} %", line.alone_s > 0 ? "" : "at most ", 100 * line.hidden());
    if (line.waited_s > line.exposed_s) text += fmt::format("; waiting for other ranks {:.3f} ms", 1e3 * (line.waited_s - line.exposed_s));
  }
  if (bubble_) {
    text +=
        fmt::format("{}pipeline bubble: stages wait for each other during {:.0f} % of a step (by stage:", text.empty() ? "" : "\n", 100 * bubble_->measured);
    for (const double share : bubble_->by_stage) text += fmt::format(" {:.0f} %", 100 * share);
    text += fmt::format("); (p - 1)/(m + p - 1) = {:.0f} % for equal stages without other waits", 100 * bubble_->theory);
  }
  return text;
}

nlohmann::json CommunicationReport::json() const {
  nlohmann::json list = nlohmann::json::array();
  for (const CommunicationLine& line : lines_) {
    nlohmann::json one{{"axis", line.axis},   {"what", line.what},           {"messages", line.messages},
                       {"bytes", line.bytes}, {"exposed_s", line.exposed_s}, {"waited_s", line.waited_s}};
    if (line.alone_s > 0) one["alone_s"] = line.alone_s;
    if (line.under_way_s > 0) one["under_way_s"] = line.under_way_s;
    if (line.hidden() >= 0) one["hidden"] = line.hidden();
    if (!line.waited_by_place_s.empty()) one["waited_by_place_s"] = line.waited_by_place_s;
    list.push_back(one);
  }
  return list;
}

}  // namespace trireme
