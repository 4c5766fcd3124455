// The steps of one rank: its parts of the layers of its stage, and the communication layers between them.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "parallel/plan.hpp"

namespace trireme {

template <class T>
struct ProgramStep {
  std::unique_ptr<Layer<T>> layer;
  std::string name;                 // of the deck's layer; its parameters use this prefix
  std::string kind;                 // the deck's kind, or that of a communication layer: "halo", "gather"...
  std::vector<std::size_t> inputs;  // values: 0 is the network's input, i + 1 the output of step i
};

/// This rank's part of the network's input and output.
struct ProgramEnds {
  Shape input, output;        // extents are 0 if another stage has it
  Box input_box, output_box;  // pixels of this rank
  bool input_split = false, output_split = false;
  ChannelCuts output_cuts;  // channels of the output on each rank of the tensor axis; empty: all channels on every rank
};

template <class T>
struct Program {
  std::vector<ProgramStep<T>> steps;
  ProgramEnds ends;
};

/// `grid`: null in a plan without ranks, whose program cannot run. `samples`: maximum per pass. Collective if there is a grid.
template <class T>
Program<T> make_program(const ParallelPlan& plan, const GridPlace& place, const ProcessGrid* grid, std::int64_t samples, ComputeType operands);

}  // namespace trireme
