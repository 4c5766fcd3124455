#include "parallel/box_exchange.hpp"

#include "kokkos_kernels/elementwise.hpp"
#include "layers/spatial.hpp"

namespace trireme {

namespace {

constexpr int tag = 71;

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

BoxCopy reversed(const BoxCopy& copy) {
  BoxCopy back = copy;
  std::swap(back.from, back.to);
  std::swap(back.from_first, back.to_first);
  return back;
}

// Of a message's elements, in a buffer that holds messages one behind the other.
template <class T>
Span<T> place(HostBuffer<T>& buffer, std::int64_t offset, std::int64_t count) {
  return Span<T>(buffer.data() + offset, static_cast<std::size_t>(count));
}

}  // namespace

template <class T>
BoxExchange<T>::BoxExchange(const BoxMove& move, const Shape& had, const Communicator* comm, int rank, std::int64_t samples)
    : comm_(comm), channels_(channels_of(had)) {
  const auto me = static_cast<std::size_t>(rank);
  const Box &mine = move.had[me], &wanted = move.needed[me];
  this->output_ = spatial_shape(channels_, wanted.extent, had.rank() - 1);
  this->needs_.input_in_backward = false;
  const Box own = mine.intersection(wanted);
  has_own_ = own.pixels() > 0;
  covers_ = own == mine;
  own_ = copy_between(own, mine, wanted, channels_);
  if (move.everywhere) return;
  std::int64_t sent = 0, received = 0;
  for (std::size_t peer = 0; peer < move.had.size(); ++peer) {
    if (peer == me) continue;
    if (const Box region = mine.intersection(move.needed[peer]); region.pixels() > 0) {
      sends_.push_back({static_cast<int>(peer), copy_between(region, mine, region, channels_), sent});
      sent += region.pixels() * channels_;
    }
    if (const Box region = move.had[peer].intersection(wanted); region.pixels() > 0) {
      receives_.push_back({static_cast<int>(peer), copy_between(region, region, wanted, channels_), received});
      received += region.pixels() * channels_;
    }
  }
  if (comm == nullptr) return;
  send_buffer_ = HostBuffer<T>("trireme::box_exchange::send", static_cast<std::size_t>(sent * samples));
  receive_buffer_ = HostBuffer<T>("trireme::box_exchange::receive", static_cast<std::size_t>(received * samples));
  requests_.reserve(sends_.size() + receives_.size());
}

template <class T>
std::int64_t BoxExchange<T>::sent_elements() const {
  std::int64_t total = 0;
  for (const Message& m : sends_) total += m.copy.elements();
  return total;
}

template <class T>
std::int64_t BoxExchange<T>::received_elements() const {
  std::int64_t total = 0;
  for (const Message& m : receives_) total += m.copy.elements();
  return total;
}

template <class T>
std::vector<Traffic> BoxExchange<T>::traffic(bool backward) const {
  const auto& messages = backward ? receives_ : sends_;
  return {{"spatial", static_cast<std::int64_t>(messages.size()), backward ? received_elements() : sent_elements()}};
}

template <class T>
void BoxExchange<T>::exchange(const Pass& pass, const std::vector<Message>& in, HostBuffer<T>& in_buffer, const std::vector<Message>& out,
                              HostBuffer<T>& out_buffer) {
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
void BoxExchange<T>::begin_forward(const Pass& pass, Span<const T> x, Span<T> y) {
  const std::int64_t n = pass.samples;
  if (n == 0) return;
  for (const Message& m : sends_) copy_box<T>(pass.exec, n, m.copy, x, place(send_buffer_, n * m.offset, n * m.copy.elements()));
  exchange(pass, receives_, receive_buffer_, sends_, send_buffer_);
  if (has_own_) copy_box<T>(pass.exec, n, own_, x, y);
}

template <class T>
void BoxExchange<T>::finish_forward(const Pass& pass, Span<T> y) {
  if (pass.samples == 0) return;
  wait();
  for (const Message& m : receives_)
    copy_box<T>(pass.exec, pass.samples, m.copy, place(receive_buffer_, pass.samples * m.offset, pass.samples * m.copy.elements()), y);
}

template <class T>
void BoxExchange<T>::begin_backward(const Pass& pass, Span<const T> dy, Span<T> dx) {
  const std::int64_t n = pass.samples;
  if (n == 0) return;
  for (const Message& m : receives_)
    copy_box<T>(pass.exec, n, reversed(m.copy), dy, place(receive_buffer_, n * m.offset, n * m.copy.elements()));
  exchange(pass, sends_, send_buffer_, receives_, receive_buffer_);
  if (!covers_) fill<T>(pass.exec, n * own_.from[0] * own_.from[1] * own_.from[2] * channels_, T{}, dx);
  if (has_own_) copy_box<T>(pass.exec, n, reversed(own_), dy, dx);
}

template <class T>
void BoxExchange<T>::finish_backward(const Pass& pass, Span<T> dx) {
  if (pass.samples == 0) return;
  wait();
  for (const Message& m : sends_)
    add_box<T>(pass.exec, pass.samples, reversed(m.copy), place(send_buffer_, pass.samples * m.offset, pass.samples * m.copy.elements()), dx);
}

template <class T>
void BoxExchange<T>::forward(const Pass& pass, std::span<const Span<const T>> inputs, Span<T> output) {
  begin_forward(pass, inputs[0], output);
  finish_forward(pass, output);
}

template <class T>
void BoxExchange<T>::backward(const Pass& pass, std::span<const Span<const T>>, Span<const T>, Span<const T> dy, std::span<const Span<T>> dx) {
  if (dx[0].data() == nullptr) return;
  begin_backward(pass, dy, dx[0]);
  finish_backward(pass, dx[0]);
}

template class BoxExchange<float>;
template class BoxExchange<double>;

}  // namespace trireme
