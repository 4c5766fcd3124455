// A layer with a window in pieces: the interior of its output, whose windows lie wholly in pixels that this rank has, and the border around it, which waits
// for the halo: slabs, two at most for each dimension that is split.
//
// Each piece is a layer of the same kind, made for these boxes, on the same parameters. Pieces take one sample at a time: along its first dimension a sample's
// planes lie one behind the other, so that the interior reads the input where it is, and planes of the output are written where they belong. A border's
// input is put together in scratch, and an output that is no run of memory goes there first. Backward is the whole layer's.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "layers/part.hpp"
#include "parallel/box_exchange.hpp"

namespace trireme {

/// How parts of a layer with a window are made.
template <class T>
struct WindowParts {
  std::function<std::unique_ptr<Layer<T>>(const LayerPart&)> make;
  std::function<Box(const Box&)> reach;  // what a box of the output reads of the input
  LayerPart part;                        // of this rank
};

struct OutputCut {
  Box interior;             // of no pixels: there is none
  std::vector<Box> border;  // the rest of the output
};

/// Cuts an output where the windows leave what is `had` of the input. `reach` moves on with its box.
OutputCut cut_output(const Box& output, const Box& had, const std::function<Box(const Box&)>& reach);

template <class T>
class HaloPieces {
 public:
  HaloPieces(WindowParts<T> parts, const Box& had, std::int64_t channels) : parts_(std::move(parts)), had_(had), channels_(channels) {}

  /// Makes the pieces of `whole`, which has this tail (pixels of its output are those behind it), or none: where there is no interior, or it is not worth it
  /// (see halo_layer.hpp). Of the interior's outputs that must go to scratch, so many go at a time as fit `scratch` elements, or one plane.
  void make(const Layer<T>& whole, const ConvTail& tail, Operands operands, std::int64_t scratch);
  void fuse_relu();
  void lend(const typename Layer<T>::Memory& memory);

  bool empty() const { return pieces_.empty(); }
  std::int64_t workspace() const { return workspace_; }  // elements, of the layers
  std::int64_t scratch() const { return scratch_; }      // elements, beside that

  // Passes of one sample, with its state (empty where none is kept).
  /// Calls `between` after each piece.
  void interior(const Pass& pass, Span<const T> x, Span<T> output, Span<std::uint8_t> state, Span<T> scratch,
                const std::function<void()>& between);
  /// The sample is number `first` of n that were exchanged; `x`: of all n.
  void border(const Pass& pass, const BoxExchange<T>& exchange, std::int64_t n, std::int64_t first, Span<const T> x, Span<T> output, Span<std::uint8_t> state,
              Span<T> scratch);

 private:
  struct Piece {
    Box input, output;   // of the whole sample; of this rank's output, from its first pixel on
    std::unique_ptr<Layer<T>> layer;
    bool in_place;       // its output is a run of memory of the whole one
    std::int64_t at;     // and where it begins there, elements
  };
  Box reach(const Box& output, const ConvTail& tail) const;
  bool is_worth(const OutputCut& cut, const Layer<T>& whole) const;
  void add(const Box& output, bool inside, const ConvTail& tail, Operands operands);
  void run(Piece& piece, const Pass& pass, Span<const T> input, Span<T> output, Span<std::uint8_t> state, Span<T> scratch) const;
  std::int64_t state_elements(const Piece& piece) const;

  WindowParts<T> parts_;
  Box had_, output_;
  std::int64_t channels_, output_channels_ = 1, state_bytes_ = 0;  // the last: of each element of the output
  std::vector<Piece> pieces_;
  std::size_t inside_ = 0;  // the first so many are the interior's
  std::int64_t workspace_ = 0, scratch_ = 0;
};

}  // namespace trireme
