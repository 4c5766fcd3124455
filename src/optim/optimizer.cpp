#include "optim/optimizer.hpp"

#include <algorithm>
#include <cmath>

#include "base/error.hpp"
#include "base/registry.hpp"
#include "kokkos_kernels/elementwise.hpp"

namespace trireme {

namespace {

template <class E>
void to_device(const std::vector<E>& list, Buffer<E>& buffer, const char* label) {
  buffer = Buffer<E>(label, list.size());
  const auto host = Kokkos::create_mirror_view(buffer);
  std::ranges::copy(list, host.data());
  Kokkos::deep_copy(buffer, host);
}

}  // namespace

const OptimizerKind& optimizer_kind(const Deck& deck) { return entry_of(optimizer_kinds(), deck.text("optimizer.kind")); }

namespace {

const bool keys_are_known = add_keys_of(optimizer_kinds());

template <class T>
ParameterGroups groups_of(const Deck& deck, const Network<T>& network) {
  std::vector<std::string> names;
  std::vector<Shape> shapes;
  for (const WholeArray& array : network.whole_parameters()) names.push_back(array.name), shapes.push_back(array.shape);
  return {deck, names, shapes};
}

}  // namespace

std::vector<std::string> optimizer_states(const Deck& deck) { return optimizer_kind(deck).states(deck); }

template <class T>
Optimizer<T>::Optimizer(const Deck& deck, Network<T>& network, const ZeroPartition& shards, const NormScope& scope)
    : network_(network), shards_(shards), groups_(groups_of(deck, network)), clip_norm_(deck.real("optimizer.clip_norm")) {
  if (shards.arena_size() != network.arena_size())
    throw internal_error("optimizer: shards of {} elements for an arena of {}", shards.arena_size(), network.arena_size());
  lay_out_parts(deck);
  for (const std::string& name : optimizer_states(deck)) add_state(name);
  const bool trusts = optimizer_kind(deck).layer_norms;
  if (trusts && !shards_.whole() && deck.integer("data.virtual_ranks") > 0)
    throw usage_error(
        "optimizer.kind = {} needs norms of whole parameters, whose bits would depend on the number of ranks under optimizer.shard = true and "
        "data.virtual_ranks. "
        "Hint: set optimizer.shard = false",
        deck.text("optimizer.kind"));
  if ((clip_norm_ > 0 || trusts) && (!shards_.whole() || scope.model != nullptr)) {
    if (!shards_.whole() && scope.shards == nullptr) throw internal_error("optimizer: norms of a part of the parameters need the ranks that own the rest");
    NormScope beyond = scope;
    if (shards_.whole()) beyond.shards = nullptr;
    norms_.emplace(ParameterChunks{runs_, first_runs_}, static_cast<std::int64_t>(network.parameters().size()), beyond);
  }
  if (clip_norm_ > 0) {
    norm_partial_ = Buffer<double>("trireme::optimizer::norm_partial", static_cast<std::size_t>(squared_norm_workspace(network.arena_size())));
    norm_ = Buffer<double>("trireme::optimizer::norm", 1);
  }
  if (trusts) {
    trust_partial_ = Buffer<double>("trireme::optimizer::trust_partial", 2 * runs_.size());
    trust_squares_ = Buffer<double>("trireme::optimizer::trust_squares", 2 * network.parameters().size());
    trust_ = Buffer<double>("trireme::optimizer::trust", network.parameters().size());
    std::vector<double> roots;
    for (const Parameter& parameter : network.parameters()) roots.push_back(std::sqrt(static_cast<double>(parameter.whole().size())));
    to_device(roots, trust_roots_, "trireme::optimizer::trust_roots");
  }
}

template <class T>
void Optimizer<T>::lay_out_parts(const Deck& deck) {
  const bool decay_biases = deck.boolean("optimizer.decay_biases");
  lay_out_chunks(decay_biases, std::nullopt, runs_, first_runs_);
  const auto rule_of = [](const Deck& of) { return optimizer_kind(of).make.template make<T>(of); };
  if (groups_.trivial()) {
    parts_.push_back({rule_of(deck), 1, runs_, first_runs_});
    return;
  }
  for (std::size_t g = 0; g < groups_.groups().size(); ++g) {
    const ParameterGroup& group = groups_.groups()[g];
    if (group.arrays == 0) continue;
    Part part{
        group.weight_decay ? rule_of(Deck(deck.resolved(), deck.origin(), {fmt::format("optimizer.weight_decay={}", *group.weight_decay)})) : rule_of(deck),
        group.lr_factor,
        {},
        {}};
    lay_out_chunks(decay_biases, static_cast<int>(g), part.runs, part.first_runs);
    parts_.push_back(std::move(part));
  }
  for (const Parameter& parameter : network_.parameters()) {
    if (groups_.group_of(parameter.name) != ParameterGroups::frozen) continue;
    frozen_.push_back({parameter.offset, parameter.offset + parameter.shape.size()});
  }
}

template <class T>
void Optimizer<T>::lay_out_chunks(bool decay_biases, std::optional<int> group, Buffer<ParameterChunk>& runs, Buffer<std::int32_t>& first) const {
  std::vector<ParameterChunk> chunks;
  std::vector<std::int32_t> firsts{0};
  for (const Parameter& parameter : network_.parameters()) {
    const bool wanted = !group || groups_.group_of(parameter.name) == *group;
    for (const auto& owned : shards_.owned()) {
      const std::int64_t begin = std::max(parameter.offset, owned.first), end = std::min(parameter.offset + parameter.shape.size(), owned.last);
      for (std::int64_t at = begin; wanted && at < end; at += ParameterChunk::length)
        chunks.push_back({at, std::min(at + ParameterChunk::length, end), static_cast<std::int32_t>(firsts.size()) - 1,
                          decay_biases || parameter.shape.rank() > 1, owned.at - owned.first});
    }
    firsts.push_back(static_cast<std::int32_t>(chunks.size()));
  }
  to_device(chunks, runs, "trireme::optimizer::runs");
  to_device(firsts, first, "trireme::optimizer::first_runs");
}

template <class T>
void Optimizer<T>::add_state(const std::string& name) {
  states_.push_back({name, Buffer<T>("trireme::optimizer::" + name, static_cast<std::size_t>(shards_.size()))});
}

template <class T>
Span<T> Optimizer<T>::state(std::string_view name) {
  const auto found = std::ranges::find(states_, name, &State::name);
  return found == states_.end() ? Span<T>() : slice<T>(found->values, 0, shards_.size());
}

template <class T>
void Optimizer<T>::update(const Execution& exec, double lr, std::int64_t step) {
  TrustRatios trust{trust_partial_, trust_squares_, trust_, trust_roots_, {}};
  if (norms_) trust.complete = [this](const Execution& on, Span<double> squares) { norms_->complete(on, squares); };
  // The norm of the gradient is that of what is trained.
  for (const FrozenRange& range : frozen_) fill<T>(exec, range.last - range.first, T{}, slice<T>(network_.gradients(), range.first, range.last - range.first));
  Clip clip;
  if (clip_norm_ > 0) {
    if (norms_)
      norms_->squared(exec, network_.gradients(), norm_);
    else
      squared_norm<T>(exec, network_.arena_size(), network_.gradients(), norm_partial_, norm_);
    clip = {clip_norm_, norm_};
  }
  for (const Part& part : parts_)
    part.rule->update({exec, ParameterChunks{part.runs, part.first_runs}, clip, trust, part.lr_factor == 1 ? lr : lr * part.lr_factor, step,
                       network_.gradients(), network_.values(), [this](std::string_view name) { return state(name); }});
}

template class Optimizer<float>;
template class Optimizer<double>;

}  // namespace trireme
