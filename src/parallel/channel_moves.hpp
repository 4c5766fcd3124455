// Layers that communicate along the tensor axis, and the all-reduce over the spatial axis. A value that is whole on every rank of the tensor axis has its
// complete gradient on every rank. A value that is whole on every rank of the spatial axis has a partial gradient on each rank, see halo_exchange.hpp.
//
//   layer                 forward                          backward
//   ChannelGather         own channels -> all: all-gather  all -> own channels: copy
//   Scatter               all -> own channels: copy        own channels -> all: all-gather
//   RowParallelAllReduce  partial sums: all-reduce         nothing
//   InputGradAllReduce    nothing                          partial input gradients: all-reduce, overlapped with the parameter gradients
//   SpatialAllReduce      partial sums: all-reduce         all-reduce
#pragma once

#include <memory>
#include <vector>

#include "comm/communicator.hpp"
#include "layers/capabilities.hpp"
#include "parallel/communicates.hpp"
#include "parallel/rank_sum.hpp"

namespace trireme {

/// Rank r has the channels [cuts[r], cuts[r + 1]).
using ChannelCuts = std::vector<std::int64_t>;

/// Communication and copies of ChannelGather and Scatter.
template <class T>
class ChannelShares {
 public:
  ChannelShares(const ChannelCuts& cuts, std::int64_t pixels, const Communicator* comm, int rank, std::int64_t samples);

  void gather(const Execution& exec, std::int64_t samples, Span<const T> share, Span<T> whole);
  void slice(const Execution& exec, std::int64_t samples, Span<const T> whole, Span<T> share) const;
  std::int64_t whole() const { return cuts_.back(); }
  std::int64_t own() const { return cuts_[rank_ + 1] - cuts_[rank_]; }
  /// A ring: one message from each other rank.
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
class ChannelGather final : public Layer<T>, public Communicates {
 public:
  /// `share`: shape of this rank's channels. `comm`: null in a plan without ranks.
  ChannelGather(const ChannelCuts& cuts, const Shape& share, const Communicator* comm, int rank, std::int64_t samples);
  void forward(const Pass& pass, std::span<const Span<const T>> inputs, Span<T> output) override;
  void backward(const Pass&, std::span<const Span<const T>>, Span<const T>, Span<const T>, std::span<const Span<T>>) override;
  std::vector<Traffic> traffic(bool backward) const override { return backward ? std::vector<Traffic>() : shares_.gather_traffic(); }
  std::int64_t message_elements() const override { return shares_.message_elements(); }

 private:
  ChannelShares<T> shares_;
};

template <class T>
class Scatter final : public Layer<T>, public Communicates {
 public:
  Scatter(const ChannelCuts& cuts, const Shape& whole, const Communicator* comm, int rank, std::int64_t samples);
  void forward(const Pass& pass, std::span<const Span<const T>> inputs, Span<T> output) override;
  void backward(const Pass&, std::span<const Span<const T>>, Span<const T>, Span<const T>, std::span<const Span<T>>) override;
  std::vector<Traffic> traffic(bool backward) const override { return backward ? shares_.gather_traffic() : std::vector<Traffic>(); }
  std::int64_t message_elements() const override { return shares_.message_elements(); }

 private:
  ChannelShares<T> shares_;
};

/// All-reduces the partial sums of a row-parallel layer, and adds the layer's bias, which the partial sums do not contain.
template <class T>
class RowParallelAllReduce final : public Layer<T>, public FusesEpilogue, public Communicates {
 public:
  /// `bias`: null without a bias.
  RowParallelAllReduce(const Shape& shape, const ParameterSpec* bias, const Communicator* comm, int ranks);
  void plan_for(std::int64_t samples, ComputeType operands) override;
  Fusion fuse(const Epilogue& epilogue) override;
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
class SpatialAllReduce final : public Layer<T>, public Communicates {
 public:
  SpatialAllReduce(const Shape& shape, const Communicator* comm, int ranks);
  void forward(const Pass& pass, std::span<const Span<const T>> inputs, Span<T> output) override;
  void backward(const Pass&, std::span<const Span<const T>>, Span<const T>, Span<const T>, std::span<const Span<T>>) override;
  std::vector<Traffic> traffic(bool backward) const override;

 private:
  const Communicator* comm_;
  int ranks_;
  RankSum<T> sum_;
};

/// Wraps a layer whose input gradient is a partial sum over the ranks, and all-reduces this gradient.
template <class T>
class InputGradAllReduce final : public Layer<T>, public FusesEpilogue, public Communicates {
 public:
  InputGradAllReduce(std::unique_ptr<Layer<T>> inner, const Shape& input, const Communicator* comm, int ranks);
  void bind(const typename Layer<T>::Memory& memory) override { inner_->bind(memory); }
  void lend_state(Span<std::uint8_t> state) override { inner_->lend_state(state); }
  void plan_for(std::int64_t samples, ComputeType operands) override { inner_->plan_for(samples, operands), refresh(); }
  Fusion fuse(const Epilogue& epilogue) override;
  void forward(const Pass& pass, std::span<const Span<const T>> inputs, Span<T> output) override { inner_->forward(pass, inputs, output); }
  void backward(const Pass&, std::span<const Span<const T>>, Span<const T>, Span<const T>, std::span<const Span<T>>) override;
  std::vector<Traffic> traffic(bool backward) const override;

 private:
  void refresh();

  std::unique_ptr<Layer<T>> inner_;
  FusesEpilogue* fuses_;  // capabilities of the inner layer; null: it lacks the capability
  SplitBackward<T>* split_;
  std::int64_t elements_;
  const Communicator* comm_;
  int ranks_;
  RankSum<T> sum_;
};

}  // namespace trireme
