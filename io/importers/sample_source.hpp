// What every importer is: a list of train and of test samples, streamed in order.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/shape.hpp"
#include "io/shard.hpp"

namespace trireme {

enum class Part : std::uint8_t { train, test };
inline constexpr std::array<Part, 2> all_parts{Part::train, Part::test};

/// One value for each part.
template <class T>
class PerPart {
 public:
  PerPart() = default;
  PerPart(T train, T test) : values_{std::move(train), std::move(test)} {}
  T& operator[](Part part) { return values_[static_cast<std::size_t>(part)]; }
  const T& operator[](Part part) const { return values_[static_cast<std::size_t>(part)]; }

 private:
  std::array<T, 2> values_{};
};

/// Samples [first, end) of a part.
struct SampleRange {
  std::int64_t first = 0;
  std::int64_t end = 0;
};

/// How one sample and its label are handed over: row-major, native byte order.
struct SampleLayout {
  Shape sample;
  ElementType feature_type = ElementType::u8;
  Shape label;  // rank 0: one number a sample
  ElementType label_type = ElementType::i64;

  std::size_t feature_bytes() const { return static_cast<std::size_t>(sample.size()) * size_of(feature_type); }
  std::size_t label_bytes() const { return static_cast<std::size_t>(label.size()) * size_of(label_type); }
};

/// Numbers that belong to a data set as a whole, as the mean that was taken from it.
struct SourceAttribute {
  bool of_labels = false;  // else of the features
  std::string name;
  std::vector<double> values;
};

/// Takes the next `count` samples of `part`. The spans are valid during the call only.
using SampleSink = std::function<void(Part part, std::int64_t count, std::span<const std::byte> features,
                                      std::span<const std::byte> labels)>;

class SampleSource {
 public:
  virtual ~SampleSource() = default;
  virtual const SampleLayout& layout() const = 0;
  virtual std::int64_t count(Part part) const = 0;
  virtual std::vector<SourceAttribute> attributes() const { return {}; }
  /// Hands the wanted samples to `sink`, ascending within each part (parts may interleave), holding a block of them at
  /// a time. What is checked only by reading is checked here. Throws a data error that names the file. Not collective.
  virtual void stream(const PerPart<SampleRange>& wanted, const SampleSink& sink) const = 0;
};

}  // namespace trireme
