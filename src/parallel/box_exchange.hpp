// The move of pixels between ranks of the spatial axis: each rank has a box of every sample and needs another one. Halos of any width are boxes a little
// larger than what is had; the whole sample is the box of a layer whose pixels cannot be split; a part of what every rank has needs no message.
//
// Forward fills the box that is needed. Backward is the adjoint: gradients of pixels that several ranks had are summed where the pixel is, so
// that gradients of split values are complete. Where every rank has the whole, a rank's gradient is its part of the sum.
#pragma once

#include <vector>

#include "base/box.hpp"
#include "comm/communicator.hpp"
#include "kokkos_kernels/boxes.hpp"
#include "layers/layer.hpp"

namespace trireme {

/// Who has which box, and needs which, by the rank on the spatial axis.
struct BoxMove {
  std::vector<Box> had, needed;
  bool everywhere = false;  // every rank has the whole sample: nothing travels

  bool operator==(const BoxMove&) const = default;
  bool is_empty(int rank) const { return had[static_cast<std::size_t>(rank)] == needed[static_cast<std::size_t>(rank)]; }
};

/// The copy of the pixels of `region` between arrays of these boxes.
BoxCopy copy_between(const Box& region, const Box& from, const Box& to, std::int64_t channels);

template <class T>
class BoxExchange final : public Layer<T> {
 public:
  /// `comm`: the spatial axis; null in a plan without ranks, where `rank` says which place is meant. At most `samples` a pass.
  BoxExchange(const BoxMove& move, const Shape& had, const Communicator* comm, int rank, std::int64_t samples);

  void forward(const Pass& pass, std::span<const Span<const T>> inputs, Span<T> output) override;
  void backward(const Pass& pass, std::span<const Span<const T>> inputs, Span<const T> output, Span<const T> dy,
                std::span<const Span<T>> dx) override;
  std::vector<Traffic> traffic(bool backward) const override;
  std::int64_t message_elements() const override { return sent_elements() + received_elements(); }

  // Forward and backward in parts: what is launched in between runs while messages travel, and what is needed is made for some samples at a time, so
  // that it need not lie whole beside what is had. `n` is the samples of the pass, [first, first + count) are those that are meant.
  void begin_forward(const Pass& pass, Span<const T> x);
  /// Afterwards received() holds n times received_elements(), until the next pass begins.
  void finish_forward();
  Span<const T> received(std::int64_t n) const { return Span<const T>(receive_buffer_.data(), static_cast<std::size_t>(n * received_elements())); }
  /// Messages under way move only when MPI is asked for them.
  void poll();
  /// Makes a box, within what is needed, of these samples from what is had and what was received of all n.
  void assemble(const Execution& exec, std::int64_t n, std::int64_t first, std::int64_t count, Span<const T> x, Span<const T> received, const Box& box,
                Span<T> to) const;
  const Box& had() const { return had_; }
  const Box& needed() const { return needed_; }
  /// Takes the gradient of what is needed of these samples apart: into dx of all n, and into the messages that begin_backward() sends.
  void take_apart(const Execution& exec, std::int64_t n, std::int64_t first, std::int64_t count, Span<const T> needed_gradient, Span<T> dx) const;
  void begin_backward(const Pass& pass);
  void finish_backward(const Pass& pass, Span<T> dx);

  std::int64_t sent_elements() const { return sent_; }  // forward, a sample
  std::int64_t received_elements() const { return received_; }

 private:
  struct Message {
    int peer;
    Box box;               // pixels that travel
    BoxCopy copy;          // forward: from the array into the message that is sent, or out of the one that is received
    std::int64_t offset;   // in the buffer, elements a sample
  };
  void exchange(const Pass& pass, const std::vector<Message>& in, const HostBuffer<T>& in_buffer, const std::vector<Message>& out,
                const HostBuffer<T>& out_buffer);
  void wait();

  const Communicator* comm_;
  Box had_, needed_;                     // this rank's
  std::int64_t channels_;
  bool covers_;                          // what is needed holds all that is had
  bool has_own_ = false;
  std::int64_t had_elements_, sent_ = 0, received_ = 0;
  BoxCopy own_;                          // from what is had to what is needed
  std::vector<Message> sends_, receives_;
  HostBuffer<T> send_buffer_, receive_buffer_;
  std::vector<Request> requests_;
};

}  // namespace trireme
