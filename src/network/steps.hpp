// The steps of one rank's part of a network, in order. The passes over a network read and annotate them, and the executor runs them.
//
//   Graph (deck) -> ParallelPlan -> Program (parallel/)   whole layers, their distribution, the layers of this rank
//   -> fusion -> order -> segments -> layout -> memory -> executor    one file each in this folder; network.hpp runs them in this order
//
// A value is the network's input (number 0) or the output of a step (number i + 1 for step i).
#pragma once

#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "layers/capabilities.hpp"
#include "parallel/program.hpp"

namespace trireme {

inline constexpr std::size_t no_index = std::numeric_limits<std::size_t>::max();  // no block, no step

template <class T>
struct Step {
  std::unique_ptr<Layer<T>> layer;
  std::string kind, name;
  std::vector<std::size_t> inputs;  // values

  // Results of the fusion pass:
  std::size_t result = 0;       // value that the step writes: the output of the last layer that is fused into it
  bool fused_into = false;      // an earlier step computes this one, in both directions
  bool in_place = false;        // writes its output to the memory of its input
  Fusion fused = Fusion::none;  // the passes of this step that the previous step computes, in the same memory

  bool runs_forward() const { return !fused_into && fused == Fusion::none; }
};

template <class T>
struct StepGraph {
  std::vector<Step<T>> steps;
  std::vector<Shape> shapes;                        // of values, for one sample
  std::vector<std::vector<std::size_t>> consumers;  // by value: the steps that use it
  std::vector<std::size_t> producer;                // by value: the step that writes it; no_index: the input, and values inside a fused epilogue

  StepGraph() = default;
  StepGraph(const Shape& input, std::vector<ProgramStep<T>> program) {
    shapes.push_back(input);
    consumers.resize(program.size() + 1);
    producer.assign(program.size() + 1, no_index);
    for (ProgramStep<T>& from : program) {
      const std::size_t i = steps.size();
      for (const std::size_t value : from.inputs) consumers[value].push_back(i);
      shapes.push_back(from.layer->output());
      producer[i + 1] = i;
      steps.push_back(
          {.layer = std::move(from.layer), .kind = std::move(from.kind), .name = std::move(from.name), .inputs = std::move(from.inputs), .result = i + 1});
    }
  }

  /// The step that writes a value; null for the network's input.
  const Step<T>* producer_of(std::size_t value) const { return value == 0 ? nullptr : &steps[producer[value]]; }
  /// Whether a value exists in memory: values inside a fused epilogue do not.
  bool is_made(std::size_t value) const { return value == 0 || producer[value] != no_index; }
  std::size_t last_value() const { return shapes.size() - 1; }
};

}  // namespace trireme
