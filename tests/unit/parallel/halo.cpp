// Layers with windows on slabs, with interior/boundary split or half-batch overlap, compared with the same layer on whole samples.
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdio>

#include "drawn.hpp"
#include "parallel/halo_layer.hpp"
#include "support/interiors.hpp"

namespace trireme::test {
namespace {

/// Whether each pixel of the whole is in exactly one of the boxes, and no box extends beyond it.
bool tiles(const Box& whole, const std::vector<Box>& boxes) {
  std::int64_t pixels = 0;
  for (std::size_t i = 0; i < boxes.size(); ++i) {
    pixels += boxes[i].pixels();
    if (boxes[i].intersection(whole) != boxes[i]) return false;
    for (std::size_t k = 0; k < i; ++k)
      if (boxes[i].intersection(boxes[k]).pixels() > 0) return false;
  }
  return pixels == whole.pixels();
}

struct DrawnWindow {
  Shape input;
  std::string line;
  bool relu = false;
  std::optional<Epilogue> tail;
};

DrawnWindow draw_window(Draw& draw) {
  DrawnWindow w;
  const int dims = draw.in(1, 3);
  std::array<std::int64_t, 3> extents{1, 1, 1};
  for (int a = 3 - dims; a < 3; ++a) extents[static_cast<std::size_t>(a)] = dims == 1 ? draw.in(8, 400) : dims == 2 ? draw.in(6, 40) : draw.in(4, 18);
  const bool registers = draw.one_of(5);  // channels that the host's Winograd takes
  const int channels = registers ? 16 : draw.in(1, 6);
  if (registers)  // halves and quarters end where the windows of an epilogue do
    for (std::size_t a = 3 - static_cast<std::size_t>(dims); a < 3; ++a) extents[a] = (extents[a] + 7) / 8 * 8;
  w.input = spatial_shape(channels, extents, dims);
  const auto each = [&](int low, int high) {
    std::string text;
    for (int d = 0; d < dims; ++d) text += (d > 0 ? "," : "") + std::to_string(draw.in(low, high));
    return text;
  };
  const auto modes = [&] {
    std::string text;
    for (int d = 0; d < dims; ++d) text += (d > 0 ? "," : "") + draw.pick<std::string>({"zeros", "reflect", "replicate", "circular"});
    return text;
  };
  const int kind = registers ? 0 : draw.in(0, 10);
  if (registers) w.line = "conv out=16 kernel=3 padding=1";
  if (kind < 3) {
    const int groups = registers ? 1 : channels % 2 == 0 && draw.one_of(3) ? 2 : 1;
    if (!registers)
      w.line = "conv out=" + std::to_string(groups * draw.in(1, 9)) + " kernel=" + each(1, 4) + " stride=" + (draw.one_of(3) ? each(1, 3) : "1") +
               " padding=" + each(0, 2) + " dilation=" + (draw.one_of(3) ? each(1, 2) : "1") + " groups=" + std::to_string(groups);
    if (draw.one_of(2)) w.line += " padding_mode=" + modes();
    w.relu = draw.one_of(3);
    if (!w.relu && draw.one_of(2)) {
      w.tail = Epilogue{.window = {1, 1, 1}, .slope = draw.one_of(2) ? 0.3 : 1.0};
      for (std::size_t a = 3 - static_cast<std::size_t>(dims); a < 3; ++a) w.tail->window[a] = registers ? 2 : draw.in(1, 3);
    }
  } else if (kind == 3) {
    w.line = "conv_transpose out=" + std::to_string(draw.in(1, 5)) + " kernel=" + each(1, 4) + " stride=" + each(1, 2) + " padding=" + each(0, 1);
    w.relu = draw.one_of(3);
  } else if (kind == 4) {
    w.line = "max_pool kernel=" + each(2, 3) + " stride=" + each(1, 2) + " padding=1";
  } else if (kind == 5) {
    w.line = "avg_pool kernel=" + each(2, 4) + " stride=" + each(1, 2) + " padding=" + each(0, 1) + (draw.one_of(2) ? " count_include_pad=false" : "");
  } else if (kind == 6) {
    w.line = "upsample scale=" + each(1, 2) + " mode=linear";
  } else if (kind == 7) {
    w.line = "adaptive_avg_pool out=" + each(2, 19);
  } else if (kind == 8) {
    w.line = "crop before=" + each(0, 2) + " after=" + each(0, 2);
  } else {  // up to the whole extent on a side
    const int most = dims == 1 ? 8 : dims == 2 ? 6 : 4;
    w.line = "pad before=" + each(0, draw.one_of(2) ? 2 : most) + " after=" + each(0, draw.one_of(2) ? 2 : most) + " mode=" + modes();
  }
  return w;
}

/// A layer with the memory that it needs.
struct Lent {
  Lent(Layer<double>& layer, std::int64_t samples, const std::vector<double>& parameters) {
    Layer<double>::Memory memory;
    std::int64_t first = 0, all = 0;
    for (const ParameterSpec& p : layer.parameters()) all += p.shape.size();
    values = Buffer<double>("values", static_cast<std::size_t>(all)), gradients = Buffer<double>("gradients", static_cast<std::size_t>(all));
    const auto host = Kokkos::create_mirror_view(values);
    std::copy_n(parameters.begin(), all, host.data());
    Kokkos::deep_copy(values, host);
    for (const ParameterSpec& p : layer.parameters()) {
      memory.parameters.push_back(slice<double>(values, first, p.shape.size()));
      memory.gradients.push_back(slice<double>(gradients, first, p.shape.size()));
      first += p.shape.size();
    }
    workspace = Buffer<double>("workspace", static_cast<std::size_t>(layer.needs().workspace));
    Kokkos::deep_copy(workspace, std::nan(""));
    state = Buffer<std::uint8_t>("state", static_cast<std::size_t>(layer.needs().state + samples * layer.needs().state_per_sample));
    memory.workspace = workspace;
    layer.bind(memory);
    layer.lend_state(state);
  }
  Buffer<double> values, gradients, workspace;
  Buffer<std::uint8_t> state;
};

struct Result {
  std::vector<double> y, dx, gradients;
};

std::vector<double> to_host(const Buffer<double>& from) {
  const auto host = Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace(), from);
  return {host.data(), host.data() + host.size()};
}

Buffer<double> from_host(const std::vector<double>& from) {
  Buffer<double> to("array", from.size());
  const auto host = Kokkos::create_mirror_view(to);
  std::copy(from.begin(), from.end(), host.data());
  Kokkos::deep_copy(to, host);
  return to;
}

/// The box of each sample of a whole array.
std::vector<double> box_of(const std::vector<double>& whole, std::int64_t samples, const Shape& shape, const Box& box) {
  std::vector<double> part;
  const auto e = spatial_extents(shape);
  for (std::int64_t s = 0; s < samples; ++s)
    for (std::int64_t d = 0; d < box.extent[0]; ++d)
      for (std::int64_t h = 0; h < box.extent[1]; ++h) {
        const auto from = whole.begin() + (((s * e[0] + box.first[0] + d) * e[1] + box.first[1] + h) * e[2] + box.first[2]) * shape[0];
        part.insert(part.end(), from, from + box.extent[2] * shape[0]);
      }
  return part;
}

Result run(Layer<double>& layer, const Lent& lent, std::int64_t samples, const std::vector<double>& x, const std::vector<double>& dy) {
  const Execution exec;
  const Pass pass{.exec = exec, .samples = samples, .training = true};
  const Buffer<double> in = from_host(x), gradient = from_host(dy), out("output", dy.size()), in_gradient("input gradient", x.size());
  Kokkos::deep_copy(out, std::nan("")), Kokkos::deep_copy(in_gradient, std::nan(""));
  const Span<const double> inputs[1]{in};
  const Span<double> input_gradients[1]{in_gradient};
  layer.forward(pass, inputs, out);
  layer.backward(pass, inputs, Span<const double>(out), gradient, input_gradients);
  exec.fence("test: results");
  return {to_host(out), to_host(in_gradient), to_host(lent.gradients)};
}

double difference(const std::vector<double>& a, const std::vector<double>& b) {
  if (a.size() != b.size()) return 1e300;
  double off = 0;
  for (std::size_t i = 0; i < a.size(); ++i) off = std::max(off, std::isfinite(a[i]) ? std::abs(a[i] - b[i]) : 1e300);
  return off;
}

}  // namespace

BOOST_AUTO_TEST_CASE(an_output_is_its_interior_and_its_border) {
  Draw draw(7, 0);
  int cut = 0;
  for (int number = 0; number < 400; ++number) {
    const DrawnWindow w = draw_window(draw);
    const Deck deck("[model]\ninput = " + w.input.text() + "\nlayer = " + w.line + "\n", "random");
    try {
      const Graph graph(deck);
      const GridShape grid{.spatial = {draw.in(1, 2), draw.in(1, 3), draw.in(1, 3)}};
      const ParallelPlan plan(graph, deck, grid);
      if (!plan.node(0).split) continue;
      const auto owned = plan.boxes(graph.shapes()[0], true), outputs = plan.boxes(graph.shapes()[1], true);
      for (std::size_t r = 0; r < owned.size(); ++r) {
        const OutputCut parts = cut_output(outputs[r], owned[r], plan.window(0));
        std::vector<Box> all = parts.border;
        all.push_back(parts.interior);
        BOOST_TEST(tiles(outputs[r], all), w.line);
        int split = 0;
        const bool wraps = w.line.find("circular") != std::string::npos;  // then halos along a dimension that is not split are copied
        for (const int ranks : grid.spatial) split += ranks > 1 || wraps ? 2 : 0;
        BOOST_TEST(parts.border.size() <= static_cast<std::size_t>(split));
        if (parts.interior.pixels() == 0) continue;
        ++cut;
        const Box read = plan.window(0)(parts.interior);
        BOOST_TEST((read.intersection(owned[r]) == read), w.line);
        // The interior is maximal: the next plane outside needs pixels of other ranks.
        for (std::size_t a = 0; a < 3; ++a)
          for (const bool behind : {false, true}) {
            Box next = parts.interior;
            next.first[a] = behind ? next.end(a) : next.first[a] - 1;
            next.extent[a] = 1;
            if (next.intersection(outputs[r]) != next) continue;
            const Box wanted = plan.window(0)(next);
            BOOST_TEST((wanted.intersection(owned[r]) != wanted), w.line);
          }
      }
    } catch (const Error&) {  // a window larger than its input
    }
  }
  BOOST_TEST(cut > 200);
}

BOOST_AUTO_TEST_CASE(a_layer_on_slabs_makes_what_it_makes_of_whole_samples) {
  const Communicator world = Communicator::world();
  int cases = 0, interiors = 0, tails = 0, relus = 0, with_state = 0, without_weights = 0, halves = 0, thin = 0;
  for (std::uint64_t number = 0; number < 300; ++number) {
    Draw draw(20261127, number);
    const DrawnWindow w = draw_window(draw);
    const Deck deck("[model]\ninput = " + w.input.text() + "\nlayer = " + w.line + "\n", "random");
    std::optional<Graph> graph;
    try {
      graph.emplace(deck);
    } catch (const Error&) {
      continue;
    }
    const int dims = w.input.rank() - 1;
    GridShape shape;
    for (int ranks = world.size(), a = 2; ranks > 1; a = a > 3 - dims ? a - 1 : 2)
      if (draw.one_of(2)) shape.spatial[static_cast<std::size_t>(a)] *= 2, ranks /= 2;
    const ParallelPlan plan(*graph, deck, shape);
    if (!plan.node(0).split) continue;
    const ProcessGrid grid(world, shape);
    const int me = grid.place().spatial_rank();
    const auto place = static_cast<std::size_t>(me);
    const GraphNode& node = graph->nodes()[0];
    const Shape in = graph->shapes()[0], out = graph->shapes()[1];
    const auto owned = plan.boxes(in, true), required = plan.reach(0), outputs = plan.boxes(out, true);
    // Windows of an epilogue must end at the borders between ranks; only the end of the whole may have a remainder.
    bool aligned = w.tail && w.tail->pools() && ConvPlan<double>::has_pooling;
    for (const Box& box : outputs)
      for (std::size_t a = 0; a < 3 && aligned; ++a) {
        const std::int64_t window = w.tail->window[a];
        aligned = box.extent[a] >= window && box.first[a] % window == 0 && (box.end(a) % window == 0 || box.end(a) == spatial_extents(out)[a]);
      }
    Box mine = outputs[place];
    if (aligned)
      for (std::size_t a = 0; a < 3; ++a) mine.first[a] /= w.tail->window[a], mine.extent[a] /= w.tail->window[a];

    LayerPart part;
    part.split = true, part.input = required[place], part.output = outputs[place];
    const auto make = [&](const LayerPart& of) { return make_layer<double>(node.spec, {in}, of); };
    const std::int64_t samples = draw.in(1, 5);
    const auto whole = make({});
    HaloLayer<double> layer({make, plan.window(0), part}, BoxMove{owned, required, false}, spatial_shape(in[0], owned[place].extent, dims), &grid.spatial(), me,
                            samples);
    whole->plan_for(samples, ComputeType::full), layer.plan_for(samples, ComputeType::full);
    if (aligned) BOOST_REQUIRE((capability<FusesEpilogue>(*whole)->fuse(*w.tail) == Fusion::both && layer.fuse(*w.tail) == Fusion::both));
    if (w.relu) BOOST_REQUIRE((capability<FusesEpilogue>(*whole)->fuse({.slope = 0}) != Fusion::none && layer.fuse({.slope = 0}) != Fusion::none));

    std::int64_t weights = 0;
    for (const ParameterSpec& p : whole->parameters()) weights += p.shape.size();
    const auto normal = [&](std::int64_t count) {
      std::vector<double> values(static_cast<std::size_t>(count));
      for (double& v : values) v = draw.normal();
      return values;
    };
    const auto parameters = normal(weights), x = normal(samples * in.size()), dy = normal(samples * whole->output().size());
    const Lent of_whole(*whole, samples, parameters), of_layer(layer, samples, parameters);
    const Result expected = run(*whole, of_whole, samples, x, dy);
    const CountedInteriors counted;
    const auto my_x = box_of(x, samples, in, owned[place]), my_dy = box_of(dy, samples, whole->output(), mine);
    Result found = run(layer, of_layer, samples, my_x, my_dy);
    const Result again = run(layer, Lent(layer, samples, parameters), samples, my_x, my_dy);
    grid.spatial().all_reduce(std::span<double>(found.gradients));

    const std::string what = "case " + std::to_string(number) + ", " + shape.text() + ", " + std::to_string(samples) + " of " + in.text() + ": " + w.line;
    BOOST_TEST(difference(found.y, box_of(expected.y, samples, whole->output(), mine)) < 1e-10, "outputs of " << what);
    BOOST_TEST(difference(found.dx, box_of(expected.dx, samples, in, owned[place])) < 1e-10, "input gradients of " << what);
    BOOST_TEST(difference(found.gradients, expected.gradients) < 1e-9, "parameters' gradients of " << what);
    BOOST_TEST((found.y == again.y && found.dx == again.dx), "other bits in a second run of " << what);
    BOOST_TEST((CountedInteriors::count > 0) == layer.interior_first(samples), what);
    const OutputCut cut = cut_output(outputs[place], owned[place], plan.window(0));
    if (cut.interior.pixels() == 0) BOOST_TEST(!layer.interior_first(1), what);

    ++cases;
    thin += cut.interior.pixels() == 0;
    (layer.interior_first(samples) ? interiors : halves) += 1;
    if (layer.interior_first(samples)) tails += aligned, relus += w.relu, with_state += layer.needs().state_per_sample > 0, without_weights += weights == 0;
  }
  if (world.rank() == 0)
    std::printf("%d cases: %d interior first (%d with a tail, %d with relu, %d with saved places, %d without parameters), %d not (%d without an interior)\n",
                cases, interiors, tails, relus, with_state, without_weights, halves, thin);
  for (const int seen : {interiors, tails, relus, with_state, without_weights, halves, thin}) BOOST_TEST(seen > 0);
}

}  // namespace trireme::test
