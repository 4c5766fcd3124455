#include "network/network.hpp"

#include <algorithm>
#include <limits>

#include "base/checked.hpp"
#include "base/error.hpp"
#include "base/machine_memory.hpp"
#include "base/random.hpp"
#include "base/text.hpp"
#include "kokkos_kernels/elementwise.hpp"
#include "kokkos_kernels/norm.hpp"

namespace trireme {

namespace {

std::uint64_t hash_of(const std::string& text) {  // FNV-1a
  std::uint64_t h = 0xcbf29ce484222325u;
  for (const unsigned char c : text) h = (h ^ c) * 0x100000001b3u;
  return h;
}

Operands operands_of(const Deck& deck) {
  const std::string& precision = deck.text("train.precision");
  return precision == "tf32" ? Operands::tf32 : precision == "bf16" ? Operands::bf16 : Operands::full;
}

}  // namespace

template <class T>
Network<T>::Network(const Deck& deck, std::int64_t samples, Use use) : Network(deck, samples, use, GridPlace(), nullptr, true) {}

template <class T>
Network<T>::Network(const Deck& deck, std::int64_t samples, Use use, const ProcessGrid& grid) : Network(deck, samples, use, grid.place(), &grid, true) {}

template <class T>
Network<T>::Network(const Deck& deck, std::int64_t samples, Use use, const GridPlace& place) : Network(deck, samples, use, place, nullptr, false) {}

template <class T>
Network<T>::Network(const Deck& deck, std::int64_t samples, Use use, const GridPlace& place, const ProcessGrid* grid, bool allocates)
    : samples_(samples), use_(use), place_(place), allocates_(allocates), graph_(deck), plan_(graph_, deck, place.shape) {
  check_sizes();
  take(make_program<T>(plan_, place_, grid, samples_, operands_of(deck)));
  fuse_tails();
  lay_out_parameters();
  lay_out_buffers();
  plan_memory();
  if (!allocates_) return;
  check_memory();
  bind();
}

/// Products of samples and extents that all that follows may take: sums over layers of bytes fit in 64 bits.
template <class T>
void Network<T>::check_sizes() const {
  constexpr std::int64_t most = std::int64_t{1} << 44;
  for (std::size_t value = 0; value < graph_.shapes().size(); ++value) {
    std::int64_t elements = 0;
    if (fits({samples_, graph_.shapes()[value].size()}, elements) && elements <= most) continue;
    throw usage_error("{}: {} samples a pass of {} are more than {} elements. Hint: a smaller data.batch or data.test_batch, or more parallel.micro_batches",
                      value == 0 ? "model.input" : graph_.nodes()[value - 1].spec.called(), samples_, graph_.shapes()[value].text(), most);
  }
}

/// What the memory cannot hold is refused before it is asked for: systems promise more than they have, and end the process later.
template <class T>
void Network<T>::check_memory() const {
  if (!on_host) return;
  const auto size = static_cast<double>(sizeof(T));
  const double parameters = static_cast<double>(arena_size_ + buffers_size_) * size * (use_ == Use::training ? 2 : 1),
               activations = static_cast<double>(memory_.total()) * static_cast<double>(slots_.size()) + static_cast<double>(workspace_elements_) * size;
  const auto most = static_cast<double>(machine_memory());
  if (parameters + activations <= most) return;
  const char* const hint = parameters > most ? "fewer channels or features (the layers with the most parameters are the place to begin), or parallel.tensor or pipeline on more machines"
                                             : "a smaller data.batch or data.test_batch, more ranks on more machines, or parallel.micro_batches";
  throw usage_error("the network does not fit in memory: a rank needs {} for {}, and {} for activations of {} sample(s) a pass; the machine has {}. Hint: {}",
                    human_bytes(parameters), use_ == Use::training ? "parameters and gradients" : "parameters", human_bytes(activations), samples_, human_bytes(most), hint);
}

template <class T>
void Network<T>::take(Program<T> program) {
  shapes_.push_back(program.input);
  consumers_.emplace_back();
  output_ = program.output;
  input_box_ = program.input_box, output_box_ = program.output_box;
  input_split_ = program.input_split, output_split_ = program.output_split;
  output_cuts_ = program.output_cuts;
  for (ProgramStep<T>& from : program.steps) {
    for (const std::size_t value : from.inputs) consumers_[value].push_back(layers_.size());
    shapes_.push_back(from.layer->output());
    consumers_.emplace_back();
    Step step;
    step.layer = std::move(from.layer);
    step.kind = std::move(from.kind);
    step.name = std::move(from.name);
    step.inputs = std::move(from.inputs);
    layers_.push_back(std::move(step));
  }
}

/// A layer may stand for the pooling behind it, and for the slope before or behind that, where nobody else reads what lies between.
template <class T>
void Network<T>::fuse_tails() {
  producer_.assign(shapes_.size(), none);
  for (std::size_t i = 0; i < layers_.size(); ++i) layers_[i].result = i + 1;
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    Step& step = layers_[i];
    if (step.absorbed) continue;
    std::vector<std::size_t> followers;
    ConvTail tail;
    bool slopes = false;
    for (std::size_t value = i + 1; followers.size() < 2 && consumers_[value].size() == 1; value = followers.back() + 1) {
      const std::size_t next = consumers_[value].front();
      const auto part = layers_[next].layer->as_tail();
      if (!part || (part->pools() ? tail.pools() : slopes)) break;
      if (part->pools())
        tail.window = part->window;
      else
        tail.slope = part->slope, slopes = true;
      followers.push_back(next);
    }
    if (tail.pools() && step.layer->fuse_tail(tail)) {
      for (const std::size_t follower : followers) layers_[follower].absorbed = true;
      step.result = followers.back() + 1;
    }
    producer_[step.result] = i;
  }
}

template <class T>
void Network<T>::lay_out_parameters() {
  constexpr std::int64_t alignment = MemoryPlan::alignment / static_cast<std::int64_t>(sizeof(T));
  for (Step& step : layers_) {
    if (!step.layer->parameters().empty()) step.first_parameter = arena_size_;
    for (const ParameterSpec& spec : step.layer->parameters()) {
      parameters_.push_back({step.name + "." + spec.name, spec.shape, arena_size_, spec.initial, spec.slice});
      arena_size_ += (spec.shape.size() + alignment - 1) / alignment * alignment;
    }
  }
  if (!allocates_) return;
  values_ = Buffer<T>("trireme::network::values", static_cast<std::size_t>(arena_size_));
}

template <class T>
void Network<T>::lay_out_buffers() {
  for (const Step& step : layers_)
    for (const BufferSpec& spec : step.layer->buffers()) {
      buffers_.push_back({step.name + "." + spec.name, spec.shape, buffers_size_, spec.initial, spec.momentum, spec.slice});
      buffers_size_ += spec.shape.size();
    }
  if (!allocates_) return;
  running_ = Buffer<T>("trireme::network::running", static_cast<std::size_t>(buffers_size_));
  momentum_ = Buffer<T>("trireme::network::momentum", static_cast<std::size_t>(buffers_size_));
  for (const NetworkBuffer& buffer : buffers_)
    Kokkos::deep_copy(slice<T>(momentum_, buffer.offset, buffer.shape.size()), static_cast<T>(buffer.momentum));
  gradients_ = Buffer<T>("trireme::network::gradients",
                         use_ == Use::training ? static_cast<std::size_t>(arena_size_ + control_size + buffers_size_) : 0);
}

template <class T>
void Network<T>::plan_memory() {
  const bool training = use_ == Use::training;
  const int count = static_cast<int>(layers_.size());
  const auto forward_time = [](std::size_t layer) { return static_cast<int>(layer); };
  const auto backward_time = [&](std::size_t layer) { return 2 * count - static_cast<int>(layer); };
  const auto bytes_of = [&](std::size_t value) { return samples_ * shapes_[value].size() * static_cast<std::int64_t>(sizeof(T)); };

  // Which layers work in place: nobody else reads the input, and its producer does not look at it again.
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    Step& step = layers_[i];
    if (step.inputs.empty() || step.absorbed || !step.layer->needs().in_place) continue;
    const std::size_t value = step.inputs[0];
    if (consumers_[value].size() != 1) continue;
    Step* const producer = value == 0 ? nullptr : &layers_[producer_[value]];
    if (training && producer != nullptr && producer->layer->needs().output_in_backward) continue;
    step.in_place = true;
    step.fused = step.kind == "relu" && producer != nullptr && producer->layer->fuse_relu();
  }

  // Activations.
  block_of_.assign(shapes_.size(), none);
  const auto is_made = [&](std::size_t value) { return value == 0 || producer_[value] != none; };
  for (std::size_t value = 0; value < shapes_.size(); ++value) {
    if (!is_made(value)) continue;
    const Step* const producer = value == 0 ? nullptr : &layers_[producer_[value]];
    const int born = producer == nullptr ? -1 : forward_time(producer_[value]);
    if (producer != nullptr && producer->in_place)
      block_of_[value] = block_of_[producer->inputs[0]];
    else
      block_of_[value] = memory_.add(bytes_of(value), born, born);
    const std::size_t block = block_of_[value];
    memory_.extend(block, born);
    for (const std::size_t consumer : consumers_[value]) {
      memory_.extend(block, forward_time(consumer));
      if (training && layers_[consumer].layer->needs().input_in_backward) memory_.extend(block, backward_time(consumer));
    }
    if (training && producer != nullptr && producer->layer->needs().output_in_backward) memory_.extend(block, backward_time(producer_[value]));
  }
  memory_.extend(block_of_.back(), count);  // the loss reads it

  // State from forward to backward.
  state_block_.assign(layers_.size(), none);
  if (training)
    for (std::size_t i = 0; i < layers_.size(); ++i)
      if (const LayerNeeds& needs = layers_[i].layer->needs(); needs.state + needs.state_per_sample > 0 && !layers_[i].absorbed)
        state_block_[i] = memory_.add(needs.state + needs.state_per_sample * samples_, forward_time(i), backward_time(i));

  // Gradients of activations: wanted where a parameter lies upstream.
  wanted_.assign(shapes_.size(), false);
  gradient_block_of_.assign(shapes_.size(), none);
  extra_.resize(layers_.size());
  if (training) {
    for (std::size_t value = 1; value < shapes_.size(); ++value) {
      if (!is_made(value)) continue;
      const Step& producer = layers_[producer_[value]];
      wanted_[value] = !producer.layer->parameters().empty() || producer.layer->wants_gradient() ||
                       std::ranges::any_of(producer.inputs, [&](std::size_t v) { return wanted_[v]; });
    }
    for (std::size_t value = shapes_.size(); value-- > 1;) {
      if (!is_made(value) || (!wanted_[value] && value + 1 != shapes_.size())) continue;
      const int first = consumers_[value].empty() ? count : backward_time(consumers_[value].back()), last = backward_time(producer_[value]);
      // In place: the gradient of the output, already planned because values are visited backward.
      const bool shared = consumers_[value].size() == 1 && layers_[consumers_[value][0]].in_place;
      gradient_block_of_[value] = shared ? gradient_block_of_[layers_[consumers_[value][0]].result] : memory_.add(bytes_of(value), first, last);
      memory_.extend(gradient_block_of_[value], last);
    }
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      extra_[i].assign(layers_[i].inputs.size(), none);
      if (layers_[i].absorbed) continue;
      for (std::size_t k = 0; k < layers_[i].inputs.size(); ++k) {
        const std::size_t value = layers_[i].inputs[k];
        const bool again_here = std::find(layers_[i].inputs.begin(), layers_[i].inputs.begin() + static_cast<std::ptrdiff_t>(k), value) !=
                                layers_[i].inputs.begin() + static_cast<std::ptrdiff_t>(k);
        if (wanted_[value] && (consumers_[value].back() != i || again_here))
          extra_[i][k] = memory_.add(bytes_of(value), backward_time(i), backward_time(i));
      }
    }
  }

  memory_.solve();
  for (const Step& step : layers_) workspace_elements_ = std::max(workspace_elements_, step.layer->needs().workspace);
  // 1F1B: a stage has a forward pass under way for each stage behind it, and its own.
  const std::int64_t behind = place_.shape.pipeline - place_.pipeline;
  slots_.resize(static_cast<std::size_t>(training ? std::min(behind, plan_.micro_batches()) : 1));
}

template <class T>
void Network<T>::bind() {
  const bool training = use_ == Use::training;
  temporary_ = Buffer<std::uint8_t>(Kokkos::view_alloc("trireme::network::temporary", Kokkos::WithoutInitializing),
                                    slots_.size() * static_cast<std::size_t>(memory_.total()));
  workspace_ = Buffer<T>(Kokkos::view_alloc("trireme::network::workspace", Kokkos::WithoutInitializing), static_cast<std::size_t>(workspace_elements_));
  std::size_t parameter = 0, buffer = 0;
  for (Step& step : layers_) {
    typename Layer<T>::Memory lent;
    for (std::size_t k = 0; k < step.layer->parameters().size(); ++k, ++parameter) {
      const Parameter& p = parameters_[parameter];
      lent.parameters.push_back(slice<T>(values_, p.offset, p.shape.size()));
      if (training) lent.gradients.push_back(slice<T>(gradients_, p.offset, p.shape.size()));
    }
    for (std::size_t k = 0; k < step.layer->buffers().size(); ++k, ++buffer) {
      const NetworkBuffer& b = buffers_[buffer];
      lent.buffers.push_back(slice<T>(running_, b.offset, b.shape.size()));
      if (training) lent.observed.push_back(slice<T>(gradients_, arena_size_ + control_size + b.offset, b.shape.size()));
    }
    lent.workspace = slice<T>(workspace_, 0, workspace_elements_);
    step.layer->lend(lent);
  }
  for (std::size_t s = 0; s < slots_.size(); ++s) {
    std::uint8_t* const base = temporary_.data() + s * static_cast<std::size_t>(memory_.total());
    const auto span_at = [&](std::size_t block, std::size_t value) {
      return block == none ? Span<T>() : Span<T>(reinterpret_cast<T*>(base + memory_.offset(block)), static_cast<std::size_t>(samples_ * shapes_[value].size()));
    };
    Slot& slot = slots_[s];
    slot.input = span_at(block_of_.front(), 0);
    slot.output = span_at(block_of_.back(), shapes_.size() - 1);
    slot.output_gradient = span_at(gradient_block_of_.back(), shapes_.size() - 1);
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      const Step& step = layers_[i];
      Bound& bound = slot.steps.emplace_back();
      if (state_block_[i] != none)
        bound.state = Span<std::uint8_t>(base + memory_.offset(state_block_[i]), static_cast<std::size_t>(memory_.bytes(state_block_[i])));
      if (step.absorbed) continue;
      bound.out = span_at(block_of_[step.result], step.result);
      bound.out_gradient = span_at(gradient_block_of_[step.result], step.result);
      for (std::size_t k = 0; k < step.inputs.size(); ++k) {
        const std::size_t value = step.inputs[k];
        bound.in.push_back(span_at(block_of_[value], value));
        const Span<T> gradient = wanted_[value] ? span_at(gradient_block_of_[value], value) : Span<T>();
        const std::size_t second = training ? extra_[i][k] : none;
        bound.in_gradient.push_back(second == none ? gradient : span_at(second, value));
        bound.accumulate_into.push_back(second == none ? Span<T>() : gradient);
      }
    }
  }
  slot_ = slots_.size();
  select(0);
}

template <class T>
void Network<T>::select(int slot) {
  if (slot_ == static_cast<std::size_t>(slot)) return;
  slot_ = static_cast<std::size_t>(slot);
  for (std::size_t i = 0; i < layers_.size(); ++i) layers_[i].layer->lend_state(slots_[slot_].steps[i].state);
}

template <class T>
std::vector<WholeArray> Network<T>::whole_parameters() const {
  std::vector<WholeArray> all;
  for (const GraphNode& node : graph_.nodes())
    for (const ParameterSpec& spec : node.parameters) all.push_back({node.name + "." + spec.name, spec.shape});
  return all;
}

template <class T>
std::vector<WholeArray> Network<T>::whole_buffers() const {
  std::vector<WholeArray> all;
  for (const GraphNode& node : graph_.nodes())
    for (const BufferSpec& spec : node.buffers) all.push_back({node.name + "." + spec.name, spec.shape});
  return all;
}

template <class T>
std::int64_t Network<T>::parameter_count() const {
  std::int64_t total = 0;
  for (const Parameter& parameter : parameters_) total += parameter.shape.size();
  return total;
}

template <class T>
void Network<T>::initialize(std::uint64_t seed) {
  const auto host = Kokkos::create_mirror_view(values_);
  for (const Parameter& parameter : parameters_) {
    RandomStream stream(mix(seed, hash_of("initialize")), hash_of(parameter.name));
    std::vector<T> whole(static_cast<std::size_t>(parameter.whole().size()));
    for (T& value : whole)
      value = static_cast<T>(parameter.initial.kind == Initial::Kind::constant ? parameter.initial.value
                                                                                : stream.uniform(-parameter.initial.value, parameter.initial.value));
    take_part(parameter.shape, parameter.slice, whole.data(), host.data() + parameter.offset);
  }
  Kokkos::deep_copy(values_, host);
  for (const NetworkBuffer& buffer : buffers_)
    Kokkos::deep_copy(slice<T>(running_, buffer.offset, buffer.shape.size()), static_cast<T>(buffer.initial));
}

template <class T>
void Network<T>::update_buffers(const Execution& exec, std::int64_t samples) {
  if (buffers_size_ == 0) return;
  update_running<T>(exec, buffers_size_, samples, momentum_, slice<T>(gradients_, arena_size_ + control_size, buffers_size_), running_);
}

template <class T>
void Network<T>::zero_gradients(const Execution& exec) {
  fill<T>(exec, arena_size_ + control_size + buffers_size_, T{}, gradients_and_control());
}

template <class T>
void Network<T>::forward(const Pass& pass) {
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    Step& step = layers_[i];
    if (!runs_forward(step)) continue;
    const Bound& bound = slots_[slot_].steps[i];
    now_in_layer(step.name, false);
    step.layer->forward(pass, bound.in, bound.out);
    if (observer_) observer_(i, false);
  }
}

/// Not those that another stands for, nor those without parameters upstream.
template <class T>
bool Network<T>::runs_backward(std::size_t i) const {
  const Step& step = layers_[i];
  if (step.layer->begins_backward()) return true;
  if (step.layer->output().size() == 0) return false;  // sends what nobody wants the gradient of
  return !step.absorbed && gradient_block_of_[step.result] != none &&
         !(step.fused && layers_[producer_[step.inputs[0]]].layer->relu_in_backward());
}

template <class T>
void Network<T>::backward(const Pass& pass, const Ready& ready) {
  for (std::size_t i = layers_.size(); i-- > 0;) {
    Step& step = layers_[i];
    if (!runs_backward(i)) continue;
    const Bound& bound = slots_[slot_].steps[i];
    now_in_layer(step.name, true);
    step.layer->backward(pass, bound.in, bound.out, bound.out_gradient, bound.in_gradient);
    for (std::size_t k = 0; k < step.inputs.size(); ++k)
      if (bound.accumulate_into[k].data() != nullptr)
        add_to<T>(pass.exec, pass.samples * shapes_[step.inputs[k]].size(), bound.in_gradient[k], bound.accumulate_into[k]);
    if (observer_) observer_(i, true);
    if (step.first_parameter >= 0) ready(step.first_parameter);
  }
}

template <class T>
bool Network<T>::draws() const {
  return std::ranges::any_of(layers_, [](const Step& step) { return step.layer->needs().draws; });
}

template class Network<float>;
template class Network<double>;

}  // namespace trireme
