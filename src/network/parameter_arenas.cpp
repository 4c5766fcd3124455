#include "network/parameter_arenas.hpp"

#include "base/random.hpp"
#include "kokkos_kernels/elementwise.hpp"
#include "kokkos_kernels/norm.hpp"
#include "layers/part.hpp"

namespace trireme {

namespace {

std::uint64_t hash_of(const std::string& text) {  // FNV-1a
  std::uint64_t h = 0xcbf29ce484222325u;
  for (const unsigned char c : text) h = (h ^ c) * 0x100000001b3u;
  return h;
}

}  // namespace

template <class T>
ParameterArenas<T>::ParameterArenas(const ArenaLayout& layout, bool training, bool allocates) : layout_(&layout), training_(training) {
  if (!allocates) return;
  values_ = Buffer<T>("trireme::network::values", static_cast<std::size_t>(layout.parameter_elements));
  running_ = Buffer<T>("trireme::network::running", static_cast<std::size_t>(layout.buffer_elements));
  momentum_ = Buffer<T>("trireme::network::momentum", static_cast<std::size_t>(layout.buffer_elements));
  for (const NetworkBuffer& buffer : layout.buffers)
    Kokkos::deep_copy(slice<T>(momentum_, buffer.offset, buffer.shape.size()), static_cast<T>(buffer.momentum));
  gradients_ = Buffer<T>("trireme::network::gradients", training ? static_cast<std::size_t>(gradient_elements()) : 0);
}

template <class T>
void ParameterArenas<T>::give(typename Layer<T>::Memory& memory, const Layer<T>& layer, std::size_t& parameter, std::size_t& buffer) const {
  for (std::size_t k = 0; k < layer.parameters().size(); ++k, ++parameter) {
    const Parameter& p = layout_->parameters[parameter];
    memory.parameters.push_back(slice<T>(values_, p.offset, p.shape.size()));
    if (training_) memory.gradients.push_back(slice<T>(gradients_, p.offset, p.shape.size()));
  }
  for (std::size_t k = 0; k < layer.buffers().size(); ++k, ++buffer) {
    const NetworkBuffer& b = layout_->buffers[buffer];
    memory.buffers.push_back(slice<T>(running_, b.offset, b.shape.size()));
    if (training_) memory.batch_stats.push_back(batch_stats(b.offset, b.shape.size()));
  }
}

template <class T>
void ParameterArenas<T>::initialize(std::uint64_t seed) {
  const auto host = Kokkos::create_mirror_view(values_);
  for (const Parameter& parameter : layout_->parameters) {
    RandomStream stream(mix(seed, hash_of("initialize")), hash_of(parameter.name));
    std::vector<T> whole(static_cast<std::size_t>(parameter.whole().size()));
    for (T& value : whole)
      value = static_cast<T>(parameter.initial.kind == Initial::Kind::constant ? parameter.initial.value
                                                                               : stream.uniform(-parameter.initial.value, parameter.initial.value));
    take_part(parameter.shape, parameter.slice, whole.data(), host.data() + parameter.offset);
  }
  Kokkos::deep_copy(values_, host);
  for (const NetworkBuffer& buffer : layout_->buffers)
    Kokkos::deep_copy(slice<T>(running_, buffer.offset, buffer.shape.size()), static_cast<T>(buffer.initial));
}

template <class T>
void ParameterArenas<T>::update_buffers(const Execution& exec, std::int64_t samples) {
  if (layout_->buffer_elements == 0) return;
  update_running<T>(exec, layout_->buffer_elements, samples, momentum_, batch_stats(0, layout_->buffer_elements), running_);
}

template <class T>
void ParameterArenas<T>::zero_gradients(const Execution& exec) {
  fill<T>(exec, gradient_elements(), T{}, gradients_and_control());
}

template class ParameterArenas<float>;
template class ParameterArenas<double>;

}  // namespace trireme
