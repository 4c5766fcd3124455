#include "parallel/stage_links.hpp"

#include "kokkos_kernels/elementwise.hpp"

namespace trireme {

namespace {

int forward_tag(int number) { return 2 * number; }
int backward_tag(int number) { return 2 * number + 1; }

template <class T>
HostBuffer<T>& large_enough(HostBuffer<T>& buffer, std::int64_t count) {
  if (static_cast<std::int64_t>(buffer.size()) < count) buffer = HostBuffer<T>("trireme::stage_links::message", static_cast<std::size_t>(count));
  return buffer;
}

// Messages have memory of their own: a device's memory may be out of MPI's reach, and a host's is used again by the layers that follow while a
// message still travels.
template <class T>
Request send(const Execution& exec, const Communicator& comm, Span<const T> values, std::int64_t count, int to, int tag, HostBuffer<T>& buffer,
             Request& before) {
  before.wait();
  large_enough(buffer, count);
  copy<T>(exec, count, values, Span<T>(buffer.data(), static_cast<std::size_t>(count)));
  exec.fence("trireme::stage_links: message complete before MPI");
  return comm.begin_send(buffer.data(), static_cast<std::size_t>(count), to, tag);
}

template <class T>
void receive(const Execution& exec, const Communicator& comm, Span<T> values, std::int64_t count, int from, int tag, HostBuffer<T>& buffer) {
  if (on_host) return comm.begin_receive(values.data(), static_cast<std::size_t>(count), from, tag).wait();
  exec.fence("trireme::stage_links: the last message is read");
  large_enough(buffer, count);
  comm.begin_receive(buffer.data(), static_cast<std::size_t>(count), from, tag).wait();
  copy<T>(exec, count, Span<const T>(buffer.data(), static_cast<std::size_t>(count)), values);
}

}  // namespace

template <class T>
StageReceive<T>::StageReceive(const Shape& shape, int number, bool gradient, const Communicator* pipeline, int from)
    : number_(number), gradient_(gradient), comm_(pipeline), from_(from) {
  this->output_ = shape;
  this->needs_.input_in_backward = false;
}

template <class T>
void StageReceive<T>::forward(const Pass& pass, std::span<const Span<const T>>, Span<T> output) {
  receive(pass.exec, *comm_, output, pass.samples * this->output_.size(), from_, forward_tag(number_), buffer_);
}

template <class T>
void StageReceive<T>::backward(const Pass& pass, std::span<const Span<const T>>, Span<const T>, Span<const T> dy, std::span<const Span<T>>) {
  request_ = send(pass.exec, *comm_, dy, pass.samples * this->output_.size(), from_, backward_tag(number_), sent_, request_);
}

template <class T>
std::vector<Traffic> StageReceive<T>::traffic(bool backward) const {
  return backward && gradient_ ? std::vector<Traffic>{{"pipeline", 1, this->output_.size()}} : std::vector<Traffic>();
}

template <class T>
StageSend<T>::StageSend(const Shape& shape, int number, bool gradient, const Communicator* pipeline, int to)
    : elements_(shape.size()), number_(number), gradient_(gradient), comm_(pipeline), to_(to) {
  this->output_ = Shape{0};
  this->needs_.input_in_backward = false;
}

template <class T>
void StageSend<T>::forward(const Pass& pass, std::span<const Span<const T>> inputs, Span<T>) {
  request_ = send(pass.exec, *comm_, inputs[0], pass.samples * elements_, to_, forward_tag(number_), buffer_, request_);
}

template <class T>
void StageSend<T>::backward(const Pass& pass, std::span<const Span<const T>>, Span<const T>, Span<const T>, std::span<const Span<T>> dx) {
  receive(pass.exec, *comm_, dx[0], pass.samples * elements_, to_, backward_tag(number_), received_);
}

template <class T>
std::vector<Traffic> StageSend<T>::traffic(bool backward) const {
  return backward ? std::vector<Traffic>() : std::vector<Traffic>{{"pipeline", 1, elements_}};
}

#define TRIREME_INSTANTIATE(T)    \
  template class StageReceive<T>; \
  template class StageSend<T>;
TRIREME_INSTANTIATE(float)
TRIREME_INSTANTIATE(double)
#undef TRIREME_INSTANTIATE

}  // namespace trireme
