// Networks from lines of a deck, run on arrays of the host.
#pragma once

#include <algorithm>
#include <boost/test/unit_test.hpp>

#include "network/network.hpp"
#include "support/arrays.hpp"

namespace trireme::test {

inline std::string model(const std::string& input, const std::vector<std::string>& layers) {
  std::string text = "[model]\ninput = " + input + "\n";
  for (const auto& layer : layers) text += "layer = " + layer + "\n";
  return text;
}

inline Deck deck_of(const std::string& text, const std::vector<std::string>& overrides = {}) { return Deck(text, "test", overrides); }

template <class T>
void write(Span<T> to, const std::vector<T>& values) {
  const Guarded<T> from(values);
  Kokkos::deep_copy(slice<T>(to, 0, static_cast<std::int64_t>(values.size())), from.span());
}
template <class T>
std::vector<T> read(Span<T> from, std::int64_t count = -1) {
  const Span<T> part = count < 0 ? from : slice<T>(from, 0, count);
  const Guarded<T> to(static_cast<std::int64_t>(part.size()));
  Kokkos::fence("trireme::test");
  Kokkos::deep_copy(to.span(), part);
  return to.values();
}

/// Runs the network on `x` (as it lies in memory) and returns the output.
template <class T>
std::vector<T> forward(Network<T>& network, const Pass& pass, const std::vector<T>& x) {
  write<T>(network.input(), x);
  network.forward(pass);
  return read<T>(network.output(), pass.samples * network.output_shape().size());
}

/// Forward and backward; returns the gradient arena. `ready` may inspect it.
template <class T>
std::vector<T> gradients(
    Network<T>& network, const Pass& pass, const std::vector<T>& x, const std::vector<T>& dy, const typename Network<T>::Ready& ready = [](std::int64_t) {}) {
  forward(network, pass, x);
  write<T>(network.output_gradient(), dy);
  network.backward(pass, ready);
  return read<T>(network.gradients());
}

inline Pass training_pass(std::int64_t samples) {
  Pass pass;
  pass.samples = samples, pass.training = true, pass.seed = 11, pass.step = 3, pass.first_sample = 2;
  return pass;
}

/// A random graph: fan-out, add, concat, layers in place in chains, dropout; every output is used.
inline std::string draw_graph(RandomStream& random) {
  struct Value {
    std::string name;
    Shape shape;
    bool used;
  };
  std::vector<Value> values{{"input", Shape{draw(random, 1, 3), draw(random, 3, 5)}, true}};
  if (random.below(2)) values[0].shape = Shape{values[0].shape[0], values[0].shape[1], draw(random, 3, 4)};
  const std::string input = values[0].shape.text();
  std::vector<std::string> lines;
  const auto emit = [&](const std::string& kind, const std::vector<std::size_t>& from, const std::string& options, const Shape& shape) {
    std::string names;
    for (const std::size_t f : from) names += (names.empty() ? "" : ",") + values[f].name, values[f].used = true;
    const std::string name = "v" + std::to_string(values.size());
    lines.push_back(kind + " name=" + name + " from=" + names + options);
    values.push_back({name, shape, false});
  };
  const std::int64_t layers = draw(random, 3, 10);
  for (std::int64_t i = 0; i < layers; ++i) {
    // The newest value makes chains, an older one fan-out.
    const std::size_t from = random.below(3) ? values.size() - 1 : random.below(values.size());
    const Shape shape = values[from].shape;
    switch (random.below(9)) {
      case 0:
      case 1: {
        const std::int64_t out = draw(random, 1, 4);
        emit("conv", {from}, " out=" + std::to_string(out) + " kernel=3 padding=1", shape.without_first().with_first(out));
        if (random.below(2)) emit("relu", {values.size() - 1}, "", values.back().shape);
        if (random.below(3) == 0) {  // layers that may be fused: an activation before or after the pooling, or none
          std::vector<std::int64_t> pooled{values.back().shape[0]};
          for (int a = 1; a < values.back().shape.rank(); ++a) pooled.push_back(values.back().shape[a] / 2);
          if (std::ranges::count(pooled, 0) > 0) break;
          emit("max_pool", {values.size() - 1}, " kernel=2", Shape{std::span<const std::int64_t>(pooled)});
          if (random.below(2)) emit("leaky_relu", {values.size() - 1}, " slope=0.2", values.back().shape);
        }
        break;
      }
      case 2:
        emit(pick<std::string>(random, {"relu", "leaky_relu", "tanh", "sigmoid", "gelu", "silu", "elu", "softplus"}), {from}, "", shape);
        break;
      case 3:
        emit("dropout", {from}, " p=0.3", shape);
        break;
      case 4:
        emit(pick<std::string>(random, {"max_pool", "avg_pool"}), {from}, " kernel=3 stride=1 padding=1", shape);
        break;
      case 5: {
        const auto line = pick<std::pair<std::string, std::string>>(
            random, {{"softmax", ""}, {"group_norm", " groups=1 eps=0.3"}, {"instance_norm", " eps=0.3"}, {"layer_norm", " dims=1 eps=0.3"}});
        emit(line.first, {from}, line.second, shape);
        break;
      }
      case 6:
      case 7: {
        std::vector<std::size_t> same;
        for (std::size_t v = 0; v < values.size(); ++v)
          if (values[v].shape == shape) same.push_back(v);
        std::vector<std::size_t> parts{from, pick(random, same)};
        if (random.below(3) == 0) parts.push_back(pick(random, same));
        emit("add", parts, "", shape);
        break;
      }
      default: {
        std::vector<std::size_t> alike;
        for (std::size_t v = 0; v < values.size(); ++v)
          if (values[v].shape.without_first() == shape.without_first()) alike.push_back(v);
        const std::size_t other = pick(random, alike);
        emit("concat", {from, other}, "", shape.without_first().with_first(shape[0] + values[other].shape[0]));
      }
    }
  }
  std::vector<std::size_t> loose, flat;
  for (std::size_t v = 1; v < values.size(); ++v)
    if (!values[v].used) loose.push_back(v);
  for (const std::size_t v : loose) {
    emit("flatten", {v}, "", Shape{values[v].shape.size()});
    flat.push_back(values.size() - 1);
  }
  if (flat.size() > 1) {
    std::int64_t total = 0;
    for (const std::size_t v : flat) total += values[v].shape[0];
    emit("concat", flat, "", Shape{total});
  }
  emit("linear", {values.size() - 1}, " out=3", Shape{3});
  if (random.below(2)) emit("tanh", {values.size() - 1}, "", Shape{3});
  return model(input, lines);
}

}  // namespace trireme::test
