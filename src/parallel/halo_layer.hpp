// A layer with a window (convolution, pooling, upsampling) and its halo exchange.
//
// Memory: owned pixels and received strips are never copied into one array of all samples. The layer runs on a few samples at a time (chunks); each chunk
// with its halo is assembled in scratch memory. If backward reads the input, the strips are kept and the chunks are assembled again.
//
// Time: forward has two methods to overlap computation with the halo exchange.
//  - Interior first (halo_overlap.hpp): computes the outputs of a sample that need no halo during the exchange, and the border afterwards. It is used for
//    samples that are computed one at a time anyway (passes of one sample, or large samples), if at least half of the outputs need no halo and if the
//    parameters are few or have at least 1024 multiply-adds each per border slab, because each slab packs the parameters again.
//  - Half-batch overlap, otherwise: messages contain half of the samples; the first half is computed during the exchange of the second half. The exchange of
//    the first half is exposed.
// Backward sends halo gradients while the parameter gradients are computed, if the layer has the capability SplitBackward.
#pragma once

#include <memory>

#include "parallel/halo_overlap.hpp"

namespace trireme {

template <class T>
class HaloLayer final : public Layer<T>, public FusesEpilogue, public Communicates {
 public:
  /// The layer of `window` takes the boxes of the move. Its only state is a fixed number of bytes per element of its output, in the order of the elements.
  /// `samples`: maximum per pass.
  HaloLayer(const WindowParts<T>& window, const BoxMove& move, const Shape& had, const Communicator* comm, int rank, std::int64_t samples);
  void bind(const typename Layer<T>::Memory& memory) override;
  void lend_state(Span<std::uint8_t> state) override { this->memory_.state = state; }
  void plan_for(std::int64_t samples, ComputeType operands) override;
  Fusion fuse(const Epilogue& epilogue) override;
  void forward(const Pass& pass, std::span<const Span<const T>> inputs, Span<T> output) override;
  void backward(const Pass& pass, std::span<const Span<const T>> inputs, Span<const T> output, Span<const T> dy, std::span<const Span<T>> dx) override;
  std::vector<Traffic> traffic(bool backward) const override;
  std::int64_t message_elements() const override { return halves_[0]->message_elements(); }
  /// Whether a forward pass of this many samples computes the interior first.
  bool interior_first(std::int64_t samples) const { return !pieces_.empty() && (samples == 1 || chunk_ == 1); }

 private:
  /// Some samples of a half; `at`: position of the first one in the pass.
  struct Chunk {
    std::int64_t n, first, count, at;  // n: samples in the half
  };
  template <class F>
  void for_chunks(std::int64_t samples, int half, const F& f) const;
  void refresh();
  bool keeps() const { return inner_->needs().input_in_backward; }
  std::int64_t kept_bytes() const;  // strips of all samples
  /// Strips of a half, kept from forward to backward.
  Span<T> kept(const Chunk& chunk) const;
  Span<std::uint8_t> state_of(const Chunk& chunk) const;
  void poll();
  /// Scratch memory of a chunk with its halo, or of its gradient; the same memory if the two are not needed at the same time.
  Span<T> scratch(int number) const;
  /// Binds the inner layer to the state of these samples.
  void lend_to_inner(const Chunk& chunk);
  Span<const T> with_halo(const Pass& pass, int half, const Chunk& chunk, Span<const T> x, bool from_kept) const;

  std::unique_ptr<Layer<T>> inner_;
  FusesEpilogue* fuses_;  // capabilities of the inner layer; null: it lacks the capability
  SplitBackward<T>* split_;
  std::unique_ptr<HaloExchange<T>> halves_[2];
  HaloOverlap<T> pieces_;
  Epilogue tail_;
  ComputeType operands_ = ComputeType::full;
  std::int64_t samples_, chunk_, had_elements_, around_elements_, output_elements_ = 0, inner_workspace_ = 0;
};

}  // namespace trireme
