// Moves pixels between ranks of the spatial axis. Each rank owns one box of every sample and requires another box. A halo is a required box that is slightly
// larger than the owned one; a layer whose pixels cannot be split requires the whole sample. If every rank owns the whole sample, no message is sent.
//
// A required box may begin before pixel 0 or end after the sample, by at most the extent of the sample: then the pixels from the other end are meant (circular
// padding), so halos wrap around the grid, and a rank may be its own neighbor.
//
// Forward fills the required box. Backward is its adjoint: it sums the gradients of a pixel from all ranks that required the pixel at the rank that owns it, so
// gradients of split values are complete. If every rank owns the whole sample, the gradient on a rank is a partial sum.
#pragma once

#include <vector>

#include "base/box.hpp"
#include "comm/communicator.hpp"
#include "kokkos_kernels/boxes.hpp"
#include "layers/layer.hpp"
#include "parallel/communicates.hpp"

namespace trireme {

/// The owned and the required box of each rank of the spatial axis.
struct BoxMove {
  std::vector<Box> owned, required;
  bool everywhere = false;  // every rank owns the whole sample: no messages

  bool operator==(const BoxMove&) const = default;
  bool is_empty(int rank) const { return owned[static_cast<std::size_t>(rank)] == required[static_cast<std::size_t>(rank)]; }
};

/// The copy of the pixels of `region` between two arrays that hold the boxes `from` and `to`.
BoxCopy copy_between(const Box& region, const Box& from, const Box& to, std::int64_t channels);

template <class T>
class HaloExchange final : public Layer<T>, public Communicates {
 public:
  /// `comm`: the spatial axis; null in a plan without ranks, which uses place `rank`. `samples`: maximum per pass.
  HaloExchange(const BoxMove& move, const Shape& owned, const Communicator* comm, int rank, std::int64_t samples);

  void forward(const Pass& pass, std::span<const Span<const T>> inputs, Span<T> output) override;
  void backward(const Pass& pass, std::span<const Span<const T>> inputs, Span<const T> output, Span<const T> dy, std::span<const Span<T>> dx) override;
  std::vector<Traffic> traffic(bool backward) const override;
  std::int64_t message_elements() const override { return sent_elements() + received_elements(); }

  // Forward and backward in parts, to overlap computation with messages. Required boxes are assembled for a few samples at a time, so they need no array of
  // their own for all samples. `n`: samples of the pass; [first, first + count): the samples of this call.
  void begin_forward(const Pass& pass, Span<const T> x);
  /// Afterwards received() holds n * received_elements() elements, until the next pass begins.
  void finish_forward();
  Span<const T> received(std::int64_t n) const { return Span<const T>(receive_buffer_.data(), static_cast<std::size_t>(n * received_elements())); }
  /// Drives the progress of MPI messages in flight.
  void poll();
  /// Assembles a box, which lies within the required box, for these samples, from the owned pixels and the received pixels of all n samples.
  void assemble(const Execution& exec, std::int64_t n, std::int64_t first, std::int64_t count, Span<const T> x, Span<const T> received, const Box& box,
                Span<T> to) const;
  const Box& owned() const { return owned_; }
  const Box& required() const { return required_; }
  /// Splits the gradient of the required box for these samples: into dx of all n samples, and into the messages that begin_backward() sends.
  void take_apart(const Execution& exec, std::int64_t n, std::int64_t first, std::int64_t count, Span<const T> needed_gradient, Span<T> dx) const;
  void begin_backward(const Pass& pass);
  void finish_backward(const Pass& pass, Span<T> dx);

  std::int64_t sent_elements() const { return sent_; }  // in forward, per sample
  std::int64_t received_elements() const { return received_; }

 private:
  struct Message {
    int peer;
    Box box;              // pixels of the message, at their positions in the receiver's required box
    BoxCopy copy;         // in forward: from the array to the sent message, or from the received message to the array
    std::int64_t offset;  // in the buffer, elements per sample
  };
  void exchange(const Pass& pass, const std::vector<Message>& in, const HostBuffer<T>& in_buffer, const std::vector<Message>& out,
                const HostBuffer<T>& out_buffer);
  void wait();

  /// Owned pixels that are required; several copies if the required box wraps around the sample.
  struct OwnCopy {
    Box at;        // the owned box as moved by the wrap
    BoxCopy copy;  // from the owned box to the required box
  };

  const Communicator* comm_;
  Box owned_, required_;  // of this rank
  std::int64_t channels_;
  bool covers_;  // the required box contains the owned one where it is
  std::int64_t owned_elements_, sent_ = 0, received_ = 0;
  std::vector<OwnCopy> own_;  // first the one without a wrap
  std::vector<Message> sends_, receives_;
  HostBuffer<T> send_buffer_, receive_buffer_;
  std::vector<Request> requests_;
};

}  // namespace trireme
