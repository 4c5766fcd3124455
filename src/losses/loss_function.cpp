#include "losses/loss_function.hpp"

#include <cmath>

#include "base/error.hpp"

namespace trireme {

namespace {

/// total(0) += factor * value(0); total(1) = 0.
void add_value(const Execution& exec, double factor, bool first, Span<const double> value, Span<double> total) {
  Kokkos::parallel_for(
      "trireme::loss::total", Range(exec, 0, 1), KOKKOS_LAMBDA(std::int64_t) {
        total(0) = (first ? 0.0 : total(0)) + factor * value(0);
        total(1) = 0;
      });
}

}  // namespace

template <class T>
LossFunction<T>::LossFunction(const Deck& deck, const Network<T>& network, const ProcessGrid& grid, bool gathered)
    : terms_(std::make_shared<const std::vector<LossTerm>>(loss_terms(deck, network.output_shape()))) {
  for (const LossTerm& term : *terms_) losses_.push_back(std::make_unique<TermLoss<T>>(term, network, grid, gathered));
  if (several()) total_ = Buffer<double>("trireme::loss::total", 2);
}

template <class T>
void LossFunction<T>::apply(const Execution& exec, std::int64_t n, std::int64_t global_count, Span<const T> output, const Targets<T>& targets,
                            Span<T> gradient) {
  for (std::size_t k = 0; k < losses_.size(); ++k) {
    losses_[k]->apply(exec, n, global_count, output, targets, gradient);
    if (several()) add_value(exec, (*terms_)[k].weight / static_cast<double>((*terms_)[k].targets.divisor), k == 0, losses_[k]->value(), total_);
  }
}

template <class T>
std::string LossFunction<T>::domain_fault(double loss) const {
  for (const auto& one : losses_)
    if (std::string fault = one->domain_fault(loss); !fault.empty()) return fault;
  if (!several() || !std::isnan(loss)) return {};
  for (const LossTerm& term : *terms_)
    if (term.targets.maps())
      return fmt::format(
          "[loss {}] takes class numbers from 0 to {}, and a number of [array {}] may be another. Hint: check them with trireme inspect FILE --full "
          "--data.features=(its dataset); if they are right, lower optimizer.lr",
          term.name, term.targets.classes - 1, term.target);
  return {};
}

template <class T>
std::vector<Traffic> loss_traffic(const Deck& deck, const Network<T>& network) {
  return has_loss_terms(deck) ? std::vector<Traffic>{} : term_traffic(deck, network);
}

template <class T>
std::int64_t loss_message_elements(const Deck& deck, const Network<T>& network) {
  return has_loss_terms(deck) ? 0 : term_message_elements(deck, network);
}

#define TRIREME_INSTANTIATE(T)                                                \
  template class LossFunction<T>;                                             \
  template std::vector<Traffic> loss_traffic(const Deck&, const Network<T>&); \
  template std::int64_t loss_message_elements(const Deck&, const Network<T>&);
TRIREME_INSTANTIATE(float)
TRIREME_INSTANTIATE(double)
#undef TRIREME_INSTANTIATE

}  // namespace trireme
