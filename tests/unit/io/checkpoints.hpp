// Random contents of checkpoints.
#pragma once

#include <cstring>
#include <string>
#include <vector>

#include "base/random.hpp"
#include "io/checkpoint_file.hpp"

namespace trireme::test {

/// Arrays with their memory. The same seed gives the same state on every rank.
struct State {
  std::vector<CheckpointArray> arrays;
  std::vector<std::vector<float>> floats;
  std::vector<std::vector<double>> doubles;
  CheckpointContent content;

  void add(RandomStream& random, const std::string& name, const Shape& shape, bool is_double) {
    const auto n = static_cast<std::size_t>(shape.size());
    const void* data = nullptr;
    if (is_double) {
      auto& values = doubles.emplace_back(n);
      for (double& v : values) v = random.normal();
      data = values.data();
    } else {
      auto& values = floats.emplace_back(n);
      for (float& v : values) v = static_cast<float>(random.normal());
      data = values.data();
    }
    arrays.push_back({name, shape, is_double, data});
  }
};

inline State random_state(std::uint64_t seed, std::size_t arrays) {
  RandomStream random(seed);
  State state;
  for (std::size_t k = 0; k < arrays; ++k) {
    Shape shape;
    for (std::uint64_t rank = random.below(5); rank > 0; --rank)
      shape = shape.with_first(static_cast<std::int64_t>(random.below(3) == 0 ? 1 + random.below(60) : 1 + random.below(6)));
    const std::string folder = random.below(2) == 0 ? "model/" : random.below(2) == 0 ? "optimizer/momentum/" : "optimizer/variance/";
    state.add(random, folder + "layer" + std::to_string(k) + ".weight", shape, random.below(2) == 0);
  }
  state.content.deck = "[run]\nname = test ü\n" + std::string(random.below(300), '#');
  state.content.integers = {{"step", static_cast<std::int64_t>(random.bits64() >> 1)}, {"seed", -5}};
  for (std::uint64_t i = random.below(20); i > 0; --i) state.content.integers["count" + std::to_string(i)] = static_cast<std::int64_t>(i);
  state.content.reals = {{"best_loss", random.normal()}, {"lr", 1e-300}};
  return state;
}

inline bool same_bytes(const CheckpointArray& array, const CheckpointReader& reader) {
  const auto n = static_cast<std::size_t>(array.shape.size());
  if (array.is_double) {
    std::vector<double> values(n);
    reader.read(array.name, values.data(), array.shape.size());
    return n == 0 || std::memcmp(values.data(), array.data, n * sizeof(double)) == 0;
  }
  std::vector<float> values(n);
  reader.read(array.name, values.data(), array.shape.size());
  return n == 0 || std::memcmp(values.data(), array.data, n * sizeof(float)) == 0;
}

inline bool same_content(const CheckpointContent& a, const CheckpointContent& b) { return a.deck == b.deck && a.integers == b.integers && a.reals == b.reals; }

}  // namespace trireme::test
