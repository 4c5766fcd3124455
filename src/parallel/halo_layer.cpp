#include "parallel/halo_layer.hpp"

#include <algorithm>

namespace trireme {

namespace {

struct Half {
  std::int64_t first, count;
};

// Of n samples.
Half half_of(std::int64_t n, int h) { return h == 0 ? Half{0, (n + 1) / 2} : Half{(n + 1) / 2, n / 2}; }

Pass of_half(const Pass& pass, const Half& half) {
  Pass part = pass;
  part.samples = half.count;
  part.first_sample += half.first;
  return part;
}

template <class View>
View samples_of(const View& all, const Half& half, std::int64_t elements) {
  return View(all.data() + half.first * elements, static_cast<std::size_t>(half.count * elements));
}

}  // namespace

template <class T>
HaloLayer<T>::HaloLayer(std::unique_ptr<Layer<T>> inner, const BoxMove& move, const Shape& had, const Communicator* comm, int rank, std::int64_t samples)
    : inner_(std::move(inner)), samples_(samples), had_elements_(had.size()) {
  for (auto& half : halves_) half = std::make_unique<BoxExchange<T>>(move, had, comm, rank, (samples + 1) / 2);
  around_elements_ = halves_[0]->output().size();
  this->parameters_ = inner_->parameters();
  adopt();
}

template <class T>
std::int64_t HaloLayer<T>::around_bytes() const {
  constexpr std::int64_t line = 64;
  return (samples_ * around_elements_ * static_cast<std::int64_t>(sizeof(T)) + line - 1) / line * line;
}

template <class T>
void HaloLayer<T>::adopt() {
  this->output_ = inner_->output();
  output_elements_ = this->output_.size();
  this->needs_ = inner_->needs();
  this->needs_.input_in_backward = false;
  inner_workspace_ = this->needs_.workspace;
  inner_state_ = this->needs_.state + samples_ * this->needs_.state_per_sample;
  this->needs_.workspace += samples_ * around_elements_;
  this->needs_.state += around_bytes();
}

template <class T>
void HaloLayer<T>::plan_for(std::int64_t samples, Operands operands) {
  inner_->plan_for(samples, operands);
  adopt();
}

template <class T>
bool HaloLayer<T>::fuse_tail(const ConvTail& tail) {
  const bool fused = inner_->fuse_tail(tail);
  if (fused) adopt();
  return fused;
}

template <class T>
void HaloLayer<T>::lend(const typename Layer<T>::Memory& memory) {
  this->memory_ = memory;
  inner_->lend(memory);
  lend_state(memory.state);
}

template <class T>
void HaloLayer<T>::lend_state(Span<std::uint8_t> state) {
  this->memory_.state = state;
  inner_->lend_state(state.size() == 0 ? state : Span<std::uint8_t>(state.data() + around_bytes(), static_cast<std::size_t>(inner_state_)));
}

template <class T>
Span<T> HaloLayer<T>::scratch() const {
  return Span<T>(this->memory_.workspace.data() + inner_workspace_, static_cast<std::size_t>(samples_ * around_elements_));
}

template <class T>
Span<T> HaloLayer<T>::around(const Pass& pass) const {
  if (!pass.training) return scratch();
  return Span<T>(reinterpret_cast<T*>(this->memory_.state.data()), static_cast<std::size_t>(samples_ * around_elements_));
}

template <class T>
void HaloLayer<T>::forward(const Pass& pass, std::span<const Span<const T>> inputs, Span<T> output) {
  const Span<T> all = around(pass);
  for (int h = 0; h < 2; ++h) {
    const Half half = half_of(pass.samples, h);
    halves_[h]->begin_forward(of_half(pass, half), samples_of(inputs[0], half, had_elements_), samples_of(all, half, around_elements_));
  }
  const Span<std::uint8_t> state = this->memory_.state;
  const std::int64_t each = inner_->needs().state_per_sample;
  for (int h = 0; h < 2; ++h) {
    const Half half = half_of(pass.samples, h);
    if (half.count == 0) continue;
    const Pass part = of_half(pass, half);
    const Span<const T> x = samples_of(all, half, around_elements_);
    halves_[h]->finish_forward(part, samples_of(all, half, around_elements_));
    if (state.size() > 0 && each > 0)
      inner_->lend_state(Span<std::uint8_t>(state.data() + around_bytes() + inner_->needs().state + half.first * each, static_cast<std::size_t>(half.count * each)));
    inner_->forward(part, std::span(&x, 1), samples_of(output, half, output_elements_));
  }
  lend_state(state);
}

template <class T>
void HaloLayer<T>::backward(const Pass& pass, std::span<const Span<const T>>, Span<const T> output, Span<const T> dy, std::span<const Span<T>> dx) {
  const Span<T> all = around(pass), gradient = scratch();
  if (dx[0].data() != nullptr) {
    inner_->backward_input(pass, output, dy, gradient);
    for (int h = 0; h < 2; ++h) {
      const Half half = half_of(pass.samples, h);
      halves_[h]->begin_backward(of_half(pass, half), samples_of(gradient, half, around_elements_), samples_of(dx[0], half, had_elements_));
    }
  }
  inner_->backward_parameters(pass, all, output, dy);
  for (int h = 0; h < 2 && dx[0].data() != nullptr; ++h) {
    const Half half = half_of(pass.samples, h);
    halves_[h]->finish_backward(of_half(pass, half), samples_of(dx[0], half, had_elements_));
  }
}

template <class T>
std::vector<Traffic> HaloLayer<T>::traffic(bool backward) const {
  auto all = halves_[0]->traffic(backward);
  for (Traffic& one : all) one.messages *= samples_ > 1 ? 2 : 1;
  return all;
}

template class HaloLayer<float>;
template class HaloLayer<double>;

}  // namespace trireme
