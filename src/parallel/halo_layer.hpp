// A layer with a window (convolution, pool, upsampling) together with the exchange of its halo.
//
// Memory: what is had and the strips that come from neighbours are never all copied into one array. The layer runs on a few samples at a time (chunks),
// whose part with its halo is put together in scratch; strips are kept for the backward pass where it reads the input, which then is put together again.
//
// Time: forward there are two ways to compute while halos travel.
//  - Interior first (halo_pieces.hpp): a sample's outputs that need no halo are computed while it travels, the border when it has come. The way of samples
//    that are computed one at a time anyhow, in passes of one or because they are large, where at least half of the outputs need no halo and the parameters,
//    which every slab of the border packs again, are few or have at least 1024 multiply-adds each for every slab.
//  - Halves: else messages are of half the samples, and the first half, whose halo nothing hides, is computed while the second's travels.
// Backward, halos' gradients go back while the parameters' gradients are made, where the layer has backward_in_two().
#pragma once

#include <memory>

#include "parallel/halo_pieces.hpp"

namespace trireme {

template <class T>
class HaloLayer final : public Layer<T> {
 public:
  /// The layer of `window` takes the boxes that the move brings, and keeps no state but so many bytes for each element of its output, in their order.
  /// `samples`: the most of a pass.
  HaloLayer(const WindowParts<T>& window, const BoxMove& move, const Shape& had, const Communicator* comm, int rank, std::int64_t samples);
  std::int64_t multiply_adds() const override { return inner_->multiply_adds(); }
  void lend(const typename Layer<T>::Memory& memory) override;
  void lend_state(Span<std::uint8_t> state) override { this->memory_.state = state; }
  void plan_for(std::int64_t samples, Operands operands) override;
  bool fuse_relu() override;
  bool relu_in_backward() const override { return inner_->relu_in_backward(); }
  bool fuse_tail(const ConvTail& tail) override;
  void forward(const Pass& pass, std::span<const Span<const T>> inputs, Span<T> output) override;
  void backward(const Pass& pass, std::span<const Span<const T>> inputs, Span<const T> output, Span<const T> dy, std::span<const Span<T>> dx) override;
  std::vector<Traffic> traffic(bool backward) const override;
  std::int64_t message_elements() const override { return halves_[0]->message_elements(); }
  /// Whether a forward pass of so many samples computes their interiors first.
  bool interior_first(std::int64_t samples) const { return !pieces_.empty() && (samples == 1 || chunk_ == 1); }

 private:
  /// Some of a half's samples; `at`: the first one's place in the pass.
  struct Chunk {
    std::int64_t n, first, count, at;  // n: of the half
  };
  template <class F>
  void for_chunks(std::int64_t samples, int half, const F& f) const;
  void adopt();
  bool keeps() const { return inner_->needs().input_in_backward; }
  std::int64_t kept_bytes() const;  // strips of all samples
  /// Strips of a half, kept from forward to backward.
  Span<T> kept(const Chunk& chunk) const;
  Span<std::uint8_t> state_of(const Chunk& chunk) const;
  void poll();
  /// A chunk's samples with their halos, and their gradient: one and the same memory where they are not needed at one time.
  Span<T> scratch(int number) const;
  /// The inner layer's state becomes that of these samples.
  void lend_to_inner(const Chunk& chunk);
  Span<const T> with_halo(const Pass& pass, int half, const Chunk& chunk, Span<const T> x, bool from_kept) const;

  std::unique_ptr<Layer<T>> inner_;
  std::unique_ptr<BoxExchange<T>> halves_[2];
  HaloPieces<T> pieces_;
  ConvTail tail_;
  Operands operands_ = Operands::full;
  std::int64_t samples_, chunk_, had_elements_, around_elements_, output_elements_ = 0, inner_workspace_ = 0;
};

}  // namespace trireme
