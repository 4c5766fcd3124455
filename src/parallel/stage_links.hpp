// The borders of a pipeline stage: values come from the previous stage and go to the next one; their gradients go in the opposite direction. Messages are sent
// from separate buffers while the stage computes; each send waits for the previous one from the same buffer.
#pragma once

#include "comm/communicator.hpp"
#include "layers/layer.hpp"
#include "parallel/communicates.hpp"

namespace trireme {

/// Receives a value from the previous stage: a layer without inputs.
template <class T>
class StageReceive final : public Layer<T>, public StageLink {
 public:
  /// `number`: of the value among those that cross this border, the same on both sides. `gradient`: the previous stage needs the gradient.
  StageReceive(const Shape& shape, int number, bool gradient, const Communicator* pipeline, int from);
  void forward(const Pass& pass, std::span<const Span<const T>> inputs, Span<T> output) override;
  void backward(const Pass&, std::span<const Span<const T>>, Span<const T>, Span<const T>, std::span<const Span<T>>) override;
  bool has_gradient() const override { return gradient_; }
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

/// Sends a value to the next stage: a layer without an output.
template <class T>
class StageSend final : public Layer<T>, public StageLink {
 public:
  StageSend(const Shape& shape, int number, bool gradient, const Communicator* pipeline, int to);
  void forward(const Pass& pass, std::span<const Span<const T>> inputs, Span<T> output) override;
  void backward(const Pass&, std::span<const Span<const T>>, Span<const T>, Span<const T>, std::span<const Span<T>>) override;
  bool has_gradient() const override { return gradient_; }
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
