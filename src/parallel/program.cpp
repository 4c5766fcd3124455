#include "parallel/program.hpp"

#include <algorithm>
#include <optional>

#include "layers/spatial.hpp"
#include "parallel/halo_layer.hpp"
#include "parallel/stage_links.hpp"

namespace trireme {

namespace {

template <class T>
class ProgramBuilder {
 public:
  ProgramBuilder(const ParallelPlan& plan, const GridPlace& place, const ProcessGrid* grid, std::int64_t samples, ComputeType operands)
      : plan_(plan), graph_(plan.graph()), place_(place), grid_(grid), samples_(samples), operands_(operands), made_(graph_.shapes().size()) {}

  Program<T> make() {
    const auto me = static_cast<std::size_t>(place_.spatial_rank());
    program_.ends.input_split = plan_.value(0).split;
    program_.ends.input_box = plan_.boxes(graph_.shapes()[0], program_.ends.input_split)[me];
    if (plan_.input_has_halo()) program_.ends.input_box = plan_.reach(graph_.consumers(0)[0])[me];
    program_.ends.input = !place_.first_stage()        ? Shape{0}
                          : !program_.ends.input_split ? local_shape(0)
                                                       : spatial_shape(graph_.shapes()[0][0], program_.ends.input_box.extent, graph_.shapes()[0].rank() - 1);
    shapes_.push_back(program_.ends.input);
    if (place_.first_stage())
      made_[0] = 0;
    else
      receive();
    for (std::size_t i = 0; i < graph_.nodes().size(); ++i)
      if (plan_.node(i).stage == place_.pipeline) run(i);
    if (!place_.last_stage()) {
      send();
      program_.ends.output = Shape{0};
      return std::move(program_);
    }
    const std::size_t last = graph_.shapes().size() - 1;
    const ValuePlan& output = plan_.value(last);
    program_.ends.output_cuts = output.cuts;  // losses take shares
    program_.ends.output_split = output.split;
    program_.ends.output_box = plan_.boxes(graph_.output(), output.split)[me];
    program_.ends.output = shapes_.back();
    return std::move(program_);
  }

 private:
  const Communicator* tensor() const { return grid_ == nullptr ? nullptr : &grid_->tensor(); }
  const Communicator* spatial() const { return grid_ == nullptr ? nullptr : &grid_->spatial(); }
  const Communicator* pipeline() const { return grid_ == nullptr ? nullptr : &grid_->pipeline(); }

  ChannelRange range(const ChannelCuts& cuts) const {
    if (cuts.empty()) return {};
    const auto r = static_cast<std::size_t>(place_.tensor);
    return {cuts[r], cuts[r + 1] - cuts[r]};
  }

  /// This rank's part of a value as it is made.
  Shape local_shape(std::size_t value) const {
    LayerPart part;
    part.in = range(plan_.value(value).cuts);
    part.split = plan_.value(value).split;
    part.input = plan_.boxes(graph_.shapes()[value], part.split)[static_cast<std::size_t>(place_.spatial_rank())];
    return part.input_of(graph_.shapes()[value]);
  }

  std::size_t add(std::unique_ptr<Layer<T>> layer, const std::string& name, const std::string& kind, std::vector<std::size_t> inputs) {
    layer->plan_for(samples_, operands_);
    shapes_.push_back(layer->output());
    program_.steps.push_back({std::move(layer), name, kind, std::move(inputs)});
    return program_.steps.size();
  }

  void receive() {
    const auto values = plan_.crossing(place_.pipeline - 1);
    for (std::size_t k = 0; k < values.size(); ++k)
      made_[values[k]] =
          add(std::make_unique<StageReceive<T>>(local_shape(values[k]), static_cast<int>(k), graph_.trains(values[k]), pipeline(), place_.pipeline - 1),
              value_name(values[k]), "receive", {});
  }

  void send() {
    const auto values = plan_.crossing(place_.pipeline);
    for (std::size_t k = 0; k < values.size(); ++k)
      add(std::make_unique<StageSend<T>>(local_shape(values[k]), static_cast<int>(k), graph_.trains(values[k]), pipeline(), place_.pipeline + 1),
          value_name(values[k]), "send", {*made_[values[k]]});
  }

  std::string value_name(std::size_t value) const { return value == 0 ? "input" : graph_.nodes()[value - 1].name; }

  /// A value's channels between `cuts`, of the pixels that are at hand. Brought once for all who want the same.
  std::size_t fetch_channels(std::size_t value, const ChannelCuts& cuts) {
    const ValuePlan& has = plan_.value(value);
    std::size_t at = *made_[value];
    if (has.cuts == cuts) return at;
    const std::string name = value_name(value);
    if (!has.cuts.empty())
      at = once(
          at, "gather", {}, [&](std::size_t from) { return std::make_unique<ChannelGather<T>>(has.cuts, shapes_[from], tensor(), place_.tensor, samples_); },
          name);
    if (!cuts.empty())
      at = once(
          at, "slice", cuts, [&](std::size_t from) { return std::make_unique<Scatter<T>>(cuts, shapes_[from], tensor(), place_.tensor, samples_); }, name);
    return at;
  }

  /// The same with pixels whole or split into boxes (its own ones, or `needed`).
  std::size_t fetch(std::size_t value, const ChannelCuts& cuts, bool split, const std::vector<Box>* needed) {
    const ValuePlan& has = plan_.value(value);
    const std::size_t at = fetch_channels(value, cuts);
    const std::string name = value_name(value);
    if (!has.split && !split) return at;
    BoxMove move{plan_.boxes(graph_.shapes()[value], has.split), needed != nullptr ? *needed : plan_.boxes(graph_.shapes()[value], split), !has.split};
    if (move.owned == move.required) return at;
    for (const auto& [from, known, result] : moves_)
      if (from == at && known == move) return result;
    const std::size_t result = add(std::make_unique<HaloExchange<T>>(move, shapes_[at], spatial(), place_.spatial_rank(), samples_), name,
                                   !split      ? "gather pixels"
                                   : has.split ? "halo"
                                               : "slice pixels",
                                   {at});
    moves_.push_back({at, move, result});
    return result;
  }

  template <class Make>
  std::size_t once(std::size_t from, const char* kind, const ChannelCuts& cuts, const Make& make, const std::string& name) {
    for (const auto& known : channel_moves_)
      if (known.from == from && known.kind == kind && known.cuts == cuts) return known.result;
    const std::size_t result = add(make(from), name, kind, {from});
    channel_moves_.push_back({from, kind, cuts, result});
    return result;
  }

  void run(std::size_t i) {
    const GraphNode& node = graph_.nodes()[i];
    const NodePlan& how = plan_.node(i);
    const auto me = static_cast<std::size_t>(place_.spatial_rank());
    std::vector<Shape> whole;
    for (const std::size_t v : node.inputs) whole.push_back(graph_.shapes()[v]);

    LayerPart part;
    part.in = range(how.in);
    part.out = range(how.out);
    part.split = how.split;
    part.adds_bias = how.channels != NodePlan::Channels::row;
    std::vector<Box> needed;
    const bool window = how.split && node.kind->pixels == PixelRole::window;
    if (how.split) {
      part.input = plan_.boxes(node.kind->pixels == PixelRole::pointwise ? graph_.shapes()[i + 1] : whole[0], true)[me];
      if (node.kind->pixels != PixelRole::summed) part.output = plan_.boxes(graph_.shapes()[i + 1], true)[me];
    }
    if (window) {
      needed = plan_.reach(i);
      part.input = needed[me];
    }

    // A layer with a halo keeps it to itself, and computes while it travels.
    const bool at_hand = node.inputs[0] == 0 && plan_.input_has_halo();
    const bool overlaps = window && !at_hand && plan_.value(node.inputs[0]).split && needed != plan_.boxes(whole[0], true);
    std::vector<std::size_t> inputs;
    for (const std::size_t v : node.inputs)
      inputs.push_back(at_hand ? fetch_channels(0, how.in) : fetch(v, how.in, how.split && !plan_.is_broadcast(i, v), window && !overlaps ? &needed : nullptr));
    const auto make_part = [spec = node.spec, whole](const LayerPart& of) { return make_layer<T>(spec, whole, of); };
    std::unique_ptr<Layer<T>> layer;
    if (overlaps)
      layer = std::make_unique<HaloLayer<T>>(WindowParts<T>{make_part, plan_.window(i), part}, BoxMove{plan_.boxes(whole[0], true), needed, false},
                                             shapes_[inputs[0]], spatial(), place_.spatial_rank(), samples_);
    else
      layer = make_part(part);
    if (how.channels == NodePlan::Channels::column && graph_.trains(node.inputs[0]))
      layer = std::make_unique<InputGradAllReduce<T>>(std::move(layer), shapes_[inputs[0]], tensor(), place_.shape.tensor);
    std::size_t at = add(std::move(layer), node.name, node.spec.kind, std::move(inputs));
    if (how.channels == NodePlan::Channels::row) {
      const ParameterSpec* const bias = node.parameters.size() > 1 ? &node.parameters[1] : nullptr;
      at = add(std::make_unique<RowParallelAllReduce<T>>(shapes_[at], bias, tensor(), place_.shape.tensor), node.name, "sum", {at});
    }
    if (how.split && node.kind->pixels == PixelRole::summed)
      at = add(std::make_unique<SpatialAllReduce<T>>(shapes_[at], spatial(), place_.shape.spatial_ranks()), node.name, "sum pixels", {at});
    made_[i + 1] = at;
  }

  struct ChannelMove {
    std::size_t from;
    std::string kind;
    ChannelCuts cuts;
    std::size_t result;
  };
  struct PixelMove {
    std::size_t from;
    BoxMove move;
    std::size_t result;
  };

  const ParallelPlan& plan_;
  const Graph& graph_;
  const GridPlace& place_;
  const ProcessGrid* grid_;
  std::int64_t samples_;
  ComputeType operands_;
  Program<T> program_;
  std::vector<Shape> shapes_;                     // of the program's values
  std::vector<std::optional<std::size_t>> made_;  // the graph's value -> the program's
  std::vector<ChannelMove> channel_moves_;
  std::vector<PixelMove> moves_;
};

}  // namespace

template <class T>
Program<T> make_program(const ParallelPlan& plan, const GridPlace& place, const ProcessGrid* grid, std::int64_t samples, ComputeType operands) {
  return ProgramBuilder<T>(plan, place, grid, samples, operands).make();
}

template Program<float> make_program(const ParallelPlan&, const GridPlace&, const ProcessGrid*, std::int64_t, ComputeType);
template Program<double> make_program(const ParallelPlan&, const GridPlace&, const ProcessGrid*, std::int64_t, ComputeType);

}  // namespace trireme
