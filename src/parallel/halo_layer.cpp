#include "parallel/halo_layer.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "kokkos_kernels/elementwise.hpp"

namespace trireme {

namespace {

// Scratch is an eighth of the samples, but no less than this (bytes): smaller launches would cost more than they save.
constexpr std::int64_t chunks_of_a_pass = 8, smallest_scratch = 1 << 20, line = 64;

std::int64_t parts(std::int64_t n, std::int64_t size) { return (n + size - 1) / size; }

template <class View>
View samples_of(const View& all, std::int64_t first, std::int64_t count, std::int64_t elements) {
  return View(all.data() + first * elements, static_cast<std::size_t>(count * elements));
}

Pass of_samples(const Pass& pass, std::int64_t first, std::int64_t count) {
  Pass part = pass;
  part.samples = count;
  part.first_sample += first;
  return part;
}

struct Half {
  std::int64_t first, count;
};

// Of n samples.
Half half_of(std::int64_t n, int h) { return h == 0 ? Half{0, (n + 1) / 2} : Half{(n + 1) / 2, n / 2}; }

}  // namespace

template <class T>
HaloLayer<T>::HaloLayer(const WindowParts<T>& window, const BoxMove& move, const Shape& had, const Communicator* comm, int rank, std::int64_t samples)
    : inner_(window.make(window.part)),
      fuses_(capability<FusesEpilogue>(*inner_)),
      split_(capability<SplitBackward<T>>(*inner_)),
      pieces_(window, move.owned[static_cast<std::size_t>(rank)], channels_of(had)),
      samples_(samples),
      had_elements_(had.size()) {
  for (int h = 0; h < 2; ++h) halves_[h] = std::make_unique<HaloExchange<T>>(move, had, comm, rank, half_of(samples, h).count);
  around_elements_ = halves_[0]->output().size();
  const std::int64_t bytes = around_elements_ * static_cast<std::int64_t>(sizeof(T));
  chunk_ = std::clamp<std::int64_t>(std::max(parts(samples, chunks_of_a_pass), parts(smallest_scratch, bytes)), 1, parts(samples, 2));
  this->parameters_ = inner_->parameters();
  this->multiply_adds_ = inner_->multiply_adds();
  refresh();
}

template <class T>
std::int64_t HaloLayer<T>::kept_bytes() const {
  return keeps() ? parts(samples_ * halves_[0]->received_elements() * static_cast<std::int64_t>(sizeof(T)), line) * line : 0;
}

template <class T>
void HaloLayer<T>::refresh() {
  this->output_ = inner_->output();
  output_elements_ = this->output_.size();
  this->needs_ = inner_->needs();
  if (this->needs_.state > 0 || !inner_->buffers().empty()) throw internal_error("a layer with a halo that keeps more than single samples' state");
  this->needs_.in_place = false;
  const std::int64_t both = keeps() && split_ == nullptr ? 2 : 1, scratch = both * chunk_ * around_elements_;
  pieces_.make(*inner_, tail_, operands_, scratch);
  inner_workspace_ = std::max(this->needs_.workspace, pieces_.workspace());
  this->needs_.workspace = inner_workspace_ + std::max(scratch, pieces_.scratch());
  this->needs_.state = kept_bytes();
}

template <class T>
void HaloLayer<T>::plan_for(std::int64_t, ComputeType operands) {
  inner_->plan_for(chunk_, operands);
  operands_ = operands;
  refresh();
}

template <class T>
Fusion HaloLayer<T>::fuse(const Epilogue& epilogue) {
  const Fusion fusion = fuses_ == nullptr ? Fusion::none : fuses_->fuse(epilogue);
  if (fusion == Fusion::none) return fusion;
  tail_ = epilogue;
  refresh();
  return fusion;
}

template <class T>
void HaloLayer<T>::bind(const typename Layer<T>::Memory& memory) {
  this->memory_ = memory;
  typename Layer<T>::Memory inner = memory;
  inner.state = {};
  inner_->bind(inner);
  pieces_.bind(inner);
}

template <class T>
template <class F>
void HaloLayer<T>::for_chunks(std::int64_t samples, int half, const F& f) const {
  const Half all = half_of(samples, half);
  for (std::int64_t first = 0; first < all.count; first += chunk_) f(Chunk{all.count, first, std::min(chunk_, all.count - first), all.first + first});
}

template <class T>
Span<T> HaloLayer<T>::scratch(int number) const {
  const std::int64_t size = chunk_ * around_elements_;
  return Span<T>(this->memory_.workspace.data() + inner_workspace_ + number * size, static_cast<std::size_t>(size));
}

template <class T>
Span<T> HaloLayer<T>::kept(const Chunk& chunk) const {
  const std::int64_t each = halves_[0]->received_elements();
  return samples_of(Span<T>(reinterpret_cast<T*>(this->memory_.state.data()), static_cast<std::size_t>(samples_ * each)), chunk.at - chunk.first, chunk.n,
                    each);
}

template <class T>
Span<std::uint8_t> HaloLayer<T>::state_of(const Chunk& chunk) const {
  const std::int64_t each = this->needs_.state_per_sample;
  if (each == 0 || this->memory_.state.size() == 0) return {};
  return Span<std::uint8_t>(this->memory_.state.data() + kept_bytes() + chunk.at * each, static_cast<std::size_t>(chunk.count * each));
}

template <class T>
void HaloLayer<T>::lend_to_inner(const Chunk& chunk) {
  if (const Span<std::uint8_t> state = state_of(chunk); state.size() > 0) inner_->lend_state(state);
}

template <class T>
void HaloLayer<T>::poll() {
  for (auto& half : halves_) half->poll();
}

template <class T>
Span<const T> HaloLayer<T>::with_halo(const Pass& pass, int half, const Chunk& chunk, Span<const T> x, bool from_kept) const {
  const Span<T> all = scratch(0);
  halves_[half]->assemble(pass.exec, chunk.n, chunk.first, chunk.count, samples_of(x, chunk.at - chunk.first, chunk.n, had_elements_),
                          from_kept ? Span<const T>(kept(chunk)) : halves_[half]->received(chunk.n), halves_[half]->required(), all);
  return samples_of(Span<const T>(all), 0, chunk.count, around_elements_);
}

template <class T>
void HaloLayer<T>::forward(const Pass& pass, std::span<const Span<const T>> inputs, Span<T> output) {
  for (int h = 0; h < 2; ++h) {
    const Half half = half_of(pass.samples, h);
    halves_[h]->begin_forward(of_samples(pass, half.first, half.count), samples_of(inputs[0], half.first, half.count, had_elements_));
  }
  const bool first_interior = interior_first(pass.samples);
  const Span<T> space = slice<T>(this->memory_.workspace, inner_workspace_, pieces_.scratch());
  for (int h = 0; h < 2 && first_interior; ++h)
    for_chunks(pass.samples, h, [&](const Chunk& chunk) {
      pieces_.interior(of_samples(pass, chunk.at, 1), samples_of(inputs[0], chunk.at, 1, had_elements_), samples_of(output, chunk.at, 1, output_elements_),
                       state_of(chunk), space, [&] { poll(); });
    });
  for (int h = 0; h < 2; ++h) {
    halves_[h]->finish_forward();
    for_chunks(pass.samples, h, [&](const Chunk& chunk) {
      if (chunk.first == 0 && pass.training && keeps())
        copy<T>(pass.exec, chunk.n * halves_[h]->received_elements(), halves_[h]->received(chunk.n), kept(chunk));
      const Pass part = of_samples(pass, chunk.at, chunk.count);
      const Span<T> y = samples_of(output, chunk.at, chunk.count, output_elements_);
      if (first_interior) {
        const Span<const T> all = samples_of(inputs[0], chunk.at - chunk.first, chunk.n, had_elements_);
        pieces_.border(part, *halves_[h], chunk.n, chunk.first, all, y, state_of(chunk), space);
        return;
      }
      const Span<const T> x = with_halo(pass, h, chunk, inputs[0], false);
      lend_to_inner(chunk);
      inner_->forward(part, std::span(&x, 1), y);
      poll();
    });
  }
}

template <class T>
void HaloLayer<T>::backward(const Pass& pass, std::span<const Span<const T>> inputs, Span<const T> output, Span<const T> dy, std::span<const Span<T>> dx) {
  const bool wanted = dx[0].data() != nullptr, in_two = split_ != nullptr;
  const auto output_of = [&](const Chunk& chunk) { return output.data() == nullptr ? output : samples_of(output, chunk.at, chunk.count, output_elements_); };
  const auto dy_of = [&](const Chunk& chunk) { return samples_of(dy, chunk.at, chunk.count, output_elements_); };
  for (int h = 0; h < 2; ++h) {
    const Half half = half_of(pass.samples, h);
    for_chunks(pass.samples, h, [&](const Chunk& chunk) {
      if (!wanted && in_two) return;
      const Pass part = of_samples(pass, chunk.at, chunk.count);
      const Span<T> gradient = wanted ? samples_of(scratch(keeps() && !in_two ? 1 : 0), 0, chunk.count, around_elements_) : Span<T>();
      lend_to_inner(chunk);
      if (in_two) {
        split_->backward_input(part, output_of(chunk), dy_of(chunk), gradient);
      } else {
        const Span<const T> x = keeps() ? with_halo(pass, h, chunk, inputs[0], true) : Span<const T>();
        inner_->backward(part, std::span(&x, 1), output_of(chunk), dy_of(chunk), std::span(&gradient, 1));
      }
      if (wanted) halves_[h]->take_apart(pass.exec, chunk.n, chunk.first, chunk.count, gradient, samples_of(dx[0], half.first, half.count, had_elements_));
    });
    if (wanted) halves_[h]->begin_backward(of_samples(pass, half.first, half.count));
  }
  for (int h = 0; h < 2 && in_two; ++h)
    for_chunks(pass.samples, h, [&](const Chunk& chunk) {
      lend_to_inner(chunk);
      split_->backward_parameters(of_samples(pass, chunk.at, chunk.count), with_halo(pass, h, chunk, inputs[0], true), output_of(chunk), dy_of(chunk));
      if (wanted) poll();
    });
  for (int h = 0; h < 2 && wanted; ++h) {
    const Half half = half_of(pass.samples, h);
    halves_[h]->finish_backward(of_samples(pass, half.first, half.count), samples_of(dx[0], half.first, half.count, had_elements_));
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
