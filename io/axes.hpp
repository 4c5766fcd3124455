// The order of a sample's axes in a file, where it is not the model's (channel, z, y, x).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/shape.hpp"

namespace trireme {

class AxisOrder {
 public:
  /// As the model has them.
  AxisOrder() = default;
  /// "y, x, channel": the stored axes, the slowest first; `sample` may stand before them. lat is y, lon is x. Usage errors name `key`.
  static AxisOrder parse(const std::string& text, const std::string& key);

  bool given() const { return !axes_.empty(); }
  /// Axes of a sample.
  int count() const { return static_cast<int>(axes_.size()); }
  /// Whether `sample` was among them: then files hold rows of samples, never one sample each.
  bool names_rows() const { return names_rows_; }

  /// The extents of a stored sample in the model's order: channel, z, y, x, without those that are not stored. Nothing is moved where no order was given.
  Shape in_model_order(const Shape& stored) const;
  /// The inverse.
  Shape as_stored(const Shape& ordered) const;
  /// Of each stored axis its place in a shape of the model, (channel, extents...), of this rank; -1 where the model has no such axis.
  std::vector<int> places(int model_rank) const;
  /// The stored axes in the model's order: the k-th axis of in_model_order() is stored axis order()[k].
  std::vector<int> order() const;
  /// "y, x, channel"
  const std::string& text() const { return text_; }

 private:
  std::string text_;
  std::vector<int> axes_;  // of each stored axis: 0 channel, 1 z, 2 y, 3 x
  bool names_rows_ = false;
};

Shape without_ones(const Shape& shape);
/// Whether numbers of one shape, in their order, mean the same under the other: shapes that differ by extents of 1 only, or of which one is flat, or where
/// leading stored extents are joined into the channels.
bool same_order(const Shape& stored, const Shape& wanted);
/// What data.axes must say so that samples that are stored in this shape have the wanted one; empty where no order of axes gives it.
std::string axes_for(const Shape& stored, const Shape& wanted);

}  // namespace trireme
