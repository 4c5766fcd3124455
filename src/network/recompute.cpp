#include "network/recompute.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "parallel/communicates.hpp"

namespace trireme {

namespace {

template <class T>
class Recomputation {
 public:
  Recomputation(StepGraph<T>& graph, ExecutionOrder& order, const std::vector<std::size_t>& begins, bool last_too)
      : graph_(graph), order_(order), begins_(begins), kept_segments_(last_too ? 0 : 1), segment_of_(graph.steps.size()), in_backward_(graph.steps.size()) {
    for (std::size_t s = 0; s < begins_.size(); ++s)
      for (std::size_t i = begins_[s]; i < end_of(s); ++i) segment_of_[i] = s;
    for (const std::size_t i : order_.backward) in_backward_[i] = true;
  }

  void run() {
    find_sources();
    part_segments();
    order_.segments.clear();
    order_.recomputed.assign(graph_.steps.size(), false);
    order_.kept.assign(graph_.shapes.size(), false);
    for (std::size_t s = begins_.size() - kept_segments_; s-- > 0;) analyze(s);
  }

 private:
  std::size_t end_of(std::size_t segment) const { return segment + 1 < begins_.size() ? begins_[segment + 1] : graph_.steps.size(); }
  bool is_recomputed_segment(std::size_t segment) const { return segment + kept_segments_ < begins_.size(); }

  /// Sources are never computed again: the input, values of other stages, and what an identity in place makes of them. They stay in memory.
  void find_sources() {
    source_.assign(graph_.shapes.size(), false);
    source_[0] = true;
    for (std::size_t i = 0; i < graph_.steps.size(); ++i) {
      Step<T>& step = graph_.steps[i];
      if (capability<const StageLink>(std::as_const(*step.layer)) != nullptr) source_[step.result] = true;
      if (!step.in_place || !source_[step.inputs[0]]) continue;
      if (step.layer->needs().identity)
        source_[step.result] = true;
      else if (is_recomputed_segment(segment_of_[i]))
        stop_in_place(step);
    }
  }

  /// A step does not overwrite a value of another segment.
  void part_segments() {
    for (std::size_t i = 0; i < graph_.steps.size(); ++i) {
      Step<T>& step = graph_.steps[i];
      if (step.in_place && !source_[step.inputs[0]] && segment_of_[graph_.producer[step.inputs[0]]] != segment_of_[i]) stop_in_place(step);
    }
  }

  static void stop_in_place(Step<T>& step) {
    if (step.fused != Fusion::none) throw internal_error("layer '{}' is fused into a layer of another segment", step.name);
    step.in_place = false;
  }

  /// The value that is in the memory of `value` after the forward pass.
  std::size_t final_of(std::size_t value) const {
    while (graph_.consumers[value].size() == 1 && graph_.steps[graph_.consumers[value][0]].in_place) value = graph_.steps[graph_.consumers[value][0]].result;
    return value;
  }

  bool is_available(std::size_t value, std::size_t segment) const {
    return source_[value] || order_.kept[value] || segment_of_[graph_.producer[value]] != segment;
  }

  void analyze(std::size_t segment) {
    const std::size_t begin = begins_[segment], end = end_of(segment);
    for (std::size_t i = begin; i < end; ++i)
      if (!graph_.steps[i].fused_into) order_.kept[graph_.steps[i].result] = is_read_later(graph_.steps[i].result, segment);
    if (std::none_of(in_backward_.begin() + static_cast<std::ptrdiff_t>(begin), in_backward_.begin() + static_cast<std::ptrdiff_t>(end),
                     [](bool b) { return b; }))
      return;
    for (std::size_t i = begin; i < end; ++i) require_for_backward(i, segment);
    Segment found{begin, end, {}};
    for (std::size_t i = begin; i < end; ++i)
      if (order_.recomputed[i] && graph_.steps[i].runs_forward()) found.steps.push_back(i);
    order_.segments.push_back(std::move(found));
  }

  /// Whether the backward pass of a later segment, or its recomputation, reads the value.
  bool is_read_later(std::size_t value, std::size_t segment) const {
    return !source_[value] && std::ranges::any_of(graph_.consumers[value], [&](std::size_t consumer) {
      return segment_of_[consumer] != segment &&
             (order_.recomputed[consumer] || (in_backward_[consumer] && graph_.steps[consumer].layer->needs().input_in_backward));
    });
  }

  void require_for_backward(std::size_t i, std::size_t segment) {
    const Step<T>& step = graph_.steps[i];
    if (step.fused_into) return;
    const LayerNeeds& needs = step.layer->needs();
    const auto require = [&](std::size_t value) {
      const std::size_t found = final_of(value);
      if (!is_available(found, segment)) recompute(graph_.producer[found], segment);
    };
    if (in_backward_[i]) {
      if (needs.output_in_backward) require(step.result);
      if (needs.input_in_backward)
        for (const std::size_t value : step.inputs) require(value);
      if (needs.state + needs.state_per_sample > 0 && !needs.keeps_state) recompute(i, segment);
    }
    const auto& layer = std::as_const(*step.layer);
    if (capability<const Communicates>(layer) != nullptr && capability<const StageLink>(layer) == nullptr) recompute(i, segment);
  }

  /// Also the steps that make its inputs, and those that follow in the same memory.
  void recompute(std::size_t i, std::size_t segment) {
    if (order_.recomputed[i]) return;
    order_.recomputed[i] = true;
    const Step<T>& step = graph_.steps[i];
    for (const std::size_t value : step.inputs)
      if (!is_available(value, segment)) recompute(graph_.producer[value], segment);
    const auto& consumers = graph_.consumers[step.result];
    if (consumers.size() == 1 && graph_.steps[consumers[0]].in_place) recompute(consumers[0], segment);
  }

  StepGraph<T>& graph_;
  ExecutionOrder& order_;
  const std::vector<std::size_t>& begins_;
  std::size_t kept_segments_;
  std::vector<std::size_t> segment_of_;  // by step
  std::vector<bool> in_backward_;        // by step
  std::vector<bool> source_;             // by value
};

}  // namespace

RecomputeOption RecomputeOption::of(const Deck& deck) {
  const std::string& text = deck.text("train.recompute");
  if (text == "none") return {};
  if (text == "auto") return {Kind::smallest, 0};
  std::int64_t segments = 0;
  try {
    segments = parse_integer(text, "train.recompute");
  } catch (const Error&) {  // a word
  }
  if (segments < 1 || segments > most)
    throw usage_error("train.recompute = {}: expected none, auto, or the number of segments, from 1 to {}. Hint: auto chooses the smallest memory", text, most);
  return {Kind::segments, segments};
}

template <class T>
void recompute_segments(StepGraph<T>& graph, ExecutionOrder& order, const std::vector<std::size_t>& begins, bool last_too) {
  Recomputation<T>(graph, order, begins, last_too).run();
}

template void recompute_segments(StepGraph<float>&, ExecutionOrder&, const std::vector<std::size_t>&, bool);
template void recompute_segments(StepGraph<double>&, ExecutionOrder&, const std::vector<std::size_t>&, bool);

}  // namespace trireme
