#include "parallel/plan.hpp"

#include <algorithm>
#include <limits>

#include "base/checked.hpp"
#include "base/error.hpp"
#include "base/share.hpp"
#include "base/text.hpp"
#include "layers/spatial.hpp"

namespace trireme {

namespace {

std::string option(const GraphNode& node, const char* name, const std::string& fallback) {
  const auto found = node.spec.options.find(name);
  return found == node.spec.options.end() ? fallback : found->second;
}

[[noreturn]] void refuse(const GraphNode& node, const char* name, const std::string& value, const char* expected) {
  throw usage_error("{}: {} = '{}' in 'layer = {}'. Expected {}", node.spec.called(), name, value, node.spec.text, expected);
}

constexpr std::int64_t most_ranks = 1'000'000;  // of the axes of one model together

std::int64_t pixels_or_one(const Shape& shape) { return shape.size() / std::max<std::int64_t>(1, shape[0]); }

// Cost of a layer in multiply-adds. Each element of the output adds the cost of its memory traffic.
double cost_of(const Graph& graph, std::size_t i) {
  constexpr double element = 10;
  const GraphNode& node = graph.nodes()[i];
  return static_cast<double>(node.multiply_adds) + element * static_cast<double>(graph.shapes()[i + 1].size());
}

}  // namespace

GridShape grid_shape(const Deck& deck, int ranks) {
  GridShape grid;
  const auto axis = [&](const char* key) { return static_cast<int>(deck.integer(key)); };
  grid.tensor = axis("parallel.tensor");
  grid.pipeline = axis("parallel.pipeline");
  const std::string& text = deck.text("parallel.spatial");
  const Shape parts = Shape::parse(text, "parallel.spatial");
  const int dims = deck.input_shape().rank() - 1;
  if (parts.size() > 1) {
    if (dims < 1 || dims > 3)
      throw usage_error("parallel.spatial = {} divides pixels, but model.input = {} has no spatial dimensions. Hint: use parallel.tensor instead", text,
                        deck.text("model.input"));
    if (parts.rank() != 1 && parts.rank() != dims)
      throw usage_error(
          "parallel.spatial = {} has {} numbers; model.input = {} has {} spatial dimension(s). Expected {} numbers, or one for the first "
          "dimension",
          text, parts.rank(), deck.text("model.input"), dims, dims);
    for (int d = 0; d < parts.rank(); ++d)
      if (parts[d] > most_ranks) throw usage_error("parallel.spatial = {}: {} is too large. Expected at most {}", text, parts[d], most_ranks);
    for (int d = 0; d < parts.rank(); ++d) grid.spatial[static_cast<std::size_t>(3 - dims + d)] = static_cast<int>(parts[d]);
  }
  std::int64_t product = 0;
  if (!fits({grid.pipeline, grid.spatial[0], grid.spatial[1], grid.spatial[2], grid.tensor}, product) || product > most_ranks)
    throw usage_error("parallel.pipeline = {}, spatial = {} and tensor = {} need more than {} ranks together", grid.pipeline, text, grid.tensor, most_ranks);
  const int others = grid.model_ranks();
  const int wanted = axis("parallel.data");
  if (wanted == 0 && ranks % others != 0)
    throw usage_error(
        "parallel.pipeline = {}, spatial = {} and tensor = {} need {} rank(s) together, but the job has {} rank(s), which is not a multiple. "
        "Hint: start the job with a multiple of {} ranks",
        grid.pipeline, text, grid.tensor, others, ranks, others);
  grid.data = wanted == 0 ? ranks / others : wanted;
  if (!fits({grid.data, others}, product) || product > std::numeric_limits<int>::max())
    throw usage_error("parallel.data = {} times {} rank(s) of the other axes is more ranks than MPI allows", grid.data, others);
  if (grid.ranks() != ranks && others == 1)
    throw usage_error("parallel.data = {}, but the job has {} rank(s). Hint: start the job with mpiexec -n {}, or set parallel.data = 0 to use all ranks",
                      wanted, ranks, wanted);
  if (grid.ranks() != ranks)
    throw usage_error(
        "the grid of [parallel] is data {} x pipeline {} x spatial {} x tensor {} = {} rank(s), but the job has {}. Hint: start the job with "
        "mpiexec -n {}, or set parallel.data = 0 to use the ranks that the other axes leave",
        grid.data, grid.pipeline, text, grid.tensor, grid.ranks(), ranks, grid.ranks());
  return grid;
}

std::int64_t virtual_ranks_of(const Deck& deck, const GridShape& grid) {
  const std::int64_t virtual_ranks = deck.integer("data.virtual_ranks"), batch = deck.integer("data.batch");
  if (virtual_ranks == 0) return 0;
  if (virtual_ranks < grid.data)
    throw usage_error(
        "data.virtual_ranks = {}, but {} data-parallel ranks need at least one virtual rank each. Hint: start the job with fewer ranks, use more "
        "ranks on other axes of [parallel], or increase data.virtual_ranks (this changes the results)",
        virtual_ranks, grid.data);
  if (virtual_ranks > batch)
    throw usage_error(
        "data.virtual_ranks = {} is more than data.batch = {}: some virtual ranks would have no sample. Hint: set "
        "data.virtual_ranks to at most {}",
        virtual_ranks, batch, batch);
  return virtual_ranks;
}

std::int64_t micro_batches(const Deck& deck, const GridShape& grid) {
  const std::int64_t wanted = deck.integer("parallel.micro_batches");
  return wanted > 0 ? wanted : grid.pipeline > 1 ? 4 * grid.pipeline : 1;
}

std::int64_t most_of_batch(const Deck& deck, const GridShape& grid) {
  const std::int64_t batch = deck.integer("data.batch"), even = (batch + grid.data - 1) / grid.data;
  if (const std::int64_t virtual_ranks = virtual_ranks_of(deck, grid); virtual_ranks > 0)
    return Shares::of_virtual_ranks(virtual_ranks, grid.data).of(batch, 0).count;
  if (deck.text("parallel.balance") != "measured" || grid.data == 1) return even;
  return std::clamp(static_cast<std::int64_t>(deck.real("parallel.balance_limit") * static_cast<double>(even)), even, batch);
}

std::int64_t largest_pass(const Deck& deck, const GridShape& grid) {
  const auto up = [](std::int64_t n, std::int64_t parts) { return (n + parts - 1) / parts; };
  const std::int64_t virtual_ranks = virtual_ranks_of(deck, grid), micro = micro_batches(deck, grid);
  const std::int64_t samples = virtual_ranks > 0 ? up(deck.integer("data.batch"), virtual_ranks) : most_of_batch(deck, grid), share = up(samples, micro);
  // A share may have fewer samples than micro-batches: the last ones are then empty. More than the largest share has would be empty on all ranks.
  if (deck.integer("parallel.micro_batches") > samples)
    throw usage_error(
        "parallel.micro_batches = {}, but {} gets at most {} of the samples of data.batch = {}: the other micro-batches would always be empty. "
        "Hint: set parallel.micro_batches to at most {}, or to 0",
        micro, virtual_ranks > 0 ? "a virtual rank" : "a rank", samples, deck.integer("data.batch"), samples);
  return micro > 1 ? share : std::max(share, up(deck.integer("data.test_batch"), virtual_ranks > 0 ? virtual_ranks : grid.data));
}

ParallelPlan::ParallelPlan(const Graph& graph, const Deck& deck, const GridShape& grid)
    : graph_(graph), grid_(grid), nodes_(graph.nodes().size()), values_(graph.shapes().size()) {
  micro_batches_ = trireme::micro_batches(deck, grid);
  if (deck.integer("data.virtual_ranks") > 0)
    for (const GraphNode& node : graph.nodes())
      if (node.spec.options.contains("sync") && LayerOptions(node.spec, node.kind->options).boolean("sync"))
        throw usage_error(
            "{}: sync = true in 'layer = {}' uses statistics of the whole batch, but data.virtual_ranks computes each virtual rank separately. "
            "Hint: set sync = false, or data.virtual_ranks = 0",
            node.spec.called(), node.spec.text);
  values_[0].split = can_split(graph.shapes()[0]);
  for (std::size_t i = 0; i < nodes_.size(); ++i) place_node(i);
  place_stages(deck);
  // Not if the loss compares the input with the output: both then need the same boxes.
  if (values_[0].split && deck.text("data.target") == "labels" && graph.consumers(0).size() == 1) {
    const std::size_t reader = graph.consumers(0)[0];
    input_has_halo_ = nodes_[reader].split && graph.nodes()[reader].kind->pixels == PixelRole::window && nodes_[reader].stage == 0;
    // The loader reads one box, not one that wraps around the sample.
    const Box whole{{0, 0, 0}, spatial_extents(graph.shapes()[0])};
    input_has_halo_ = input_has_halo_ && std::ranges::all_of(reach(reader), [&](const Box& box) { return box.intersection(whole) == box; });
  }
}

std::vector<Box> ParallelPlan::reach(std::size_t i) const {
  std::vector<Box> all;
  for (const Box& box : boxes(graph_.shapes()[i + 1], true)) all.push_back(window(i)(box));
  return all;
}

std::function<Box(const Box&)> ParallelPlan::window(std::size_t i) const {
  const GraphNode& node = graph_.nodes()[i];
  return [kind = node.kind, spec = node.spec, input = graph_.shapes()[node.inputs[0]]](const Box& output) {
    return kind->reach(LayerOptions(spec, kind->options), input, output);
  };
}

bool ParallelPlan::is_broadcast(std::size_t node, std::size_t value) const {
  return graph_.nodes()[node].kind->pixels == PixelRole::pointwise && pixels_or_one(graph_.shapes()[value]) != pixels_or_one(graph_.shapes()[node + 1]);
}

bool ParallelPlan::can_split(const Shape& shape) const {
  if (grid_.spatial_ranks() == 1 || shape.rank() < 2 || shape.rank() > 4) return false;
  const auto extents = spatial_extents(shape);
  for (std::size_t a = 0; a < 3; ++a)
    if (extents[a] < grid_.spatial[a]) return false;
  return true;
}

ChannelCuts ParallelPlan::even_cuts(std::int64_t channels, std::int64_t unit) const {
  ChannelCuts cuts{0};
  for (int r = 0; r < grid_.tensor; ++r) {
    const Share run = share_of(channels / unit, r, grid_.tensor);
    cuts.push_back((run.first + run.count) * unit);
  }
  return cuts;
}

std::vector<Box> ParallelPlan::boxes(const Shape& shape, bool split) const {
  std::vector<Box> all;
  const auto extents = spatial_extents(shape);
  for (int d = 0; d < grid_.spatial[0]; ++d)
    for (int h = 0; h < grid_.spatial[1]; ++h)
      for (int w = 0; w < grid_.spatial[2]; ++w) {
        Box box;
        const std::array<int, 3> at{d, h, w};
        for (std::size_t a = 0; a < 3; ++a) {
          const Share run = split ? share_of(extents[a], at[a], grid_.spatial[a]) : Share{0, extents[a]};
          box.first[a] = run.first;
          box.extent[a] = run.count;
        }
        all.push_back(box);
      }
  return all;
}

void ParallelPlan::place_contraction(std::size_t i, bool last) {
  using Channels = NodePlan::Channels;
  const GraphNode& node = graph_.nodes()[i];
  NodePlan& plan = nodes_[i];
  const ValuePlan& input = values_[node.inputs[0]];
  const std::string wanted = option(node, "tensor", "auto");
  if (wanted != "auto" && wanted != "column" && wanted != "row" && wanted != "whole") refuse(node, "tensor", wanted, "auto, column, row or whole");
  if (grid_.tensor == 1) return;
  const Shape& in = graph_.shapes()[node.inputs[0]];
  const std::int64_t in_channels = in[0], out_channels = graph_.shapes()[i + 1][0];
  const LayerOptions options(node.spec, node.kind->options);
  const std::int64_t groups = node.kind->groups ? node.kind->groups(options) : 1;
  if (groups > 1) {
    if (wanted == "column" || wanted == "row")
      throw usage_error("{}: tensor = {} in 'layer = {}': a layer with {} groups is divided between groups. Expected auto or whole", node.spec.called(), wanted,
                        node.spec.text, groups);
    if (wanted == "whole" || groups % grid_.tensor != 0) return;
    plan.channels = Channels::grouped;
    plan.in = even_cuts(in_channels, in_channels / groups);
    plan.out = even_cuts(out_channels, out_channels / groups);
    return;
  }
  if ((wanted == "column" && out_channels < grid_.tensor) || (wanted == "row" && in_channels < grid_.tensor))
    throw usage_error("{}: tensor = {} in 'layer = {}': the layer has {} channels, fewer than the {} ranks of parallel.tensor", node.spec.called(), wanted,
                      node.spec.text, wanted == "column" ? out_channels : in_channels, grid_.tensor);
  if (wanted == "row" || (wanted == "auto" && !input.cuts.empty())) {
    plan.channels = Channels::row;
    plan.in = input.cuts.empty() ? even_cuts(in_channels) : input.cuts;
  } else if (wanted == "column" || (wanted == "auto" && !last && out_channels >= grid_.tensor)) {
    plan.channels = Channels::column;
    plan.out = even_cuts(out_channels);
  }
}

void ParallelPlan::place_node(std::size_t i) {
  using Channels = NodePlan::Channels;
  const GraphNode& node = graph_.nodes()[i];
  NodePlan& plan = nodes_[i];
  ValuePlan& made = values_[i + 1];
  const Shape& output = graph_.shapes()[i + 1];

  const std::string wanted = option(node, "spatial", "auto");
  if (wanted != "auto" && wanted != "whole") refuse(node, "spatial", wanted, "auto or whole");
  const bool inputs_split = std::ranges::all_of(node.inputs, [&](std::size_t v) { return is_broadcast(i, v) || can_split(graph_.shapes()[v]); });
  switch (node.kind->pixels) {
    case PixelRole::mixed:
      break;
    case PixelRole::pointwise:
    case PixelRole::window:
      plan.split = made.split = wanted == "auto" && inputs_split && can_split(output);
      break;
    case PixelRole::summed:
      plan.split = wanted == "auto" && inputs_split && values_[node.inputs[0]].split;
      break;
  }

  const ChannelCuts& cuts = values_[node.inputs[0]].cuts;
  switch (node.kind->channels) {
    case ChannelRole::mixed:
      break;
    case ChannelRole::contracted: {
      const bool last = std::none_of(graph_.nodes().begin() + static_cast<std::ptrdiff_t>(i) + 1, graph_.nodes().end(),
                                     [](const GraphNode& other) { return other.kind->channels == ChannelRole::contracted; });
      place_contraction(i, last);
      break;
    }
    case ChannelRole::kept: {
      const LayerOptions options(node.spec, node.kind->options);
      const std::int64_t unit = node.kind->channel_unit ? node.kind->channel_unit(options, graph_.shapes()[node.inputs[0]]) : 1;
      const bool fits = std::ranges::all_of(cuts, [&](std::int64_t cut) { return cut % unit == 0; }) &&
                        std::ranges::all_of(node.inputs, [&](std::size_t v) { return values_[v].cuts == cuts && graph_.shapes()[v][0] == output[0]; });
      if (fits && !cuts.empty()) plan.channels = Channels::kept, plan.in = plan.out = cuts;
      break;
    }
    case ChannelRole::flattened:
      if (!cuts.empty()) {
        plan.channels = Channels::kept;
        plan.in = plan.out = cuts;
        for (std::int64_t& cut : plan.out) cut *= pixels_or_one(graph_.shapes()[node.inputs[0]]);
      }
      break;
  }
  made.cuts = plan.out;
}

std::vector<std::size_t> ParallelPlan::crossing(int stage) const {
  std::vector<std::size_t> values;
  for (std::size_t v = 0; v < values_.size(); ++v)
    if (stage_of(v) <= stage && std::ranges::any_of(graph_.consumers(v), [&](std::size_t node) { return nodes_[node].stage > stage; })) values.push_back(v);
  return values;
}

/// Dynamic programming over the ends of the stages. It minimizes the cost of the most expensive stage; communication across a border counts as cost.
void ParallelPlan::place_stages(const Deck& deck) {
  const std::size_t count = nodes_.size(), stages = static_cast<std::size_t>(grid_.pipeline);
  if (stages > count)
    throw usage_error("parallel.pipeline = {} is more than the number of layers of the network of {} ({})", grid_.pipeline, deck.origin(), count);
  std::vector<double> sum(count + 1, 0);
  for (std::size_t i = 0; i < count; ++i) sum[i + 1] = sum[i] + cost_of(graph_, i);
  const auto find_costs = [&] {
    stage_costs_.assign(stages, 0);
    for (std::size_t i = 0; i < count; ++i) stage_costs_[static_cast<std::size_t>(nodes_[i].stage)] += sum[i + 1] - sum[i];
  };

  const bool by_hand = std::ranges::any_of(graph_.nodes(), [](const GraphNode& node) { return node.spec.options.contains("stage"); });
  if (by_hand && stages > 1) {
    int stage = 0;
    for (std::size_t i = 0; i < count; ++i) {
      const GraphNode& node = graph_.nodes()[i];
      if (node.spec.options.contains("stage")) {
        const std::string text = option(node, "stage", "");
        const std::int64_t next = parse_integer(text, node.spec.called() + " stage");
        if (next != stage && next != stage + 1) refuse(node, "stage", text, "the stage of the previous layer, or the next stage");
        if (i == 0 && next != 0) refuse(node, "stage", text, "0 for the first layer");
        stage = static_cast<int>(next);
      }
      nodes_[i].stage = stage;
    }
    if (stage + 1 != grid_.pipeline)
      throw usage_error("the stage options of the layers define {} stage(s), but parallel.pipeline = {}. Hint: make the two numbers equal", stage + 1,
                        grid_.pipeline);
    return find_costs();
  }

  // Cost of the elements that cross the border in front of node i.
  std::vector<double> cross(count + 1, 0);
  for (std::size_t i = 1; i < count; ++i)
    for (std::size_t v = 0; v <= i; ++v)
      if (std::ranges::any_of(graph_.consumers(v), [&](std::size_t node) { return node >= i; }))
        cross[i] += 10 * static_cast<double>(graph_.shapes()[v].size());
  constexpr double infinity = std::numeric_limits<double>::infinity();
  std::vector<std::vector<double>> best(stages + 1, std::vector<double>(count + 1, infinity));
  std::vector<std::vector<std::size_t>> from(stages + 1, std::vector<std::size_t>(count + 1, 0));
  best[0][0] = 0;
  for (std::size_t s = 1; s <= stages; ++s)
    for (std::size_t end = s; end <= count; ++end)
      for (std::size_t begin = s - 1; begin < end; ++begin) {
        const double largest = std::max(best[s - 1][begin], sum[end] - sum[begin] + cross[end] + cross[begin]);
        if (largest < best[s][end]) best[s][end] = largest, from[s][end] = begin;
      }
  for (std::size_t s = stages, end = count; s > 0; --s) {
    for (std::size_t i = from[s][end]; i < end; ++i) nodes_[i].stage = static_cast<int>(s) - 1;
    end = from[s][end];
  }
  find_costs();
}

}  // namespace trireme
