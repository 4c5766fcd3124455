#include "losses/term_loss.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.hpp"
#include "layers/spatial.hpp"

namespace trireme {

namespace {

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

/// How ranks with parts of the channels find a loss that needs all of them.
enum class Join { none, statistics, gather };

template <class T>
Join join(const Deck& deck, const Network<T>& network) {
  const LossKind& kind = loss_kind(deck);
  if (!network.place().last_stage() || network.output_cuts().empty() || !kind.whole_channels) return Join::none;
  const bool numbers = kind.name == "cross_entropy" && loss_targets(kind, deck, network.output_shape()).numbers();
  return numbers && deck.text("loss.class_weights").empty() ? Join::statistics : Join::gather;
}

template <class T>
std::int64_t local_pixels(const Network<T>& network) {
  return network.local_output().size() / std::max<std::int64_t>(1, share_of_output(network).own);
}

template <class E>
Buffer<E> on_device(const std::vector<double>& numbers, const char* label) {
  Buffer<E> buffer(label, numbers.size());
  const auto host = Kokkos::create_mirror_view(buffer);
  for (std::size_t i = 0; i < numbers.size(); ++i) host(i) = static_cast<E>(numbers[i]);
  Kokkos::deep_copy(buffer, host);
  return buffer;
}

}  // namespace

template <class T>
TermLoss<T>::TermLoss(const LossTerm& term, const Network<T>& network, const ProcessGrid& grid, bool gathered)
    : term_(term),
      kind_(loss_kind(term.deck)),
      targets_(term.targets),
      loss_(kind_.make.template make<T>(term.deck, targets_)),
      pixels_(local_pixels(network)),
      share_(share_of_output(network)),
      several_(!term.name.empty()),
      smoothing_(static_cast<T>(term.deck.real("loss.label_smoothing"))),
      divisor_(static_cast<double>(targets_.divisor)),
      ignored_(Ignored<T>::of(ignored_target(term.deck))),
      value_("trireme::loss::value", 2) {
  const Deck& deck = term.deck;
  if (gathered) share_ = {share_.whole, 0, share_.whole};
  if (several_ && share_.own != share_.whole && network.place().last_stage())
    throw usage_error("several losses need all channels of their layers on each rank, and parallel.tensor = {} divides them. Hint: set parallel.tensor = 1",
                      network.place().shape.tensor);
  const Shape& output = term.output;
  const auto weights = deck.reals("loss.class_weights");
  const bool class_numbers = targets_.classes > 0 && !targets_.probabilities;
  weighted_ = !kind_.of_samples && !kind_.divisor_is_samples && (ignored_.on || (class_numbers && !weights.empty()));
  if (!weights.empty()) {
    if (static_cast<std::int64_t>(weights.size()) != output[0])
      throw usage_error("loss.class_weights has {} numbers; the network's output {} has {} classes. Expected one number per class", weights.size(),
                        output.text(), output[0]);
    class_weights_ = on_device<T>(weights, "trireme::loss::class_weights");
    class_weight_sum_ = std::accumulate(weights.begin(), weights.end(), 0.0);
  }
  if (deck.text("loss.reduction_weights") != "none") {
    if (output.rank() < 3)
      throw usage_error("loss.reduction_weights = {} needs an output with channels, latitudes (y) and longitudes (x); the network's output is {}",
                        deck.text("loss.reduction_weights"), output.text());
    Box box{.extent = spatial_extents(output)};
    const auto whole = row_weights(deck, box.extent[1]);
    if (network.output_box()) box = *network.output_box();
    rows_ = on_device<double>({whole.begin() + box.first[1], whole.begin() + box.end(1)}, "trireme::loss::row_weights");
    width_ = std::max<std::int64_t>(1, box.extent[2]);
  }
  const std::int64_t samples = network.largest_batch();
  const Join how = gathered || several_ ? Join::none : join(deck, network);
  const int ranks = grid.shape().tensor;
  if (how == Join::statistics) {
    exchange_.emplace(statistics_cuts(ranks), 1, &grid.tensor(), grid.place().tensor, samples);
    own_ = Buffer<double>("trireme::loss::own_statistics", static_cast<std::size_t>(samples * class_statistics));
    known_ = Buffer<double>("trireme::loss::statistics", static_cast<std::size_t>(samples * class_statistics * ranks));
  } else if (how == Join::gather) {
    whole_.emplace(network.output_cuts(), pixels_, &grid.tensor(), grid.place().tensor, samples);
    whole_output_ = Buffer<T>("trireme::loss::whole_output", static_cast<std::size_t>(samples * pixels_ * share_.whole));
  }
  partial_ =
      Buffer<double>("trireme::loss::partial", static_cast<std::size_t>(loss_workspace(samples, pixels_ * share_.whole) * (1 + loss_->statistics() / 2)));
  if (loss_->statistics() > 0) {
    statistics_ = Buffer<double>("trireme::loss::sample_statistics", static_cast<std::size_t>(samples * loss_->statistics()));
    if (network.output_box()) {
      split_ = &grid.spatial();
      counts_ = grid.place().spatial_rank() == 0;
    }
  }
}

template <class T>
void TermLoss<T>::sum_statistics(LossPass<T>& pass) {
  const Span<double> statistics = slice<double>(statistics_, 0, pass.n * loss_->statistics());
  loss_->gather(pass, statistics);
  if (split_ != nullptr) all_reduce_.run(pass.exec, *split_, statistics);
  pass.statistics = statistics;
}

template <class T>
void TermLoss<T>::apply(const Execution& exec, std::int64_t n, std::int64_t global_count, Span<const T> output, const Targets<T>& targets, Span<T> gradient) {
  const T factor = static_cast<T>(term_.weight / (static_cast<double>(global_count) * divisor_));
  if (exchange_) {
    cross_entropy_statistics<T>(exec, n, share_, output, targets.classes, own_);
    exchange_->gather(exec, n, own_, known_);
    return cross_entropy_of_shares<T>(exec, n, share_, exchange_->whole() / class_statistics, known_, output, targets.classes, smoothing_, factor, gradient,
                                      partial_, value_);
  }
  if (!targets_.numbers()) {
    const std::int64_t per_pixel = several_ ? term_.joined_targets : targets_.maps() ? 1 : share_.whole / kind_.outputs_per_target;
    const std::int64_t wanted = n * pixels_ * per_pixel;
    if (const auto found = static_cast<std::int64_t>(targets.values.size()); found < wanted)
      throw internal_error("TermLoss: {} target numbers for {} samples of {} each", found, n, wanted / std::max<std::int64_t>(1, n));
  }
  OutputShare share = share_;
  Span<T> slope = gradient;
  if (whole_) {
    whole_->gather(exec, n, output, whole_output_);
    output = whole_output_;
    share = {share_.whole, 0, share_.whole};
    if (gradient.data() != nullptr) slope = whole_output_;
  }
  LossChannels channels = LossChannels::of(share);
  if (several_)
    channels = {.own = term_.output[0], .y_first = term_.first, .y_stride = share.whole, .t_first = term_.first_target, .t_stride = term_.joined_targets};
  else if (targets_.maps())
    channels.t_stride = 1, channels.t_first = 0;
  else if (kind_.outputs_per_target > 1)
    channels.t_stride = share.whole / kind_.outputs_per_target;
  LossPass<T> pass{.exec = exec,
                   .n = n,
                   .pixels = pixels_,
                   .channels = channels,
                   .y = output,
                   .targets = targets,
                   .factor = factor,
                   .dy = slope,
                   .partial = partial_,
                   .sums = value_,
                   .ignored = ignored_,
                   .class_weights = class_weights_,
                   .class_weight_sum = class_weight_sum_,
                   .rows = {rows_, width_, std::max<std::int64_t>(1, static_cast<std::int64_t>(rows_.size()))}};
  if (loss_->statistics() > 0) sum_statistics(pass);
  loss_->apply(pass);
  if (!counts_) Kokkos::deep_copy(exec, value_, 0.0);
  if (whole_ && gradient.data() != nullptr) whole_->slice(exec, n, whole_output_, gradient);
}

template <class T>
std::string TermLoss<T>::domain_fault(double loss) const {
  if (targets_.type != LossKind::Targets::binary || !std::isinf(loss)) return {};
  if (loss > 0) return kind_.output_domain;
  return fmt::format(
      "loss.kind = {} needs targets in [0, 1], and a target is outside. Hint: with data.target = features, set data.scale, data.mean and "
      "data.std so that features are in [0, 1]; with labels, store values in [0, 1]; or set loss.kind = mse",
      kind_.name);
}

template <class T>
std::vector<Traffic> term_traffic(const Deck& deck, const Network<T>& network) {
  const Join how = join(deck, network);
  if (how == Join::none) return {};
  const std::int64_t others = network.place().shape.tensor - 1;
  if (how == Join::gather) return {{"tensor", others, others * share_of_output(network).own * local_pixels(network)}};
  return {{"tensor", others, others * class_statistics * static_cast<std::int64_t>(sizeof(double) / sizeof(T))}};
}

template <class T>
std::int64_t term_message_elements(const Deck& deck, const Network<T>& network) {
  if (network.output_cuts().empty()) return 0;
  const OutputShare share = share_of_output(network);
  const std::int64_t outputs = network.local_output().size() / share.own * (on_host ? share.whole : share.whole + share.own);
  switch (join(deck, network)) {
    case Join::none:
      return outputs;
    case Join::gather:  // messages of the loss and of an evaluation, and the gathered outputs
      return 2 * outputs + network.local_output().size() / share.own * share.whole;
    case Join::statistics:
      break;
  }
  const std::int64_t ranks = network.place().shape.tensor, doubles = (on_host ? ranks : ranks + 1) * class_statistics;
  return outputs + doubles * static_cast<std::int64_t>(sizeof(double) / sizeof(T));
}

#define TRIREME_INSTANTIATE(T)                                                \
  template class TermLoss<T>;                                                 \
  template std::vector<Traffic> term_traffic(const Deck&, const Network<T>&); \
  template std::int64_t term_message_elements(const Deck&, const Network<T>&);
TRIREME_INSTANTIATE(float)
TRIREME_INSTANTIATE(double)
#undef TRIREME_INSTANTIATE

}  // namespace trireme
