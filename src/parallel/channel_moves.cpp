#include "parallel/channel_moves.hpp"

#include "kokkos_kernels/elementwise.hpp"
#include "kokkos_kernels/reduce.hpp"
#include "layers/spatial.hpp"

namespace trireme {

namespace {

std::vector<Traffic> sum_traffic(const char* axis, int ranks, std::int64_t elements) { return {{axis, 1, 2 * (ranks - 1) * elements / ranks}}; }

}  // namespace

template <class T>
ChannelShares<T>::ChannelShares(const ChannelCuts& cuts, std::int64_t pixels, const Communicator* comm, int rank, std::int64_t samples)
    : cuts_(cuts), pixels_(pixels), comm_(comm), rank_(static_cast<std::size_t>(rank)), counts_(cuts.size() - 1), starts_(cuts.size() - 1) {
  if (comm == nullptr) return;
  if constexpr (!on_host) share_ = HostBuffer<T>("trireme::channel_shares::share", static_cast<std::size_t>(samples * pixels * own()));
  all_ = HostBuffer<T>("trireme::channel_shares::all", static_cast<std::size_t>(samples * pixels * whole()));
}

template <class T>
void ChannelShares<T>::gather(const Execution& exec, std::int64_t samples, Span<const T> share, Span<T> whole) {
  const std::int64_t rows = samples * pixels_;
  if (rows == 0) return;
  for (std::size_t r = 0; r < counts_.size(); ++r) {
    counts_[r] = static_cast<int>(rows * (cuts_[r + 1] - cuts_[r]));
    starts_[r] = static_cast<int>(rows * cuts_[r]);
  }
  const T* mine = share.data();
  if constexpr (!on_host) {
    copy<T>(exec, rows * own(), share, Span<T>(share_.data(), static_cast<std::size_t>(rows * own())));
    mine = share_.data();
  }
  exec.fence("trireme::channel_shares: share complete before MPI");
  comm_->all_gather(mine, counts_, starts_, all_.data());
  for (std::size_t r = 0; r < counts_.size(); ++r) {
    const std::int64_t width = cuts_[r + 1] - cuts_[r];
    copy_columns<T>(exec, rows, width, Span<const T>(all_.data() + starts_[r], static_cast<std::size_t>(counts_[r])), width, 0, whole, cuts_.back(), cuts_[r]);
  }
}

template <class T>
void ChannelShares<T>::slice(const Execution& exec, std::int64_t samples, Span<const T> whole, Span<T> share) const {
  copy_columns<T>(exec, samples * pixels_, own(), whole, cuts_.back(), cuts_[rank_], share, own(), 0);
}

template <class T>
std::vector<Traffic> ChannelShares<T>::gather_traffic() const {
  const auto others = static_cast<std::int64_t>(counts_.size()) - 1;
  return {{"tensor", others, others * own() * pixels_}};
}

template <class T>
ChannelGather<T>::ChannelGather(const ChannelCuts& cuts, const Shape& share, const Communicator* comm, int rank, std::int64_t samples)
    : shares_(cuts, pixels_of(share), comm, rank, samples) {
  this->output_ = share.without_first().with_first(cuts.back());
  this->needs_.input_in_backward = false;
}

template <class T>
void ChannelGather<T>::forward(const Pass& pass, std::span<const Span<const T>> inputs, Span<T> output) {
  shares_.gather(pass.exec, pass.samples, inputs[0], output);
}

template <class T>
void ChannelGather<T>::backward(const Pass& pass, std::span<const Span<const T>>, Span<const T>, Span<const T> dy, std::span<const Span<T>> dx) {
  if (dx[0].data() != nullptr) shares_.slice(pass.exec, pass.samples, dy, dx[0]);
}

template <class T>
Scatter<T>::Scatter(const ChannelCuts& cuts, const Shape& whole, const Communicator* comm, int rank, std::int64_t samples)
    : shares_(cuts, pixels_of(whole), comm, rank, samples) {
  this->output_ = whole.without_first().with_first(shares_.own());
  this->needs_.input_in_backward = false;
}

template <class T>
void Scatter<T>::forward(const Pass& pass, std::span<const Span<const T>> inputs, Span<T> output) {
  shares_.slice(pass.exec, pass.samples, inputs[0], output);
}

template <class T>
void Scatter<T>::backward(const Pass& pass, std::span<const Span<const T>>, Span<const T>, Span<const T> dy, std::span<const Span<T>> dx) {
  if (dx[0].data() != nullptr) shares_.gather(pass.exec, pass.samples, dy, dx[0]);
}

template <class T>
RowParallelAllReduce<T>::RowParallelAllReduce(const Shape& shape, const ParameterSpec* bias, const Communicator* comm, int ranks)
    : channels_(channels_of(shape)), pixels_(pixels_of(shape)), comm_(comm), ranks_(ranks) {
  this->output_ = shape;
  this->needs_ = {.input_in_backward = false, .output_in_backward = false, .in_place = true};
  if (bias != nullptr) this->parameters_ = {*bias};
}

template <class T>
void RowParallelAllReduce<T>::plan_for(std::int64_t samples, ComputeType) {
  this->needs_.workspace = channel_sums_workspace(samples * pixels_, channels_) * static_cast<std::int64_t>(sizeof(double) / sizeof(T));
}

template <class T>
Fusion RowParallelAllReduce<T>::fuse(const Epilogue& epilogue) {
  if (!epilogue.is_relu()) return Fusion::none;
  relu_ = true;
  return Fusion::forward;
}

template <class T>
void RowParallelAllReduce<T>::forward(const Pass& pass, std::span<const Span<const T>> inputs, Span<T> output) {
  const std::int64_t count = pass.samples * pixels_ * channels_;
  if (inputs[0].data() != output.data()) copy<T>(pass.exec, count, inputs[0], output);
  sum_.run(pass.exec, *comm_, slice<T>(output, 0, count));
  const bool has_bias = !this->memory_.parameters.empty();
  if (has_bias || relu_) add_bias<T>(pass.exec, pass.samples * pixels_, channels_, has_bias ? this->memory_.parameters[0] : Span<T>(), output, relu_);
}

template <class T>
void RowParallelAllReduce<T>::backward(const Pass& pass, std::span<const Span<const T>>, Span<const T>, Span<const T> dy, std::span<const Span<T>> dx) {
  if (!this->memory_.gradients.empty()) {
    const Span<double> sums(reinterpret_cast<double*>(this->memory_.workspace.data()), this->memory_.workspace.size() * sizeof(T) / sizeof(double));
    add_channel_sums<T>(pass.exec, pass.samples * pixels_, channels_, dy, sums, this->memory_.gradients[0]);
  }
  if (dx[0].data() != nullptr && dx[0].data() != dy.data()) copy<T>(pass.exec, pass.samples * pixels_ * channels_, dy, dx[0]);
}

template <class T>
std::vector<Traffic> RowParallelAllReduce<T>::traffic(bool backward) const {
  return backward ? std::vector<Traffic>() : sum_traffic("tensor", ranks_, this->output_.size());
}

template <class T>
SpatialAllReduce<T>::SpatialAllReduce(const Shape& shape, const Communicator* comm, int ranks) : comm_(comm), ranks_(ranks) {
  this->output_ = shape;
  this->needs_ = {.input_in_backward = false, .output_in_backward = false, .in_place = true};
}

template <class T>
void SpatialAllReduce<T>::forward(const Pass& pass, std::span<const Span<const T>> inputs, Span<T> output) {
  const std::int64_t count = pass.samples * this->output_.size();
  if (inputs[0].data() != output.data()) copy<T>(pass.exec, count, inputs[0], output);
  sum_.run(pass.exec, *comm_, slice<T>(output, 0, count));
}

template <class T>
void SpatialAllReduce<T>::backward(const Pass& pass, std::span<const Span<const T>>, Span<const T>, Span<const T> dy, std::span<const Span<T>> dx) {
  if (dx[0].data() == nullptr) return;
  const std::int64_t count = pass.samples * this->output_.size();
  if (dx[0].data() != dy.data()) copy<T>(pass.exec, count, dy, dx[0]);
  sum_.run(pass.exec, *comm_, slice<T>(dx[0], 0, count));
}

template <class T>
std::vector<Traffic> SpatialAllReduce<T>::traffic(bool) const {
  return sum_traffic("spatial", ranks_, this->output_.size());
}

template <class T>
InputGradAllReduce<T>::InputGradAllReduce(std::unique_ptr<Layer<T>> inner, const Shape& input, const Communicator* comm, int ranks)
    : inner_(std::move(inner)),
      fuses_(capability<FusesEpilogue>(*inner_)),
      split_(capability<SplitBackward<T>>(*inner_)),
      elements_(input.size()),
      comm_(comm),
      ranks_(ranks) {
  this->parameters_ = inner_->parameters();
  this->multiply_adds_ = inner_->multiply_adds();
  refresh();
}

template <class T>
void InputGradAllReduce<T>::refresh() {
  this->output_ = inner_->output();
  this->needs_ = inner_->needs();
}

template <class T>
Fusion InputGradAllReduce<T>::fuse(const Epilogue& epilogue) {
  const Fusion fusion = fuses_ == nullptr ? Fusion::none : fuses_->fuse(epilogue);
  if (fusion != Fusion::none) refresh();
  return fusion;
}

template <class T>
void InputGradAllReduce<T>::backward(const Pass& pass, std::span<const Span<const T>> inputs, Span<const T> output, Span<const T> dy,
                                     std::span<const Span<T>> dx) {
  if (dx[0].data() == nullptr || split_ == nullptr) {
    inner_->backward(pass, inputs, output, dy, dx);
    if (dx[0].data() != nullptr) sum_.run(pass.exec, *comm_, slice<T>(dx[0], 0, pass.samples * elements_));
    return;
  }
  split_->backward_input(pass, output, dy, dx[0]);
  sum_.begin(pass.exec, *comm_, slice<T>(dx[0], 0, pass.samples * elements_));
  split_->backward_parameters(pass, inputs[0], output, dy);
  sum_.finish(pass.exec);
}

template <class T>
std::vector<Traffic> InputGradAllReduce<T>::traffic(bool backward) const {
  return backward ? sum_traffic("tensor", ranks_, elements_) : std::vector<Traffic>();
}

#define TRIREME_INSTANTIATE(T)            \
  template class ChannelShares<T>;        \
  template class ChannelGather<T>;        \
  template class Scatter<T>;              \
  template class RowParallelAllReduce<T>; \
  template class SpatialAllReduce<T>;     \
  template class InputGradAllReduce<T>;
TRIREME_INSTANTIATE(float)
TRIREME_INSTANTIATE(double)
#undef TRIREME_INSTANTIATE

}  // namespace trireme
