#include "parallel/halo_exchange.hpp"

#include <algorithm>

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

using Offset = std::array<std::int64_t, 3>;

// How far the sample is moved for required boxes that wrap around it: first not at all, then by its extent along each dimension where a box begins before it or
// ends after it.
std::vector<Offset> offsets(const BoxMove& move) {
  std::array<std::vector<std::int64_t>, 3> steps;
  for (std::size_t a = 0; a < 3; ++a) {
    std::int64_t extent = 0, low = 0, high = 0;
    for (const Box& box : move.owned) extent = std::max(extent, box.end(a));
    for (const Box& box : move.required) low = std::min(low, box.first[a]), high = std::max(high, box.end(a));
    steps[a] = {0};
    if (low < 0) steps[a].push_back(-extent);
    if (high > extent) steps[a].push_back(extent);
  }
  std::vector<Offset> all;
  for (const std::int64_t d : steps[0])
    for (const std::int64_t h : steps[1])
      for (const std::int64_t w : steps[2]) all.push_back({d, h, w});
  return all;
}

Box moved(Box box, const Offset& offset) {
  for (std::size_t a = 0; a < 3; ++a) box.first[a] += offset[a];
  return box;
}

// Of a message's elements, in memory that holds messages one behind the other.
template <class T, class View>
Span<T> place(const View& buffer, std::int64_t offset, std::int64_t count) {
  return Span<T>(buffer.data() + offset, static_cast<std::size_t>(count));
}

}  // namespace

template <class T>
HaloExchange<T>::HaloExchange(const BoxMove& move, const Shape& owned, const Communicator* comm, int rank, std::int64_t samples)
    : comm_(comm),
      owned_(move.owned[static_cast<std::size_t>(rank)]),
      required_(move.required[static_cast<std::size_t>(rank)]),
      channels_(channels_of(owned)),
      owned_elements_(owned.size()) {
  const auto me = static_cast<std::size_t>(rank);
  const Box &mine = owned_, &wanted = required_;
  this->output_ = spatial_shape(channels_, wanted.extent, owned.rank() - 1);
  this->needs_.input_in_backward = false;
  covers_ = mine.intersection(wanted) == mine;
  for (const Offset& offset : offsets(move)) {
    const Box at = moved(mine, offset);
    if (const Box region = at.intersection(wanted); region.pixels() > 0) own_.push_back({at, copy_between(region, at, wanted, channels_)});
  }
  if (move.everywhere) return;
  // Both sides of a pair list its messages in the same order.
  for (std::size_t peer = 0; peer < move.owned.size(); ++peer) {
    if (peer == me) continue;
    for (const Offset& offset : offsets(move)) {
      const Box at = moved(mine, offset), other = moved(move.owned[peer], offset);
      if (const Box region = at.intersection(move.required[peer]); region.pixels() > 0) {
        sends_.push_back({static_cast<int>(peer), region, copy_between(region, at, region, channels_), sent_});
        sent_ += region.pixels() * channels_;
      }
      if (const Box region = other.intersection(wanted); region.pixels() > 0) {
        receives_.push_back({static_cast<int>(peer), region, copy_between(region, region, wanted, channels_), received_});
        received_ += region.pixels() * channels_;
      }
    }
  }
  if (comm == nullptr) return;
  send_buffer_ = HostBuffer<T>("trireme::halo_exchange::send", static_cast<std::size_t>(sent_ * samples));
  receive_buffer_ = HostBuffer<T>("trireme::halo_exchange::receive", static_cast<std::size_t>(received_ * samples));
  requests_.reserve(sends_.size() + receives_.size());
}

template <class T>
std::vector<Traffic> HaloExchange<T>::traffic(bool backward) const {
  const auto& messages = backward ? receives_ : sends_;
  return {{"spatial", static_cast<std::int64_t>(messages.size()), backward ? received_elements() : sent_elements()}};
}

template <class T>
void HaloExchange<T>::exchange(const Pass& pass, const std::vector<Message>& in, const HostBuffer<T>& in_buffer, const std::vector<Message>& out,
                               const HostBuffer<T>& out_buffer) {
  if (in.empty() && out.empty()) return;
  pass.exec.fence("trireme::halo_exchange: messages packed, previous ones unpacked, before MPI");
  const auto count = [&](const Message& m) { return static_cast<std::size_t>(pass.samples * m.copy.elements()); };
  for (const Message& m : in) requests_.push_back(comm_->begin_receive(in_buffer.data() + pass.samples * m.offset, count(m), m.peer, tag));
  for (const Message& m : out) requests_.push_back(comm_->begin_send(out_buffer.data() + pass.samples * m.offset, count(m), m.peer, tag));
}

template <class T>
void HaloExchange<T>::wait() {
  for (Request& request : requests_) request.wait();
  requests_.clear();
}

template <class T>
void HaloExchange<T>::begin_forward(const Pass& pass, Span<const T> x) {
  const std::int64_t n = pass.samples;
  if (n == 0) return;
  for (const Message& m : sends_) copy_box<T>(pass.exec, n, m.copy, x, place<T>(send_buffer_, n * m.offset, n * m.copy.elements()));
  exchange(pass, receives_, receive_buffer_, sends_, send_buffer_);
}

template <class T>
void HaloExchange<T>::finish_forward() {
  wait();
}

template <class T>
void HaloExchange<T>::poll() {
  for (Request& request : requests_) request.done();
}

template <class T>
void HaloExchange<T>::assemble(const Execution& exec, std::int64_t n, std::int64_t first, std::int64_t count, Span<const T> x, Span<const T> received,
                               const Box& box, Span<T> to) const {
  if (count == 0) return;
  for (const OwnCopy& own : own_)
    if (const Box region = own.at.intersection(box); region.pixels() > 0)
      copy_box<T>(exec, count, copy_between(region, own.at, box, channels_), place<const T>(x, first * owned_elements_, count * owned_elements_), to);
  for (const Message& m : receives_) {
    const std::int64_t each = m.copy.elements();
    if (const Box region = m.box.intersection(box); region.pixels() > 0)
      copy_box<T>(exec, count, copy_between(region, m.box, box, channels_), place<const T>(received, n * m.offset + first * each, count * each), to);
  }
}

template <class T>
void HaloExchange<T>::take_apart(const Execution& exec, std::int64_t n, std::int64_t first, std::int64_t count, Span<const T> needed_gradient,
                                 Span<T> dx) const {
  if (count == 0) return;
  for (const Message& m : receives_) {
    const std::int64_t each = m.copy.elements();
    copy_box<T>(exec, count, reversed(m.copy), needed_gradient, place<T>(receive_buffer_, n * m.offset + first * each, count * each));
  }
  const Span<T> mine = place<T>(dx, first * owned_elements_, count * owned_elements_);
  if (!covers_) fill<T>(exec, count * owned_elements_, T{}, mine);
  for (const OwnCopy& own : own_)
    if (own.at == owned_)
      copy_box<T>(exec, count, reversed(own.copy), needed_gradient, mine);
    else
      add_box<T>(exec, count, reversed(own.copy), needed_gradient, mine);
}

template <class T>
void HaloExchange<T>::begin_backward(const Pass& pass) {
  if (pass.samples > 0) exchange(pass, sends_, send_buffer_, receives_, receive_buffer_);
}

template <class T>
void HaloExchange<T>::finish_backward(const Pass& pass, Span<T> dx) {
  if (pass.samples == 0) return;
  wait();
  for (const Message& m : sends_)
    add_box<T>(pass.exec, pass.samples, reversed(m.copy), place<const T>(send_buffer_, pass.samples * m.offset, pass.samples * m.copy.elements()), dx);
}

template <class T>
void HaloExchange<T>::forward(const Pass& pass, std::span<const Span<const T>> inputs, Span<T> output) {
  begin_forward(pass, inputs[0]);
  finish_forward();
  assemble(pass.exec, pass.samples, 0, pass.samples, inputs[0], received(pass.samples), required_, output);
}

template <class T>
void HaloExchange<T>::backward(const Pass& pass, std::span<const Span<const T>>, Span<const T>, Span<const T> dy, std::span<const Span<T>> dx) {
  if (dx[0].data() == nullptr) return;
  take_apart(pass.exec, pass.samples, 0, pass.samples, dy, dx[0]);
  begin_backward(pass);
  finish_backward(pass, dx[0]);
}

template class HaloExchange<float>;
template class HaloExchange<double>;

}  // namespace trireme
