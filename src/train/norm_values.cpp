#include "train/norm_values.hpp"

#include <algorithm>
#include <array>
#include <string>

#include "base/error.hpp"
#include "base/share.hpp"
#include "layers/spatial.hpp"

namespace trireme {

namespace {

/// Division of batches into passes: first among ranks or virtual ranks, then into micro-batches.
struct Division {
  std::int64_t slices, micro_batches;
  bool virtual_ranks;
};

/// Sizes of even parts of n items: the larger parts, and the smaller parts, which may be empty.
std::array<std::int64_t, 2> sizes(std::int64_t n, std::int64_t parts) { return {(n + parts - 1) / parts, n / parts}; }

/// Whether some pass of a batch of `count` samples has only one sample.
bool has_single(std::int64_t count, const Division& division) {
  for (const std::int64_t slice : sizes(count, division.slices))
    for (const std::int64_t part : sizes(slice, division.micro_batches))
      if (part == 1) return true;
  return false;
}

/// The same if the passes of one micro-batch on all ranks have common moments.
bool has_single_together(std::int64_t count, const Division& division) {
  const std::int64_t larger = count % division.slices, most = sizes(count, division.slices)[0];
  for (std::int64_t m = 0; m < std::min(division.micro_batches, most); ++m) {
    const auto of = [&](std::int64_t share) { return share / division.micro_batches + (m < share % division.micro_batches ? 1 : 0); };
    if (larger * of(count / division.slices + 1) + (division.slices - larger) * of(count / division.slices) == 1) return true;
  }
  return false;
}

std::string cause(const Division& division, const GridShape& grid) {
  std::string text;
  if (division.virtual_ranks)
    text += fmt::format(", cut into {} virtual ranks", division.slices);
  else if (grid.data > 1)
    text += fmt::format(", divided among {} ranks", grid.data);
  if (division.micro_batches > 1) text += fmt::format("{}{} micro-batches each", text.empty() ? ", cut into " : " and into ", division.micro_batches);
  return text;
}

/// For layers with moments per sample; the input has one pixel.
void require_values_of_a_sample(const GraphNode& node, const LayerOptions& options, const Shape& input) {
  const char* hint = nullptr;
  if (node.spec.kind == "instance_norm") hint = "move it to a layer with more than one pixel, or use layer_norm";
  if (node.spec.kind == "group_norm" && channels_of(input) == options.integer("groups")) hint = "set fewer groups";
  if (hint != nullptr)
    throw usage_error(
        "{}: 'layer = {}' would normalize single values: its input {} has one pixel per channel. The normalized value is then always 0, and the "
        "output is always the bias. Hint: {}",
        node.spec.called(), node.spec.text, input.text(), hint);
}

}  // namespace

void require_norm_values(const ParallelPlan& plan, const Deck& deck, std::int64_t rows) {
  const std::int64_t batch = deck.integer("data.batch"), virtual_ranks = deck.integer("data.virtual_ranks");
  const Division division{virtual_ranks > 0 ? virtual_ranks : plan.grid().data, plan.micro_batches(), virtual_ranks > 0};
  const std::int64_t whole = rows > 0 ? std::min(batch, rows) : batch, last = rows > 0 ? rows % batch : 0;
  const bool measured = deck.text("parallel.balance") == "measured" && plan.grid().data > 1;
  for (std::size_t i = 0; i < plan.graph().nodes().size(); ++i) {
    const GraphNode& node = plan.graph().nodes()[i];
    const Shape& input = plan.graph().shapes()[node.inputs[0]];
    if (pixels_of(input) > 1) continue;
    const LayerOptions options(node.spec, node.kind->options);
    require_values_of_a_sample(node, options, input);
    if (node.spec.kind != "batch_norm") continue;
    const bool sync = options.boolean("sync");
    const auto single = [&](std::int64_t count) { return count > 0 && (sync ? has_single_together(count, division) : has_single(count, division)); };
    const auto refuse = [&](const std::string& where, const std::string& hint) {
      return usage_error(
          "{}: 'layer = {}' would normalize single values: its input {} has one pixel per channel, and {}. The normalized value is then "
          "always 0, and the output is always the bias. Hint: {}",
          node.spec.called(), node.spec.text, input.text(), where, hint);
    };
    if (single(whole)) {
      const bool together = !sync && !division.virtual_ranks && !has_single_together(whole, division);
      throw refuse(fmt::format("with a batch of {} sample(s){}, some pass has only one sample", whole, cause(division, plan.grid())),
                   fmt::format("set {}a larger data.batch{}{}, or use layer_norm", together ? "sync = true in its line, or " : "",
                               division.virtual_ranks ? " or a smaller data.virtual_ranks"
                               : plan.grid().data > 1 ? ", use fewer ranks"
                                                      : "",
                               division.micro_batches > 1 ? ", or a smaller parallel.micro_batches" : ""));
    }
    if (single(last)) {
      // The nearest batch size without such a last batch.
      std::int64_t other = batch;
      for (std::int64_t off = 1; other == batch && off < std::min<std::int64_t>(batch, 1000); ++off)
        for (const std::int64_t candidate : {batch + off, batch - off})
          if (other == batch && candidate > 1 && candidate <= rows && !single(candidate) && !single(rows % candidate)) other = candidate;
      const bool together = !sync && !division.virtual_ranks && !has_single_together(last, division);
      throw refuse(fmt::format("with the last batch of an epoch ({} of {} samples{}), some pass has only one sample", last, rows, cause(division, plan.grid())),
                   fmt::format("set {}{}, which leaves no such batch", together ? "sync = true in its line, or " : "",
                               other == batch ? std::string("another data.batch") : fmt::format("data.batch = {}", other)));
    }
    if (measured && !sync)
      throw refuse("parallel.balance = measured may give a rank only one sample of a batch", "set parallel.balance = even, or sync = true in its line");
  }
}

}  // namespace trireme
