// The ends of a pipeline's stage: values come from the stage before and go to the one behind; their gradients travel the other way. Sends go on from
// memory of their own while the stage computes; the next one waits for the one before.
#pragma once

#include "comm/communicator.hpp"
#include "layers/layer.hpp"

namespace trireme {

/// What a stage gets from the one before: a layer without inputs.
template <class T>
class StageReceive final : public Layer<T> {
 public:
  /// `number`: of the value among those that cross this border, the same on both sides. `gradient`: whether the stage before wants the gradient.
  StageReceive(const Shape& shape, int number, bool gradient, const Communicator* pipeline, int from);
  void forward(const Pass& pass, std::span<const Span<const T>> inputs, Span<T> output) override;
  void backward(const Pass&, std::span<const Span<const T>>, Span<const T>, Span<const T>, std::span<const Span<T>>) override;
  bool wants_gradient() const override { return gradient_; }
  std::vector<Traffic> traffic(bool backward) const override;
  std::int64_t message_elements() const override { return (gradient_ ? 1 : 0) * this->output_.size(); }

 private:
  int number_;
  bool gradient_;
  const Communicator* comm_;
  int from_;
  Request request_;
  HostBuffer<T> buffer_, sent_;
};

/// What a stage gives to the one behind: a layer without an output.
template <class T>
class StageSend final : public Layer<T> {
 public:
  StageSend(const Shape& shape, int number, bool gradient, const Communicator* pipeline, int to);
  void forward(const Pass& pass, std::span<const Span<const T>> inputs, Span<T> output) override;
  void backward(const Pass&, std::span<const Span<const T>>, Span<const T>, Span<const T>, std::span<const Span<T>>) override;
  bool begins_backward() const override { return gradient_; }
  std::vector<Traffic> traffic(bool backward) const override;
  std::int64_t message_elements() const override { return elements_; }

 private:
  std::int64_t elements_;
  int number_;
  bool gradient_;
  const Communicator* comm_;
  int to_;
  Request request_;
  HostBuffer<T> buffer_, received_;
};

}  // namespace trireme
