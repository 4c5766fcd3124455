#include "train/ensemble.hpp"

#include "base/error.hpp"
#include "kokkos_kernels/elementwise.hpp"
#include "kokkos_kernels/softmax.hpp"
#include "train/loss_function.hpp"

namespace trireme {

namespace {

template <class T>
void logarithm_of(const Execution& exec, std::int64_t count, Span<T> y) {
  Kokkos::parallel_for("trireme::ensemble::logarithm", Range(exec, 0, count), KOKKOS_LAMBDA(std::int64_t i) { y(i) = Kokkos::log(y(i)); });
}

}  // namespace

template <class T>
Ensemble<T>::Ensemble(const Communicator& comm, const std::vector<std::filesystem::path>& files, const std::vector<std::string>& overrides, bool combine)
    : combine_(combine) {
  std::int64_t share = 0;
  for (const auto& file : files) {
    const Deck saved = checkpoint_deck(comm, file);
    Deck deck(saved.resolved(), saved.origin(), overrides);
    if (members_.empty()) {
      batch_ = deck.integer("data.test_batch") > 0 ? deck.integer("data.test_batch") : deck.integer("data.batch");
      share = (batch_ + comm.size() - 1) / comm.size();
      classes_ = loss_kind(deck) == LossKind::cross_entropy;
    }
    auto network = std::make_unique<Network<T>>(deck, share, Network<T>::Use::inference);
    if (!members_.empty()) {
      const auto differ = [&](const char* what, const std::string& mine, const std::string& first) {
        if (mine != first)
          throw usage_error("'{}' does not fit into the ensemble: its {} is {}, that of '{}' is {}. Hint: members need one kind of input, output and loss",
                            file.string(), what, mine, files.front().string(), first);
      };
      differ("input", network->input_shape().text(), this->network().input_shape().text());
      differ("output", network->output_shape().text(), this->network().output_shape().text());
      differ("loss.kind", deck.text("loss.kind"), this->deck().text("loss.kind"));
    }
    const Progress progress = load_for_inference<T>(file, deck, comm, *network);
    members_.push_back({file, std::move(deck), std::move(network), nullptr, progress});
  }
  if (combine_) {
    const auto size = static_cast<std::size_t>(share * network().output_shape().size());
    mean_ = Buffer<T>("trireme::ensemble::mean", size);
    part_ = Buffer<T>("trireme::ensemble::part", size);
  }
}

template <class T>
void Ensemble<T>::read_from(const DataSet& data) {
  for (Member& member : members_)
    member.stager = std::make_unique<BatchStager<T>>(member.deck, data, member.network->input_shape(), member.network->output_shape(),
                                                     member.network->largest_batch(), StagedPart{.augments = false});
}

template <class T>
Span<const T> Ensemble<T>::run(const Pass& pass, const HostBatch& batch) {
  Member& first = members_.front();
  first.stager->load(pass, batch, first.network->input());
  first.network->forward(pass);
  return complete(pass, batch, false);
}

template <class T>
Span<const T> Ensemble<T>::complete(const Pass& pass, const HostBatch& batch, bool logarithm) {
  if (!combine_) return network().output();
  const std::int64_t outputs = network().output_shape().size(), count = pass.samples * outputs;
  for (std::size_t m = 0; m < members_.size(); ++m) {
    Member& member = members_[m];
    if (m > 0) {
      member.stager->load(pass, batch, member.network->input());
      member.network->forward(pass);
    }
    Span<T> to = slice<T>(m == 0 ? mean_ : part_, 0, count);
    if (classes_)
      softmax_forward<T>(pass.exec, pass.samples, outputs, member.network->output(), to);
    else
      copy<T>(pass.exec, count, member.network->output(), to);
    if (m > 0) add_to<T>(pass.exec, count, to, mean_);
  }
  scale<T>(pass.exec, count, static_cast<T>(1.0 / static_cast<double>(members_.size())), mean_, mean_);
  if (classes_ && logarithm) logarithm_of<T>(pass.exec, count, mean_);
  return mean_;
}

template class Ensemble<float>;
template class Ensemble<double>;

}  // namespace trireme
