#include "parallel/box_exchange.hpp"

#include "kokkos_kernels/elementwise.hpp"
#include "layers/spatial.hpp"

namespace trireme {

BoxCopy copy_between(const Box& region, const Box& from, const Box& to, std::int64_t channels) {
  BoxCopy copy;
  copy.channels = channels;
  copy.extent = region.extent;
  copy.from = from.extent;
  copy.to = to.extent;
  for (std::size_t a = 0; a < 3; ++a) {
    copy.from_first[a] = region.first[a] - from.first[a];
    copy.to_first[a] = region.first[a] - to.first[a];
  }
  return copy;
}

namespace {

constexpr int tag = 71;

BoxCopy reversed(const BoxCopy& copy) {
  BoxCopy back = copy;
  std::swap(back.from, back.to);
  std::swap(back.from_first, back.to_first);
  return back;
}

// Of a message's elements, in memory that holds messages one behind the other.
template <class T, class View>
Span<T> place(const View& buffer, std::int64_t offset, std::int64_t count) {
  return Span<T>(buffer.data() + offset, static_cast<std::size_t>(count));
}

}  // namespace

template <class T>
BoxExchange<T>::BoxExchange(const BoxMove& move, const Shape& had, const Communicator* comm, int rank, std::int64_t samples)
    : comm_(comm), had_(move.had[static_cast<std::size_t>(rank)]), needed_(move.needed[static_cast<std::size_t>(rank)]), channels_(channels_of(had)),
      had_elements_(had.size()) {
  const auto me = static_cast<std::size_t>(rank);
  const Box &mine = had_, &wanted = needed_;
  this->output_ = spatial_shape(channels_, wanted.extent, had.rank() - 1);
  this->needs_.input_in_backward = false;
  const Box own = mine.intersection(wanted);
  has_own_ = own.pixels() > 0;
  covers_ = own == mine;
  own_ = copy_between(own, mine, wanted, channels_);
  if (move.everywhere) return;
  for (std::size_t peer = 0; peer < move.had.size(); ++peer) {
    if (peer == me) continue;
    if (const Box region = mine.intersection(move.needed[peer]); region.pixels() > 0) {
      sends_.push_back({static_cast<int>(peer), region, copy_between(region, mine, region, channels_), sent_});
      sent_ += region.pixels() * channels_;
    }
    if (const Box region = move.had[peer].intersection(wanted); region.pixels() > 0) {
      receives_.push_back({static_cast<int>(peer), region, copy_between(region, region, wanted, channels_), received_});
      received_ += region.pixels() * channels_;
    }
  }
  if (comm == nullptr) return;
  send_buffer_ = HostBuffer<T>("trireme::box_exchange::send", static_cast<std::size_t>(sent_ * samples));
  receive_buffer_ = HostBuffer<T>("trireme::box_exchange::receive", static_cast<std::size_t>(received_ * samples));
  requests_.reserve(sends_.size() + receives_.size());
}

template <class T>
std::vector<Traffic> BoxExchange<T>::traffic(bool backward) const {
  const auto& messages = backward ? receives_ : sends_;
  return {{"spatial", static_cast<std::int64_t>(messages.size()), backward ? received_elements() : sent_elements()}};
}

template <class T>
void BoxExchange<T>::exchange(const Pass& pass, const std::vector<Message>& in, const HostBuffer<T>& in_buffer, const std::vector<Message>& out,
                              const HostBuffer<T>& out_buffer) {
  if (in.empty() && out.empty()) return;
  pass.exec.fence("trireme::box_exchange: messages packed, and the last ones unpacked, before MPI");
  const auto count = [&](const Message& m) { return static_cast<std::size_t>(pass.samples * m.copy.elements()); };
  for (const Message& m : in) requests_.push_back(comm_->begin_receive(in_buffer.data() + pass.samples * m.offset, count(m), m.peer, tag));
  for (const Message& m : out) requests_.push_back(comm_->begin_send(out_buffer.data() + pass.samples * m.offset, count(m), m.peer, tag));
}

template <class T>
void BoxExchange<T>::wait() {
  for (Request& request : requests_) request.wait();
  requests_.clear();
}

template <class T>
void BoxExchange<T>::begin_forward(const Pass& pass, Span<const T> x) {
  const std::int64_t n = pass.samples;
  if (n == 0) return;
  for (const Message& m : sends_) copy_box<T>(pass.exec, n, m.copy, x, place<T>(send_buffer_, n * m.offset, n * m.copy.elements()));
  exchange(pass, receives_, receive_buffer_, sends_, send_buffer_);
}

template <class T>
void BoxExchange<T>::finish_forward() {
  wait();
}

template <class T>
void BoxExchange<T>::poll() {
  for (Request& request : requests_) request.done();
}

template <class T>
void BoxExchange<T>::assemble(const Execution& exec, std::int64_t n, std::int64_t first, std::int64_t count, Span<const T> x, Span<const T> received,
                              const Box& box, Span<T> to) const {
  if (count == 0) return;
  if (const Box own = had_.intersection(box); own.pixels() > 0)
    copy_box<T>(exec, count, copy_between(own, had_, box, channels_), place<const T>(x, first * had_elements_, count * had_elements_), to);
  for (const Message& m : receives_) {
    const std::int64_t each = m.copy.elements();
    if (const Box region = m.box.intersection(box); region.pixels() > 0)
      copy_box<T>(exec, count, copy_between(region, m.box, box, channels_), place<const T>(received, n * m.offset + first * each, count * each), to);
  }
}

template <class T>
void BoxExchange<T>::take_apart(const Execution& exec, std::int64_t n, std::int64_t first, std::int64_t count, Span<const T> needed_gradient,
                                Span<T> dx) const {
  if (count == 0) return;
  for (const Message& m : receives_) {
    const std::int64_t each = m.copy.elements();
    copy_box<T>(exec, count, reversed(m.copy), needed_gradient, place<T>(receive_buffer_, n * m.offset + first * each, count * each));
  }
  const Span<T> mine = place<T>(dx, first * had_elements_, count * had_elements_);
  if (!covers_) fill<T>(exec, count * had_elements_, T{}, mine);
  if (has_own_) copy_box<T>(exec, count, reversed(own_), needed_gradient, mine);
}

template <class T>
void BoxExchange<T>::begin_backward(const Pass& pass) {
  if (pass.samples > 0) exchange(pass, sends_, send_buffer_, receives_, receive_buffer_);
}

template <class T>
void BoxExchange<T>::finish_backward(const Pass& pass, Span<T> dx) {
  if (pass.samples == 0) return;
  wait();
  for (const Message& m : sends_)
    add_box<T>(pass.exec, pass.samples, reversed(m.copy), place<const T>(send_buffer_, pass.samples * m.offset, pass.samples * m.copy.elements()), dx);
}

template <class T>
void BoxExchange<T>::forward(const Pass& pass, std::span<const Span<const T>> inputs, Span<T> output) {
  begin_forward(pass, inputs[0]);
  finish_forward();
  assemble(pass.exec, pass.samples, 0, pass.samples, inputs[0], received(pass.samples), needed_, output);
}

template <class T>
void BoxExchange<T>::backward(const Pass& pass, std::span<const Span<const T>>, Span<const T>, Span<const T> dy, std::span<const Span<T>> dx) {
  if (dx[0].data() == nullptr) return;
  take_apart(pass.exec, pass.samples, 0, pass.samples, dy, dx[0]);
  begin_backward(pass);
  finish_backward(pass, dx[0]);
}

template class BoxExchange<float>;
template class BoxExchange<double>;

}  // namespace trireme
