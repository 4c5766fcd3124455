#include "comm/process_grid.hpp"

#include <fmt/format.h>

#include "base/error.hpp"

namespace trireme {

std::string GridShape::text() const {
  std::string text;
  const auto add = [&](const std::string& part) { text += (text.empty() ? "" : " x ") + part; };
  if (data > 1) add(fmt::format("data {}", data));
  if (pipeline > 1) add(fmt::format("pipeline {}", pipeline));
  if (spatial_ranks() > 1) add(fmt::format("spatial {}x{}x{}", spatial[0], spatial[1], spatial[2]));
  if (tensor > 1) add(fmt::format("tensor {}", tensor));
  return text.empty() ? "one rank" : text;
}

GridPlace::GridPlace(const GridShape& grid, int rank) : shape(grid) {
  const auto take = [&](int size) {
    const int at = rank % size;
    rank /= size;
    return at;
  };
  tensor = take(shape.tensor);
  for (std::size_t a = 3; a-- > 0;) spatial[a] = take(shape.spatial[a]);
  pipeline = take(shape.pipeline);
  data = rank;
}

namespace {

GridPlace checked(const Communicator& run, const GridShape& shape) {
  if (run.size() != shape.ranks()) throw internal_error("a grid of {} ranks on {} ranks", shape.ranks(), run.size());
  return {shape, run.rank()};
}

// The ranks with the same coordinates as this one in all axes except those that `zero` sets to 0.
template <class Zero>
Communicator among(const Communicator& run, const GridPlace& place, const char* name, Meter& meter, const Zero& zero) {
  GridPlace base = place;
  zero(base);
  Communicator group = run.split(base.rank(), run.rank());
  group.named(name).metered(meter);
  return group;
}

}  // namespace

void ProcessGrid::Meters::begin_step() {
  for (Meter* const meter : all()) meter->begin_step();
}

void ProcessGrid::Meters::end_step() {
  for (Meter* const meter : all()) meter->end_step();
}

ProcessGrid::ProcessGrid(const Communicator& run, const GridShape& shape)
    : run_(run),
      place_(checked(run, shape)),
      meters_(std::make_unique<Meters>()),
      data_(among(run, place_, "data", meters_->data, [](GridPlace& p) { p.data = 0; })),
      pipeline_(among(run, place_, "pipeline", meters_->pipeline, [](GridPlace& p) { p.pipeline = 0; })),
      spatial_(among(run, place_, "spatial", meters_->spatial,
                     [](GridPlace& p) {
                       p.spatial = {0, 0, 0};
                     })),
      tensor_(among(run, place_, "tensor", meters_->tensor, [](GridPlace& p) { p.tensor = 0; })),
      reduction_(among(run, place_, "reduction", meters_->reduction,
                       [](GridPlace& p) {
                         p.data = 0, p.spatial = {0, 0, 0};
                       })),
      model_(among(run, place_, "model", meters_->model, [](GridPlace& p) { p.pipeline = 0, p.tensor = 0; })) {}

}  // namespace trireme
