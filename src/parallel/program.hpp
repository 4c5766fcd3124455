// What one rank runs: its parts of the layers of its stage, and between them the steps that bring what is elsewhere. A list of layers like any other.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "parallel/plan.hpp"

namespace trireme {

template <class T>
struct ProgramStep {
  std::unique_ptr<Layer<T>> layer;
  std::string name;                 // of the deck's layer; its parameters are called so
  std::string kind;                 // the deck's kind, or what a step between layers does: "halo", "gather"...
  std::vector<std::size_t> inputs;  // values: 0 is the network's input, i + 1 the output of step i
};

template <class T>
struct Program {
  std::vector<ProgramStep<T>> steps;
  Shape input, output;              // this rank's parts; of extent 0 where this rank's stage has none
  Box input_box, output_box;        // their pixels
  bool input_split = false, output_split = false;
  ChannelCuts output_cuts;          // of the output's channels between the ranks of the tensor axis; empty: each has all
};

/// `grid`: null in a plan without ranks, whose program cannot run. `samples`: the most of a pass. Collective where there is a grid.
template <class T>
Program<T> make_program(const ParallelPlan& plan, const GridPlace& place, const ProcessGrid* grid, std::int64_t samples, Operands operands);

}  // namespace trireme
