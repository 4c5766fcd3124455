#include "io/axes.hpp"

#include <algorithm>
#include <array>
#include <numeric>

#include "base/error.hpp"
#include "base/text.hpp"

namespace trireme {

namespace {

constexpr std::array<std::string_view, 4> names{"channel", "z", "y", "x"};

/// 0 to 3, or -1.
int axis_named(std::string_view name) {
  if (name == "lat") return 2;
  if (name == "lon") return 3;
  const auto at = std::ranges::find(names, name);
  return at == names.end() ? -1 : static_cast<int>(at - names.begin());
}

/// For each axis of a model shape, its index in `names`.
std::vector<int> axes_of(const Shape& model) {
  std::vector<int> axes{0};
  for (int d = 1; d < model.rank(); ++d) axes.push_back(4 - model.rank() + d);
  return axes;
}

}  // namespace

AxisOrder AxisOrder::parse(const std::string& text, const std::string& key) {
  AxisOrder order;
  std::vector<std::string> words = split(text, ',');
  if (!words.empty() && words.front() == "sample") {
    order.names_rows_ = true;
    words.erase(words.begin());
  }
  for (const std::string& word : words) {
    const int axis = axis_named(word);
    if (axis < 0)
      throw usage_error(
          "{} = {}: '{}' is not an axis. Expected the axes in the file's order, separated by commas: sample (only first), channel, z, y (or lat), x (or lon). "
          "Example: y, x, channel is channels last",
          key, text, word);
    if (std::ranges::find(order.axes_, axis) != order.axes_.end()) throw usage_error("{} = {}: '{}' repeats an axis", key, text, word);
    order.axes_.push_back(axis);
    order.text_ += (order.text_.empty() ? "" : ", ") + word;
  }
  if (order.names_rows_ && words.empty()) throw usage_error("{} = {} has no axis of a sample. Example: y, x, channel", key, text);
  return order;
}

std::vector<int> AxisOrder::order() const {
  std::vector<int> stored(axes_.size());
  std::iota(stored.begin(), stored.end(), 0);
  std::ranges::sort(stored, {}, [&](int k) { return axes_[static_cast<std::size_t>(k)]; });
  return stored;
}

Shape AxisOrder::in_model_order(const Shape& stored) const {
  if (!given() || stored.rank() != count()) return stored;
  std::vector<std::int64_t> ordered;
  for (const int k : order()) ordered.push_back(stored[k]);
  return Shape(std::span<const std::int64_t>(ordered));
}

Shape AxisOrder::as_stored(const Shape& ordered) const {
  if (!given() || ordered.rank() != count()) return ordered;
  Shape stored = ordered;
  int at = 0;
  for (const int k : order()) stored[k] = ordered[at++];
  return stored;
}

std::vector<int> AxisOrder::places(int model_rank) const {
  std::vector<int> found;
  for (const int axis : axes_) found.push_back(axis == 0 ? 0 : std::max(model_rank - 4 + axis, 0) > 0 ? model_rank - 4 + axis : -1);
  return found;
}

Shape without_ones(const Shape& shape) {
  std::vector<std::int64_t> extents;
  for (const std::int64_t extent : shape.span())
    if (extent != 1) extents.push_back(extent);
  return Shape(std::span<const std::int64_t>(extents));
}

bool same_order(const Shape& stored, const Shape& wanted) {
  const Shape a = without_ones(stored), b = without_ones(wanted);
  if (a == b) return true;
  if (a.size() != b.size()) return false;
  if (a.rank() <= 1 || b.rank() <= 1) return true;
  // Leading extents, such as time, are merged into the channels; pixels are unchanged.
  const Shape pixels = without_ones(wanted.without_first());
  return a.rank() > pixels.rank() && std::ranges::equal(a.span().last(pixels.span().size()), pixels.span());
}

std::string axes_for(const Shape& stored, const Shape& wanted) {
  if (stored.size() != wanted.size() || wanted.rank() > 4 || wanted.rank() < 2) return {};
  // The model axes that a stored sample can have: all, or those with an extent other than 1.
  std::vector<int> axes, places;
  const std::vector<int> all = axes_of(wanted);
  for (int d = 0; d < wanted.rank(); ++d)
    if (stored.rank() == wanted.rank() || wanted[d] != 1) axes.push_back(all[static_cast<std::size_t>(d)]), places.push_back(d);
  if (stored.rank() != static_cast<int>(axes.size())) return {};
  // Channels last is tried first, because most files have it.
  std::vector<std::size_t> turn(axes.size());
  std::iota(turn.begin(), turn.end(), std::size_t{0});
  std::ranges::rotate(turn, turn.begin() + 1);
  for (std::size_t tries = 0, all_tries = 24; tries < all_tries; ++tries) {
    bool fits = true;
    std::string text;
    for (std::size_t k = 0; k < turn.size(); ++k) {
      fits = fits && stored[static_cast<int>(k)] == wanted[places[turn[k]]];
      text += (text.empty() ? "" : ", ") + std::string(names[static_cast<std::size_t>(axes[turn[k]])]);
    }
    if (fits) return text;
    std::ranges::next_permutation(turn);
  }
  return {};
}

}  // namespace trireme
