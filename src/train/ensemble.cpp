#include "train/ensemble.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "kokkos_kernels/elementwise.hpp"
#include "kokkos_kernels/softmax.hpp"
#include "losses/loss_function.hpp"

namespace trireme {

namespace {

template <class T>
void logarithm_of(const Execution& exec, std::int64_t count, Span<T> y) {
  Kokkos::parallel_for(
      "trireme::ensemble::logarithm", Range(exec, 0, count), KOKKOS_LAMBDA(std::int64_t i) { y(i) = Kokkos::log(y(i)); });
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
    }
    auto network = std::make_unique<Network<T>>(deck, share, Network<T>::Use::inference);
    if (members_.empty() && !has_loss_terms(deck)) classes_ = loss_targets(deck, network->output_shape()).classes;
    if (!members_.empty()) {
      const auto differ = [&](const char* what, const std::string& mine, const std::string& first) {
        if (mine != first)
          throw usage_error("'{}' does not fit into the ensemble: its {} is {}; '{}' has {}. Hint: all members must have the same input, output and loss",
                            file.string(), what, mine, files.front().string(), first);
      };
      differ("input", network->input_shape().text(), this->network().input_shape().text());
      differ("output", network->output_shape().text(), this->network().output_shape().text());
      for (const Deck* const one : std::initializer_list<const Deck*>{&deck, &this->deck()})
        for (const DeckSection& section : one->named_sections())
          for (const char* key : {"scale", "mean", "std"}) {
            const bool input = std::ranges::any_of(deck.inputs(), [&](const Deck::Input& i) { return i.name == section.name(); });
            if (section.kind() != "array" || input) continue;
            const DeckSection *mine = deck.section("array", section.name()), *first = this->deck().section("array", section.name());
            differ(section.full(key).c_str(), mine != nullptr ? mine->text(key) : "", first != nullptr ? first->text(key) : "");
          }
      differ("loss.kind", deck.text("loss.kind"), this->deck().text("loss.kind"));
    }
    const Progress progress = load_for_inference<T>(file, deck, comm, *network);
    members_.push_back({file, std::move(deck), std::move(network), nullptr, progress});
  }
  if (combine_) {
    const auto size = static_cast<std::size_t>(share * network().output_shape().size());
    mean_ = Buffer<T>("trireme::ensemble::mean", size);
    part_ = Buffer<T>("trireme::ensemble::part", size);
    const std::int64_t scores = share * network().output_shape().size();
    if (classes_ > 0) softmax_ = Buffer<double>("trireme::ensemble::softmax", static_cast<std::size_t>(softmax_workspace(scores / classes_, classes_)));
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
    if (classes_ > 0)
      softmax_forward<T>(pass.exec, count / classes_, classes_, member.network->output(), softmax_, to);
    else
      copy<T>(pass.exec, count, member.network->output(), to);
    if (m > 0) add_to<T>(pass.exec, count, to, mean_);
  }
  scale<T>(pass.exec, count, static_cast<T>(1.0 / static_cast<double>(members_.size())), mean_, mean_);
  if (classes_ > 0 && logarithm) logarithm_of<T>(pass.exec, count, mean_);
  return mean_;
}

template class Ensemble<float>;
template class Ensemble<double>;

}  // namespace trireme
