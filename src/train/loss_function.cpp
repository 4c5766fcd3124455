#include "train/loss_function.hpp"

#include <algorithm>
#include <cmath>

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
  if (loss_kind(deck) != LossKind::cross_entropy) return {LabelDemand::Kind::values, output.size(), output};
  if (output.rank() != 1)
    throw usage_error("loss.kind = cross_entropy needs a flat output, one score a class; the network's output is {}. Hint: end with flatten and linear",
                      output.text());
  return {LabelDemand::Kind::classes, output.size()};
}

namespace {

template <class T>
bool exchanges(const Deck& deck, const Network<T>& network) {
  return loss_kind(deck) == LossKind::cross_entropy && network.place().last_stage() && !network.output_cuts().empty();
}

template <class T>
OutputShare share_of_output(const Network<T>& network) {
  const std::int64_t whole = network.output_shape()[0];
  const ChannelCuts& cuts = network.output_cuts();
  if (cuts.empty()) return {whole, 0, whole};
  const auto rank = static_cast<std::size_t>(network.place().tensor);
  return {cuts[rank + 1] - cuts[rank], cuts[rank], whole};
}

ChannelCuts statistics_cuts(int ranks) {
  ChannelCuts cuts;
  for (int r = 0; r <= ranks; ++r) cuts.push_back(r * class_statistics);
  return cuts;
}

}  // namespace

template <class T>
LossFunction<T>::LossFunction(const Deck& deck, const Shape& output, std::int64_t pixels, const OutputShare& share, std::int64_t samples)
    : kind_(loss_kind(deck)),
      pixels_(pixels),
      share_(share),
      smoothing_(static_cast<T>(deck.real("loss.label_smoothing"))),
      divisor_(kind_ == LossKind::cross_entropy ? 1.0 : static_cast<double>(output.size())),
      per_sample_("trireme::loss::per_sample", static_cast<std::size_t>(samples)),
      value_("trireme::loss::value", 1) {}

template <class T>
LossFunction<T>::LossFunction(const Deck& deck, const Shape& output, std::int64_t local, std::int64_t samples)
    : LossFunction(deck, output, 1, {local, 0, local}, samples) {}

template <class T>
LossFunction<T>::LossFunction(const Deck& deck, const Network<T>& network, const ProcessGrid& grid)
    : LossFunction(deck, network.output_shape(), network.local_output().size() / std::max<std::int64_t>(1, share_of_output(network).own), share_of_output(network),
                   network.largest_batch()) {
  if (!exchanges(deck, network)) return;
  const int ranks = grid.shape().tensor;
  const auto samples = static_cast<std::size_t>(network.largest_batch());
  exchange_.emplace(statistics_cuts(ranks), 1, &grid.tensor(), grid.place().tensor, network.largest_batch());
  own_ = Buffer<double>("trireme::loss::own_statistics", samples * class_statistics);
  known_ = Buffer<double>("trireme::loss::statistics", samples * class_statistics * static_cast<std::size_t>(ranks));
}

template <class T>
void LossFunction<T>::apply(const Execution& exec, std::int64_t n, std::int64_t global_count, Span<const T> output, const Targets<T>& targets,
                            Span<T> gradient) {
  const T factor = static_cast<T>(1 / (static_cast<double>(global_count) * divisor_));
  if (exchange_) {
    cross_entropy_statistics<T>(exec, n, share_, output, targets.classes, own_);
    exchange_->gather(exec, n, own_, known_);
    cross_entropy_of_shares<T>(exec, n, share_, exchange_->whole() / class_statistics, known_, output, targets.classes, smoothing_, factor, gradient, per_sample_,
                               value_);
  } else if (kind_ == LossKind::cross_entropy) {
    cross_entropy<T>(exec, n, share_.own, output, targets.classes, smoothing_, factor, gradient, per_sample_, value_);
  } else {
    const std::int64_t wanted = n * pixels_ * share_.whole, found = static_cast<std::int64_t>(targets.values.size());
    if (found < wanted) throw internal_error("LossFunction: {} target numbers for {} samples of {} outputs each", found, n, pixels_ * share_.whole);
    elementwise_loss<T>(exec, kind_, n, pixels_, share_, output, targets.values, factor, gradient, per_sample_, value_);
  }
}

template <class T>
std::string LossFunction<T>::domain_fault(double loss) const {
  const bool logits = kind_ == LossKind::bce_with_logits;
  if ((kind_ != LossKind::bce && !logits) || !std::isinf(loss)) return {};
  if (loss < 0)
    return fmt::format("loss.kind = {} takes targets in [0, 1], and a target lies outside. Hint: data.scale, data.mean and data.std must lead features that are "
                       "their own targets into [0, 1]; labels must lie there as they are stored; or set loss.kind = mse", logits ? "bce_with_logits" : "bce");
  if (logits) return {};
  return "loss.kind = bce takes outputs in [0, 1], and an output of the network lies outside. Hint: end the network with 'layer = sigmoid', or set "
         "loss.kind = bce_with_logits, which takes the outputs as they are";
}

template <class T>
std::vector<Traffic> loss_traffic(const Deck& deck, const Network<T>& network) {
  if (!exchanges(deck, network)) return {};
  const std::int64_t others = network.place().shape.tensor - 1;
  return {{"tensor", others, others * class_statistics * static_cast<std::int64_t>(sizeof(double) / sizeof(T))}};
}

template <class T>
std::int64_t loss_message_elements(const Deck& deck, const Network<T>& network) {
  if (network.output_cuts().empty()) return 0;
  const OutputShare share = share_of_output(network);
  const std::int64_t outputs = network.local_output().size() / share.own * (on_host ? share.whole : share.whole + share.own);
  if (!exchanges(deck, network)) return outputs;
  const std::int64_t ranks = network.place().shape.tensor, doubles = (on_host ? ranks : ranks + 1) * class_statistics;
  return outputs + doubles * static_cast<std::int64_t>(sizeof(double) / sizeof(T));
}

#define TRIREME_INSTANTIATE(T)                                                         \
  template class LossFunction<T>;                                                      \
  template std::vector<Traffic> loss_traffic(const Deck&, const Network<T>&);          \
  template std::int64_t loss_message_elements(const Deck&, const Network<T>&);
TRIREME_INSTANTIATE(float)
TRIREME_INSTANTIATE(double)
#undef TRIREME_INSTANTIATE

}  // namespace trireme
