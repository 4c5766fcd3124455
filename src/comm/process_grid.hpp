// The process grid: the ranks of one run along named axes. Tensor is the fastest axis, then spatial, pipeline, data. So ranks with the most
// communication and the largest messages are neighbors, mostly on one node. (The task axis is outside: each task is a run on its own communicator.)
#pragma once

#include <array>
#include <memory>
#include <string>

#include "comm/communicator.hpp"

namespace trireme {

/// Number of ranks along each axis; spatial: along depth, height and width, right-aligned as in base/box.hpp.
struct GridShape {
  int data = 1, pipeline = 1, tensor = 1;
  std::array<int, 3> spatial{1, 1, 1};

  int spatial_ranks() const { return spatial[0] * spatial[1] * spatial[2]; }
  /// Number of ranks that hold one copy of the model together; number of ranks that divide the pixels of a sample.
  int model_ranks() const { return pipeline * spatial_ranks() * tensor; }
  int ranks() const { return data * model_ranks(); }
  /// "data 2 x pipeline 1 x spatial 1x2x2 x tensor 1": axes of one rank are omitted.
  std::string text() const;
  bool operator==(const GridShape&) const = default;
};

/// Coordinates of one rank.
struct GridPlace {
  GridShape shape;
  int data = 0, pipeline = 0, tensor = 0;
  std::array<int, 3> spatial{0, 0, 0};

  GridPlace() = default;
  GridPlace(const GridShape& shape, int rank);
  int spatial_rank() const { return (spatial[0] * shape.spatial[1] + spatial[1]) * shape.spatial[2] + spatial[2]; }
  int rank() const { return ((data * shape.pipeline + pipeline) * shape.spatial_ranks() + spatial_rank()) * shape.tensor + tensor; }
  bool first_stage() const { return pipeline == 0; }
  bool last_stage() const { return pipeline + 1 == shape.pipeline; }
};

/// A grid with its communicators. Each communicator holds the ranks that differ from this one in the named axes, in the order of the grid.
class ProcessGrid {
 public:
  /// Collective over `run`, whose size is shape.ranks(); `run` must outlive the grid.
  ProcessGrid(const Communicator& run, const GridShape& shape);

  const GridPlace& place() const { return place_; }
  const GridShape& shape() const { return place_.shape; }
  const Communicator& run() const { return run_; }
  const Communicator& data() const { return data_; }
  const Communicator& pipeline() const { return pipeline_; }
  const Communicator& spatial() const { return spatial_; }
  const Communicator& tensor() const { return tensor_; }
  /// Data and spatial axes: the reduction group of the gradients of parameters.
  const Communicator& reduction() const { return reduction_; }
  /// Pipeline and tensor axes: the ranks that hold the parameters of one model together.
  const Communicator& model() const { return model_; }

  /// Statistics of the steps of a run, one meter per communicator.
  struct Meters {
    Meter data, pipeline, spatial, tensor, reduction, model;
    void begin_step();
    void end_step();

   private:
    std::array<Meter*, 6> all() { return {&data, &pipeline, &spatial, &tensor, &reduction, &model}; }
  };
  Meters& meters() const { return *meters_; }

 private:
  const Communicator& run_;
  GridPlace place_;
  std::unique_ptr<Meters> meters_;
  Communicator data_, pipeline_, spatial_, tensor_, reduction_, model_;
};

}  // namespace trireme
