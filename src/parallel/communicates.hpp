// The capability of layers that exchange messages with other ranks (see layers/capabilities.hpp), and the number of elements that they send.
#pragma once

#include <cstdint>
#include <vector>

namespace trireme {

/// Messages that one rank sends in a pass, along one axis of the process grid.
struct Traffic {
  const char* axis;
  std::int64_t messages;
  std::int64_t elements;  // per sample; an all-reduce of n elements over p ranks counts as 2 n (p - 1) / p, as in bandwidth-optimal algorithms
};

class Communicates {
 public:
  virtual ~Communicates() = default;
  virtual std::vector<Traffic> traffic(bool backward) const = 0;
  /// Elements per sample in message buffers.
  virtual std::int64_t message_elements() const { return 0; }
};

/// A layer at the border of a pipeline stage. It has no input or no output.
class StageLink : public Communicates {
 public:
  /// Whether the gradient of the value crosses the border in backward.
  virtual bool has_gradient() const = 0;
};

}  // namespace trireme
