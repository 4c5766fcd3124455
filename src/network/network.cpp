#include "network/network.hpp"

#include <algorithm>

#include "base/checked.hpp"
#include "base/error.hpp"
#include "base/machine_memory.hpp"
#include "base/text.hpp"
#include "network/fusion.hpp"
#include "network/recompute.hpp"

namespace trireme {

namespace {

ComputeType operands_of(const Deck& deck) {
  const std::string& precision = deck.text("train.precision");
  return precision == "tf32" ? ComputeType::tf32 : precision == "bf16" ? ComputeType::bf16 : ComputeType::full;
}

/// 1F1B: a stage has a forward pass under way for each stage behind it, and its own.
int slots_of(const GridPlace& place, std::int64_t micro_batches) {
  const std::int64_t behind = place.shape.pipeline - place.pipeline;
  return static_cast<int>(std::min(behind, micro_batches));
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
    : samples_(samples), use_(use), place_(place), graph_(deck), plan_(graph_, deck, place.shape) {
  check_sizes();
  Program<T> program = make_program<T>(plan_, place_, grid, samples_, operands_of(deck));
  ends_ = std::move(program.ends);
  steps_ = StepGraph<T>(ends_.input, std::move(program.steps));
  fuse(steps_, trains());
  order_ = order_steps(steps_, trains());
  if (trains()) slots_ = slots_of(place_, plan_.micro_batches());
  if (trains()) plan_segments(deck);
  layout_ = lay_out_arenas(steps_);
  memory_ = plan_activations(steps_, order_, samples_, trains(), slots_);
  if (allocates) check_memory();
  arenas_ = ParameterArenas<T>(layout_, trains(), allocates);
  if (allocates) executor_.emplace(steps_, order_, layout_, memory_, arenas_, samples_, slots_);
}

/// Borders of segments are those of the first rank of the spatial and tensor axes, so that all ranks repeat the same messages.
template <class T>
void Network<T>::plan_segments(const Deck& deck) {
  const RecomputeOption option = RecomputeOption::of(deck);
  recomputed_.without_bytes = plan_activations(steps_, order_, samples_, true, slots_).bytes(slots_);
  std::vector<std::size_t> begins;
  if (place_.tensor == 0 && place_.spatial_rank() == 0) {
    begins = choose_segments(steps_, order_, samples_, slots_, option);
  } else if (option.kind != RecomputeOption::Kind::none) {
    GridPlace first = place_;
    first.tensor = 0, first.spatial = {0, 0, 0};
    Program<T> program = make_program<T>(plan_, first, nullptr, samples_, operands_of(deck));
    StepGraph<T> graph(program.ends.input, std::move(program.steps));
    fuse(graph, true);
    begins = choose_segments(graph, order_steps(graph, true), samples_, slots_, option);
  }
  if (begins.empty()) return;
  recompute_segments(steps_, order_, begins, slots_ > 1);
  recomputed_.segments = begins.size();
  for (const Segment& segment : order_.segments)
    for (const std::size_t i : segment.steps) recomputed_.multiply_adds += steps_.steps[i].layer->multiply_adds();
}

/// Products of samples and extents that all that follows may take: sums over layers of bytes fit in 64 bits.
template <class T>
void Network<T>::check_sizes() const {
  constexpr std::int64_t most = std::int64_t{1} << 44;
  for (std::size_t value = 0; value < graph_.shapes().size(); ++value) {
    std::int64_t elements = 0;
    if (fits({samples_, graph_.shapes()[value].size()}, elements) && elements <= most) continue;
    throw usage_error(
        "{}: {} samples per pass of shape {} have more than {} elements. Hint: reduce data.batch or data.test_batch, or increase "
        "parallel.micro_batches",
        value == 0 ? "model.input" : graph_.nodes()[value - 1].spec.called(), samples_, graph_.shapes()[value].text(), most);
  }
}

/// What the memory cannot hold is refused before it is asked for: systems promise more than they have, and end the process later.
template <class T>
void Network<T>::check_memory() const {
  if (!on_host) return;
  const auto size = static_cast<double>(sizeof(T));
  const double parameters = static_cast<double>(layout_.parameter_elements + layout_.buffer_elements) * size * (trains() ? 2 : 1),
               activations = static_cast<double>(memory_.bytes(slots_)) + static_cast<double>(memory_.workspace) * size;
  const auto most = static_cast<double>(machine_memory());
  if (parameters + activations <= most) return;
  const char* const hint = parameters > most
                               ? "use fewer channels or features (begin with the layers that have the most parameters), or use parallel.tensor "
                                 "or parallel.pipeline on more machines"
                               : "reduce data.batch or data.test_batch, set train.recompute = auto, increase parallel.micro_batches, or use more ranks on more "
                                 "machines";
  throw usage_error(
      "the network does not fit in memory: a rank needs {} for {}, and {} for activations of {} sample(s) per pass, but the machine has {}. "
      "Hint: {}",
      human_bytes(parameters), trains() ? "parameters and gradients" : "parameters", human_bytes(activations), samples_, human_bytes(most), hint);
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
bool Network<T>::is_stochastic() const {
  return std::ranges::any_of(steps_.steps, [](const Step<T>& step) { return step.layer->needs().is_stochastic; });
}

template class Network<float>;
template class Network<double>;

}  // namespace trireme
