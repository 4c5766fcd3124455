#include "train/train_state.hpp"

#include <map>
#include <string>

#include "train/reduction_choice.hpp"

namespace trireme {

namespace {

/// Offsets at which gradients become final: the offsets of the parameters.
template <class T>
std::vector<std::int64_t> parameter_offsets(const Network<T>& network) {
  std::vector<std::int64_t> offsets;
  for (const auto& parameter : network.parameters()) offsets.push_back(parameter.offset);
  return offsets;
}

/// The ranks with the rest of the model, for norms over all parameters. If several ranks of the tensor axis hold a whole parameter, the first one counts it.
template <class T>
NormScope norm_scope(const ProcessGrid& grid, const Network<T>& network) {
  NormScope scope{.shards = &grid.reduction()};
  if (grid.model().size() == 1) return scope;
  scope.model = &grid.model();
  std::map<std::string, std::int32_t> numbers;
  for (const WholeArray& array : network.whole_parameters()) numbers.emplace(array.name, static_cast<std::int32_t>(numbers.size()));
  for (const Parameter& parameter : network.parameters()) {
    scope.counts.push_back(grid.place().tensor == 0 || !(parameter.whole() == parameter.shape) ? 1 : 0);
    scope.global_number.push_back(numbers.at(parameter.name));
  }
  scope.global_parameters = static_cast<std::int32_t>(numbers.size());
  return scope;
}

}  // namespace

template <class T>
TrainState<T>::TrainState(RunContext& run, Network<T>& network)
    : run_(run),
      network_(network),
      reducer_(run.grid.reduction(), network.gradients_and_control(), parameter_offsets(network), choose_reduction(run, network.arena_size())),
      optimizer_(run.deck, network, reducer_.shards(), norm_scope(run.grid, network)) {
  if (const double decay = run.deck.real("train.ema"); decay > 0) average_.emplace(network, decay);
}

template <class T>
void TrainState<T>::update(double lr, std::int64_t samples) {
  optimizer_.update(run_.exec, lr, progress_.step - progress_.optimizer_start);
  reducer_.begin_gather(run_.exec, network_.values());
  network_.update_buffers(run_.exec, samples);
  reducer_.finish_gather(run_.exec);
  if (average_) average_->update(run_.exec, progress_.step);
}

template <class T>
std::vector<Buffer<T>> TrainState<T>::model_arrays() const {
  std::vector<Buffer<T>> arrays{network_.value_arena(), network_.buffer_arena()};
  if (average_) arrays.push_back(average_->values());
  return arrays;
}

template <class T>
void TrainState<T>::exchange_average() {
  if (average_) average_->exchange(run_.exec);
}

template <class T>
Snapshot<T> TrainState<T>::snapshot() {
  return take_snapshot<T>(run_.deck, run_.grid, network_, optimizer_, average(), reducer_, run_.exec, progress_);
}

template <class T>
double TrainState<T>::snapshot_bytes() const {
  const auto arrays = static_cast<std::int64_t>(optimizer_.states().size()) + (average_ ? 2 : 1);
  return static_cast<double>(network_.summary().parameters * arrays * static_cast<std::int64_t>(sizeof(T)));
}

template <class T>
void TrainState<T>::load(const std::filesystem::path& file, IoThread* h5, const std::set<std::string>& absent) {
  progress_ = load_snapshot<T>(file, run_.comm, network_, &optimizer_, average(), &reducer_, h5, absent);
}

template class TrainState<float>;
template class TrainState<double>;

}  // namespace trireme
