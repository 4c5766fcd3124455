// A layer with a window (convolution, pool, upsampling) together with the exchange of its halo.
//
// Memory: what is had and the strips that come from neighbours are never all copied into one array. The layer runs on a few samples at a time (chunks),
// whose part with its halo is put together in scratch; strips are kept for the backward pass where it reads the input, which then is put together again.
//
// Time: messages are of half the samples, so that the first half is computed while the second half's halo travels; backward, halos' gradients go back
// while the parameters' gradients are made, where the layer has backward_in_two().
#pragma once

#include <memory>

#include "parallel/box_exchange.hpp"

namespace trireme {

template <class T>
class HaloLayer final : public Layer<T> {
 public:
  /// `inner` takes the boxes that the move brings, and keeps no state but of single samples. `samples`: the most of a pass.
  HaloLayer(std::unique_ptr<Layer<T>> inner, const BoxMove& move, const Shape& had, const Communicator* comm, int rank, std::int64_t samples);
  std::int64_t multiply_adds() const override { return inner_->multiply_adds(); }
  void lend(const typename Layer<T>::Memory& memory) override;
  void lend_state(Span<std::uint8_t> state) override { this->memory_.state = state; }
  void plan_for(std::int64_t samples, Operands operands) override;
  bool fuse_relu() override { return inner_->fuse_relu(); }
  bool relu_in_backward() const override { return inner_->relu_in_backward(); }
  bool fuse_tail(const ConvTail& tail) override;
  void forward(const Pass& pass, std::span<const Span<const T>> inputs, Span<T> output) override;
  void backward(const Pass& pass, std::span<const Span<const T>> inputs, Span<const T> output, Span<const T> dy, std::span<const Span<T>> dx) override;
  std::vector<Traffic> traffic(bool backward) const override;
  std::int64_t message_elements() const override { return halves_[0]->message_elements(); }

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
  /// A chunk's samples with their halos, and their gradient: one and the same memory where they are not needed at one time.
  Span<T> scratch(int number) const;
  /// The inner layer's state becomes that of these samples.
  void lend_to_inner(const Chunk& chunk);
  Span<const T> with_halo(const Pass& pass, int half, const Chunk& chunk, Span<const T> x, bool from_kept) const;

  std::unique_ptr<Layer<T>> inner_;
  std::unique_ptr<BoxExchange<T>> halves_[2];
  std::int64_t samples_, chunk_, had_elements_, around_elements_, output_elements_ = 0, inner_workspace_ = 0;
};

}  // namespace trireme
