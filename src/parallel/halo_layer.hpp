// A layer with a window (a convolution) together with the exchange of its halo, so that messages travel while it computes: forward the first half of the
// samples is computed while the second half's halos come; backward the halos' gradients go back while the parameters' gradients are made.
#pragma once

#include <memory>

#include "parallel/box_exchange.hpp"

namespace trireme {

template <class T>
class HaloLayer final : public Layer<T> {
 public:
  /// `inner` takes the boxes that the move brings, and has backward_in_two().
  HaloLayer(std::unique_ptr<Layer<T>> inner, const BoxMove& move, const Shape& had, const Communicator* comm, int rank, std::int64_t samples);
  std::int64_t multiply_adds() const override { return inner_->multiply_adds(); }
  void lend(const typename Layer<T>::Memory& memory) override;
  void lend_state(Span<std::uint8_t> state) override;
  void plan_for(std::int64_t samples, Operands operands) override;
  bool fuse_relu() override { return inner_->fuse_relu(); }
  bool relu_in_backward() const override { return inner_->relu_in_backward(); }
  bool fuse_tail(const ConvTail& tail) override;
  void forward(const Pass& pass, std::span<const Span<const T>> inputs, Span<T> output) override;
  void backward(const Pass& pass, std::span<const Span<const T>> inputs, Span<const T> output, Span<const T> dy, std::span<const Span<T>> dx) override;
  std::vector<Traffic> traffic(bool backward) const override;
  std::int64_t message_elements() const override { return halves_[0]->message_elements(); }

 private:
  void adopt();
  std::int64_t around_bytes() const;  // of all samples with their halos
  /// Samples with their halos: kept for the backward pass in training, scratch outside.
  Span<T> around(const Pass& pass) const;
  Span<T> scratch() const;            // as many elements behind the inner layer's workspace

  std::unique_ptr<Layer<T>> inner_;
  std::unique_ptr<BoxExchange<T>> halves_[2];
  std::int64_t samples_, had_elements_, around_elements_, output_elements_ = 0, inner_workspace_ = 0, inner_state_ = 0;
};

}  // namespace trireme
