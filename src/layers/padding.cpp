#include "layers/padding.hpp"

#include "base/error.hpp"
#include "base/text.hpp"

namespace trireme {

std::array<PadMode, 3> pad_modes(const LayerOptions& options, const std::string& name, int dims) {
  const auto parts = split(options.text(name), ',');
  if (parts.size() != 1 && parts.size() != static_cast<std::size_t>(dims))
    throw usage_error("{}: {} = {} has {} modes; its input has {} spatial dimension(s). Expected 1 or {} modes", options.where(), name, options.text(name),
                      parts.size(), dims, dims);
  const std::vector<std::string> names{"zeros", "reflect", "replicate", "circular"};
  std::array<PadMode, 3> modes{PadMode::zeros, PadMode::zeros, PadMode::zeros};
  for (int a = 0; a < dims; ++a) {
    const std::string& text = parts[parts.size() == 1 ? 0 : static_cast<std::size_t>(a)];
    const auto found = std::ranges::find(names, text);
    if (found == names.end())
      throw usage_error("{}: {} = '{}' is no mode of padding. Hint: {}Expected zeros, reflect, replicate or circular", options.where(), name, text,
                        did_you_mean(text, names));
    modes[static_cast<std::size_t>(3 - dims + a)] = static_cast<PadMode>(found - names.begin());
  }
  return modes;
}

std::vector<OptionSpec> side_options(const char* pixels, const char* before, const char* after) {
  return {places_option("pixels", "0", pixels, 0), places_option("before", "pixels", before, 0), places_option("after", "pixels", after, 0)};
}

Sides sides_of(const LayerOptions& options, int dims) {
  const auto side = [&](const char* name) { return options.extents(options.text(name) == "pixels" ? "pixels" : name, dims, 0); };
  return {side("before"), side("after")};
}

PadGeometry pad_geometry(const LayerOptions& options, const Shape& input, const std::array<PadMode, 3>& modes, const Sides& sides) {
  PadGeometry g;
  g.channels = input[0];
  g.mode = modes;
  g.whole = g.in = spatial_extents(input);
  g.before = sides.before, g.after = sides.after;
  for (std::size_t a = 0; a < 3; ++a) {
    const std::int64_t most = std::max(g.before[a], g.after[a]), n = g.whole[a];
    if (g.mode[a] == PadMode::reflect && most >= n)
      throw usage_error("{}: reflect padding of {} pixel(s) needs an input of at least {} pixels along the dimension; found {}", options.where(), most,
                        most + 1, input.text());
    if (g.mode[a] == PadMode::circular && most > n)
      throw usage_error("{}: circular padding of {} pixels needs an input of at least {} pixels along the dimension; found {}", options.where(), most, most,
                        input.text());
    g.out[a] = n + g.before[a] + g.after[a];
  }
  return g;
}

namespace {

std::int64_t mapped(const PadGeometry& g, std::size_t a, std::int64_t o) {
  const std::int64_t i = o - g.before[a], n = g.whole[a];
  if (g.mode[a] == PadMode::circular) return i;
  if (g.mode[a] == PadMode::reflect) return i < 0 ? -i : i >= n ? 2 * (n - 1) - i : i;
  return std::clamp<std::int64_t>(i, 0, n - 1);
}

}  // namespace

Box pad_reach(const PadGeometry& g, const Box& output) {
  Box reach;
  for (std::size_t a = 0; a < 3; ++a) {
    const std::int64_t from = output.first[a], to = output.end(a) - 1;
    std::int64_t low = std::min(mapped(g, a, from), mapped(g, a, to)), high = std::max(mapped(g, a, from), mapped(g, a, to));
    if (g.mode[a] == PadMode::reflect) {  // it turns at the border pixels
      if (from <= g.before[a] && g.before[a] <= to) low = 0;
      if (const std::int64_t last = g.before[a] + g.whole[a] - 1; from <= last && last <= to) high = g.whole[a] - 1;
    }
    reach.first[a] = low;
    reach.extent[a] = high + 1 - low;
  }
  return reach;
}

PadGeometry pad_part(PadGeometry g, const Box& input, const Box& output, std::int64_t channels) {
  g.channels = channels;
  g.in = input.extent, g.in_first = input.first;
  g.out = output.extent, g.out_first = output.first;
  return g;
}

}  // namespace trireme
