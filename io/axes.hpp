// The order of a sample's axes in a file, if it differs from the model's order (channel, z, y, x).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/shape.hpp"

namespace trireme {

class AxisOrder {
 public:
  /// The model's order.
  AxisOrder() = default;
  /// Parses "y, x, channel": the stored axes, the slowest first; `sample` may be the first one. lat means y, lon means x. Usage errors name `key`.
  static AxisOrder parse(const std::string& text, const std::string& key);

  bool given() const { return !axes_.empty(); }
  /// Number of axes of a sample.
  int count() const { return static_cast<int>(axes_.size()); }
  /// Whether the list contains `sample`: then files hold rows of samples, never one sample each.
  bool names_rows() const { return names_rows_; }

  /// Converts the extents of a stored sample to the model's order: channel, z, y, x, without axes that are not stored. Without a given order nothing
  /// changes.
  Shape in_model_order(const Shape& stored) const;
  /// The inverse of in_model_order().
  Shape as_stored(const Shape& ordered) const;
  /// For each stored axis its index in a model shape (channel, extents...) of rank `model_rank`; -1 if the model has no such axis.
  std::vector<int> places(int model_rank) const;
  /// The permutation of in_model_order(): its k-th axis is stored axis order()[k].
  std::vector<int> order() const;
  /// "y, x, channel"
  const std::string& text() const { return text_; }

 private:
  std::string text_;
  std::vector<int> axes_;  // of each stored axis: 0 channel, 1 z, 2 y, 3 x
  bool names_rows_ = false;
};

Shape without_ones(const Shape& shape);
/// Whether numbers in the order of one shape have the same meaning in the other: the shapes differ only by extents of 1, or one of them is flat, or
/// leading stored extents are merged into the channels.
bool same_order(const Shape& stored, const Shape& wanted);
/// The value of data.axes with which stored samples of shape `stored` have the shape `wanted`; empty if there is none.
std::string axes_for(const Shape& stored, const Shape& wanted);

}  // namespace trireme
