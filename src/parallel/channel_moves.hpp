// Steps along the tensor axis, and sums over the spatial one. What every rank of the tensor axis has whole, it has with its whole gradient; what every
// rank of the spatial axis has whole, it has with its part of the gradient, see box_exchange.hpp.
//
//   step           forward                      backward
//   ChannelGather  shares -> whole: all-gather  whole -> own share: a copy
//   ChannelSlice   whole -> own share: a copy   shares -> whole: all-gather
//   ChannelSum     partial sums -> whole: sum   nothing
//   Summed         nothing                      partial sums of the input's gradient -> whole: sum, while the parameters' are made
//   PixelSum       partial sums -> whole: sum   sum
#pragma once

#include <memory>
#include <vector>

#include "comm/communicator.hpp"
#include "layers/layer.hpp"
#include "parallel/rank_sum.hpp"

namespace trireme {

/// Channels [cuts[r], cuts[r + 1]) are rank r's.
using ChannelCuts = std::vector<std::int64_t>;

/// The all-gather of both directions.
template <class T>
class ChannelShares {
 public:
  ChannelShares(const ChannelCuts& cuts, std::int64_t pixels, const Communicator* comm, int rank, std::int64_t samples);

  void gather(const Execution& exec, std::int64_t samples, Span<const T> share, Span<T> whole);
  void slice(const Execution& exec, std::int64_t samples, Span<const T> whole, Span<T> share) const;
  std::int64_t whole() const { return cuts_.back(); }
  std::int64_t own() const { return cuts_[rank_ + 1] - cuts_[rank_]; }
  /// The other ranks' shares come in one message each in a ring.
  std::vector<Traffic> gather_traffic() const;
  std::int64_t message_elements() const { return (on_host ? whole() : own() + whole()) * pixels_; }

 private:
  ChannelCuts cuts_;
  std::int64_t pixels_;
  const Communicator* comm_;
  std::size_t rank_;
  HostBuffer<T> share_, all_;
  std::vector<int> counts_, starts_;
};

template <class T>
class ChannelGather final : public Layer<T> {
 public:
  /// `share`: shape of what this rank has. A null communicator: a plan without ranks.
  ChannelGather(const ChannelCuts& cuts, const Shape& share, const Communicator* comm, int rank, std::int64_t samples);
  void forward(const Pass& pass, std::span<const Span<const T>> inputs, Span<T> output) override;
  void backward(const Pass&, std::span<const Span<const T>>, Span<const T>, Span<const T>, std::span<const Span<T>>) override;
  std::vector<Traffic> traffic(bool backward) const override { return backward ? std::vector<Traffic>() : shares_.gather_traffic(); }
  std::int64_t message_elements() const override { return shares_.message_elements(); }

 private:
  ChannelShares<T> shares_;
};

template <class T>
class ChannelSlice final : public Layer<T> {
 public:
  ChannelSlice(const ChannelCuts& cuts, const Shape& whole, const Communicator* comm, int rank, std::int64_t samples);
  void forward(const Pass& pass, std::span<const Span<const T>> inputs, Span<T> output) override;
  void backward(const Pass&, std::span<const Span<const T>>, Span<const T>, Span<const T>, std::span<const Span<T>>) override;
  std::vector<Traffic> traffic(bool backward) const override { return backward ? shares_.gather_traffic() : std::vector<Traffic>(); }
  std::int64_t message_elements() const override { return shares_.message_elements(); }

 private:
  ChannelShares<T> shares_;
};

/// Adds the layer's bias too, which no rank has added to its part.
template <class T>
class ChannelSum final : public Layer<T> {
 public:
  /// `bias`: of rank 0 where there is none.
  ChannelSum(const Shape& shape, const ParameterSpec* bias, const Communicator* comm, int ranks);
  void plan_for(std::int64_t samples, Operands operands) override;
  bool fuse_relu() override { return relu_ = true; }
  void forward(const Pass& pass, std::span<const Span<const T>> inputs, Span<T> output) override;
  void backward(const Pass&, std::span<const Span<const T>>, Span<const T>, Span<const T>, std::span<const Span<T>>) override;
  std::vector<Traffic> traffic(bool backward) const override;

 private:
  std::int64_t channels_, pixels_;
  const Communicator* comm_;
  int ranks_;
  bool relu_ = false;
  RankSum<T> sum_;
};

template <class T>
class PixelSum final : public Layer<T> {
 public:
  PixelSum(const Shape& shape, const Communicator* comm, int ranks);
  void forward(const Pass& pass, std::span<const Span<const T>> inputs, Span<T> output) override;
  void backward(const Pass&, std::span<const Span<const T>>, Span<const T>, Span<const T>, std::span<const Span<T>>) override;
  std::vector<Traffic> traffic(bool backward) const override;

 private:
  const Communicator* comm_;
  int ranks_;
  RankSum<T> sum_;
};

/// A layer around another one whose input's gradient is a part of a sum.
template <class T>
class Summed final : public Layer<T> {
 public:
  Summed(std::unique_ptr<Layer<T>> inner, const Shape& input, const Communicator* comm, int ranks);
  std::int64_t multiply_adds() const override { return inner_->multiply_adds(); }
  void lend(const typename Layer<T>::Memory& memory) override { inner_->lend(memory); }
  void lend_state(Span<std::uint8_t> state) override { inner_->lend_state(state); }
  void plan_for(std::int64_t samples, Operands operands) override { inner_->plan_for(samples, operands), adopt(); }
  bool fuse_relu() override { return inner_->fuse_relu(); }
  bool relu_in_backward() const override { return inner_->relu_in_backward(); }
  bool fuse_tail(const ConvTail& tail) override;
  void forward(const Pass& pass, std::span<const Span<const T>> inputs, Span<T> output) override { inner_->forward(pass, inputs, output); }
  void backward(const Pass&, std::span<const Span<const T>>, Span<const T>, Span<const T>, std::span<const Span<T>>) override;
  std::vector<Traffic> traffic(bool backward) const override;

 private:
  void adopt();

  std::unique_ptr<Layer<T>> inner_;
  std::int64_t elements_;
  const Communicator* comm_;
  int ranks_;
  RankSum<T> sum_;
};

}  // namespace trireme
