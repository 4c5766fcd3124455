// Interior/boundary split of a layer with a window. The windows of the interior outputs lie entirely in owned pixels. The border around the interior waits
// for the halo; it consists of slabs, at most two per split dimension.
//
// Each piece is a layer of the same kind for these boxes, with the same parameters, and processes one sample at a time. Planes of a sample along its first
// dimension are contiguous, so the interior reads the input in place, and contiguous outputs are written in place. The input of a border slab is assembled in
// scratch memory, and an output that is not contiguous goes to scratch memory first. Backward is that of the whole layer.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "layers/capabilities.hpp"
#include "layers/part.hpp"
#include "parallel/halo_exchange.hpp"

namespace trireme {

/// How to make a part of a layer with a window.
template <class T>
struct WindowParts {
  std::function<std::unique_ptr<Layer<T>>(const LayerPart&)> make;
  std::function<Box(const Box&)> reach;  // box of the input that a box of the output depends on
  LayerPart part;                        // part of this rank
};

struct OutputCut {
  Box interior;             // without pixels: there is no interior
  std::vector<Box> border;  // the rest of the output
};

/// Splits an output into the interior, whose windows lie in the owned box `had`, and the border. `reach`: the input box of an output box.
OutputCut cut_output(const Box& output, const Box& had, const std::function<Box(const Box&)>& reach);

template <class T>
class HaloOverlap {
 public:
  HaloOverlap(WindowParts<T> parts, const Box& had, std::int64_t channels) : parts_(std::move(parts)), had_(had), channels_(channels) {}

  /// Makes the pieces of `whole` with its epilogue `tail` (boxes of its output are those after the epilogue). Makes none if there is no interior or if the
  /// split would not pay (see halo_layer.hpp). Interior outputs that need scratch memory are computed in groups of planes that fit `scratch` elements, or plane
  /// by plane.
  void make(const Layer<T>& whole, const Epilogue& tail, ComputeType operands, std::int64_t scratch);
  void bind(const typename Layer<T>::Memory& memory);

  bool empty() const { return pieces_.empty(); }
  std::int64_t workspace() const { return workspace_; }  // elements, for the layers
  std::int64_t scratch() const { return scratch_; }      // elements, in addition to workspace()

  // For passes of one sample, with the state of the sample (empty: none is kept).
  /// Calls `between` after each piece.
  void interior(const Pass& pass, Span<const T> x, Span<T> output, Span<std::uint8_t> state, Span<T> scratch, const std::function<void()>& between);
  /// `first`: number of the sample among the n exchanged samples. `x`: owned pixels of all n samples.
  void border(const Pass& pass, const HaloExchange<T>& exchange, std::int64_t n, std::int64_t first, Span<const T> x, Span<T> output, Span<std::uint8_t> state,
              Span<T> scratch);

 private:
  struct Piece {
    Box input, output;  // input: within the whole sample; output: relative to the first pixel of this rank's output
    std::unique_ptr<Layer<T>> layer;
    bool in_place;    // its output is contiguous in the output of the whole layer
    std::int64_t at;  // start of that output, elements
  };
  Box reach(const Box& output, const Epilogue& tail) const;
  bool is_worth(const OutputCut& cut, const Layer<T>& whole) const;
  void add(const Box& output, bool inside, const Epilogue& tail, ComputeType operands);
  void run(Piece& piece, const Pass& pass, Span<const T> input, Span<T> output, Span<std::uint8_t> state, Span<T> scratch) const;
  std::int64_t state_elements(const Piece& piece) const;

  WindowParts<T> parts_;
  Box had_, output_;
  std::int64_t channels_, output_channels_ = 1, state_bytes_ = 0;  // state_bytes_: per element of the output
  std::vector<Piece> pieces_;
  std::size_t inside_ = 0;  // number of interior pieces, which come first
  std::int64_t workspace_ = 0, scratch_ = 0;
};

}  // namespace trireme
