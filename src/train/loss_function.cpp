#include "train/loss_function.hpp"

#include "base/error.hpp"

namespace trireme {

LossKind loss_kind(const Deck& deck) {
  const std::string& kind = deck.text("loss.kind");
  if (kind == "mse") return LossKind::mse;
  if (kind == "mae") return LossKind::mae;
  if (kind == "bce") return LossKind::bce;
  if (kind == "bce_with_logits") return LossKind::bce_with_logits;
  return LossKind::cross_entropy;
}

LabelDemand label_demand(const Deck& deck, const Shape& input, const Shape& output) {
  if (deck.text("data.target") == "features") {
    if (loss_kind(deck) == LossKind::cross_entropy)
      throw usage_error("data.target = features does not go with loss.kind = cross_entropy, which takes classes. Hint: set loss.kind = mse");
    if (output != input)
      throw usage_error("data.target = features needs an output of the input's shape; model.input is {}, the network's output is {}. Hint: {}", input.text(),
                        output.text(), output.size() == input.size() ? fmt::format("end with 'layer = reshape shape={}'", input.text())
                                                                      : "change the last layers");
    return {LabelDemand::Kind::features, output.size()};
  }
  if (deck.text("data.labels").empty()) throw usage_error("data.labels is empty; the loss '{}' needs labels", deck.text("loss.kind"));
  if (loss_kind(deck) != LossKind::cross_entropy) return {LabelDemand::Kind::values, output.size()};
  if (output.rank() != 1)
    throw usage_error("loss.kind = cross_entropy needs a flat output, one score a class; the network's output is {}. Hint: end with flatten and linear",
                      output.text());
  return {LabelDemand::Kind::classes, output.size()};
}

template <class T>
LossFunction<T>::LossFunction(const Deck& deck, const Shape& output, std::int64_t local, std::int64_t samples)
    : kind_(loss_kind(deck)),
      outputs_(local),
      smoothing_(static_cast<T>(deck.real("loss.label_smoothing"))),
      divisor_(kind_ == LossKind::cross_entropy ? 1.0 : static_cast<double>(output.size())),
      per_sample_("trireme::loss::per_sample", static_cast<std::size_t>(samples)),
      value_("trireme::loss::value", 1) {}

template <class T>
void LossFunction<T>::apply(const Execution& exec, std::int64_t n, std::int64_t global_count, Span<const T> output, const Targets<T>& targets,
                            Span<T> gradient) {
  const T factor = static_cast<T>(1 / (static_cast<double>(global_count) * divisor_));
  if (kind_ == LossKind::cross_entropy)
    cross_entropy<T>(exec, n, outputs_, output, targets.classes, smoothing_, factor, gradient, per_sample_, value_);
  else
    elementwise_loss<T>(exec, kind_, n, outputs_, output, targets.values, factor, gradient, per_sample_, value_);
}

template class LossFunction<float>;
template class LossFunction<double>;

}  // namespace trireme
