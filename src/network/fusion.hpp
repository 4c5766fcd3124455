// Pass 1, fusion: decides which steps are computed by another step, and which steps work in place.
//
//   in   steps in order, with the capabilities and needs of their layers
//   out  Step::result, fused_into, in_place and fused, and StepGraph::producer. Layers with a fused epilogue are told of it; their outputs and needs are those
//        of both layers.
//
// A layer can compute the pooling after it, with the activation before or after the pooling, if no other layer uses the values in between; these values then do
// not exist in memory. A layer can also compute an in-place activation after it.
// Not collective.
#pragma once

#include "network/steps.hpp"

namespace trireme {

template <class T>
void fuse(StepGraph<T>& graph, bool training);

}  // namespace trireme
