// A small list of extents: the shape of one sample or of a parameter. Never allocates.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>

namespace trireme {

class Shape {
 public:
  static constexpr int max_rank = 8;

  Shape() = default;
  Shape(std::initializer_list<std::int64_t> extents);
  explicit Shape(std::span<const std::int64_t> extents);

  /// Parses "1x28x28" or "784". Throws a usage error that names `what` when the text is not a shape of positive extents.
  static Shape parse(const std::string& text, const std::string& what);

  int rank() const { return rank_; }
  std::int64_t operator[](int i) const { return extents_[static_cast<std::size_t>(i)]; }
  std::int64_t& operator[](int i) { return extents_[static_cast<std::size_t>(i)]; }
  /// Product of the extents; 1 for rank 0.
  std::int64_t size() const;
  /// The shape without its first `n` extents.
  Shape without_first(int n = 1) const;
  Shape with_first(std::int64_t extent) const;
  std::span<const std::int64_t> span() const { return {extents_.data(), static_cast<std::size_t>(rank_)}; }
  bool operator==(const Shape& other) const;

  /// "1x28x28"
  std::string text() const;
  /// "(1, 28, 28)"
  std::string tuple() const;

 private:
  std::array<std::int64_t, max_rank> extents_{};
  int rank_ = 0;
};

}  // namespace trireme
