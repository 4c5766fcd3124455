// Runs one layer with exactly the memory that it requests. All memory that the layer did not request to keep is overwritten with NaN before its backward pass,
// and so is scratch memory before each call.
#pragma once

#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <memory>

#include "base/text.hpp"
#include "kokkos_kernels/norm.hpp"
#include "layers/registry.hpp"
#include "support/arrays.hpp"

namespace trireme::test {

/// Whether a kind has a test file of its own (scripts/new layer NAME), instead of cases in the shared ones.
inline bool has_own_test(const std::string& kind) {
  return std::filesystem::exists(std::filesystem::path(TRIREME_SOURCE_DIR) / "tests/unit/layers" / (kind + ".cpp"));
}

template <class T>
class LayerBench {
 public:
  using Values = std::vector<T>;

  /// `line` as in a deck ("conv out=3 kernel=2"); one shape for each input.
  LayerBench(const std::string& line, std::vector<Shape> shapes, std::int64_t samples)
      : shapes_(std::move(shapes)), layer_(make_layer<T>(Deck("[model]\ninput = 1\nlayer = " + line, "bench").layers().front(), shapes_)) {
    pass_.samples = samples, pass_.training = true, pass_.seed = 3, pass_.step = 5;
    layer_->plan_for(samples, ComputeType::full);
    typename Layer<T>::Memory lent;
    for (const auto& spec : layer_->parameters()) {
      parameters_.emplace_back(Values(static_cast<std::size_t>(spec.shape.size())));
      gradients_.emplace_back(Values(static_cast<std::size_t>(spec.shape.size())));
      lent.parameters.push_back(parameters_.back());
      lent.gradients.push_back(gradients_.back());
    }
    for (const auto& spec : layer_->buffers()) {
      buffers_.emplace_back(Values(static_cast<std::size_t>(spec.shape.size()), static_cast<T>(spec.initial)));
      observed_.emplace_back(Values(static_cast<std::size_t>(spec.shape.size())));
      lent.buffers.push_back(buffers_.back());
      lent.batch_stats.push_back(observed_.back());
    }
    workspace_ = std::make_unique<Guarded<T>>(layer_->needs().workspace);
    state_ = std::make_unique<Guarded<std::uint8_t>>(layer_->needs().state + layer_->needs().state_per_sample * samples);
    lent.workspace = *workspace_;
    lent.state = *state_;
    layer_->bind(std::move(lent));
  }

  Layer<T>& layer() { return *layer_; }
  Pass& pass() { return pass_; }
  const std::vector<Shape>& shapes() const { return shapes_; }
  std::int64_t input_size(std::size_t i) const { return pass_.samples * shapes_[i].size(); }
  std::int64_t output_size() const { return pass_.samples * layer_->output().size(); }

  void set_parameter(std::size_t i, const Values& values) { parameters_[i].set(values); }
  void set_gradient(std::size_t i, const Values& values) { gradients_[i].set(values); }
  Values parameter(std::size_t i) const { return parameters_[i].values(); }
  Values gradient(std::size_t i) const { return gradients_[i].values(); }
  Values buffer(std::size_t i) const { return buffers_[i].values(); }

  /// Updates the buffers as a network does after a step with `samples` samples.
  void update_buffers(std::int64_t samples) {
    for (std::size_t i = 0; i < buffers_.size(); ++i) {
      const auto& spec = layer_->buffers()[i];
      const Guarded<T> momentum(Values(static_cast<std::size_t>(spec.shape.size()), static_cast<T>(spec.momentum)));
      update_running<T>(Execution(), spec.shape.size(), samples, momentum, observed_[i], buffers_[i]);
      observed_[i].set(Values(static_cast<std::size_t>(spec.shape.size())));
    }
  }

  struct Result {
    Values y;
    std::vector<Values> dx;
  };

  /// Inputs and output are channels-first here, as in PyTorch.
  Values forward(const std::vector<Values>& inputs) { return run(inputs, nullptr, false).y; }
  /// Forward and backward. With `in_place` the output uses the memory of the input, and the input gradient that of dy.
  Result forward_backward(const std::vector<Values>& inputs, const Values& dy, bool in_place = false) { return run(inputs, &dy, in_place); }

 private:
  Result run(const std::vector<Values>& inputs, const Values* dy, bool in_place) {
    std::vector<Guarded<T>> in, dx;
    std::vector<Span<const T>> in_spans;
    std::vector<Span<T>> dx_spans;
    for (std::size_t i = 0; i < inputs.size(); ++i) in.emplace_back(to_channels_last(inputs[i], shapes_[i]));
    for (const auto& one : in) in_spans.push_back(one);
    Guarded<T> fresh(output_size());
    Guarded<T>& out = in_place ? in[0] : fresh;
    workspace_->spoil();
    layer_->forward(pass_, in_spans, out);
    Result result{to_channels_first(out.values(), layer_->output()), {}};
    if (dy != nullptr) {
      if (!layer_->needs().input_in_backward && !in_place)
        for (auto& one : in) one.spoil();
      if (!layer_->needs().output_in_backward) out.spoil();
      workspace_->spoil();
      const Guarded<T> gradient(to_channels_last(*dy, layer_->output()));
      for (std::size_t i = 0; i < inputs.size(); ++i) dx.push_back(in_place ? gradient : Guarded<T>(input_size(i)));
      for (const auto& one : dx) dx_spans.push_back(one);
      layer_->backward(pass_, in_spans, out, gradient, dx_spans);
      for (std::size_t i = 0; i < inputs.size(); ++i) result.dx.push_back(to_channels_first(dx[i].values(), shapes_[i]));
      if (!in_place) BOOST_TEST(same_bits(gradient.values(), to_channels_last(*dy, layer_->output())), "backward changed dy");
    }
    for (const auto* list : {&in, &dx, &parameters_, &gradients_, &buffers_, &observed_})
      for (const auto& one : *list) BOOST_TEST(one.guards_hold());
    BOOST_TEST((out.guards_hold() && workspace_->guards_hold() && state_->guards_hold()));
    return result;
  }

  std::vector<Shape> shapes_;
  std::unique_ptr<Layer<T>> layer_;
  Pass pass_;
  std::vector<Guarded<T>> parameters_, gradients_, buffers_, observed_;
  std::unique_ptr<Guarded<T>> workspace_;
  std::unique_ptr<Guarded<std::uint8_t>> state_;
};

}  // namespace trireme::test
