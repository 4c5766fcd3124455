#include "base/shape.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>

#include "base/error.hpp"

namespace trireme {

Shape::Shape(std::initializer_list<std::int64_t> extents) : Shape(std::span(extents.begin(), extents.size())) {}

Shape::Shape(std::span<const std::int64_t> extents) : rank_(static_cast<int>(extents.size())) {
  if (extents.size() > max_rank) throw usage_error("a shape has at most {} extents, found {}", max_rank, extents.size());
  std::copy(extents.begin(), extents.end(), extents_.begin());
}

Shape Shape::parse(const std::string& text, const std::string& what) {
  Shape shape;
  const char* at = text.data();
  const char* const end = at + text.size();
  while (true) {
    std::int64_t extent = 0;
    const auto [next, code] = std::from_chars(at, end, extent);
    if (shape.rank_ == max_rank) throw usage_error("{} = '{}' has more than {} extents", what, text, static_cast<int>(max_rank));
    if (code != std::errc{} || extent <= 0) throw usage_error("{} = '{}' is not a shape. Expected positive extents joined by 'x', as in 1x28x28", what, text);
    shape.extents_[static_cast<std::size_t>(shape.rank_++)] = extent;
    if (next == end) return shape;
    if (*next != 'x') throw usage_error("{} = '{}' is not a shape. Expected positive extents joined by 'x', as in 1x28x28", what, text);
    at = next + 1;
  }
}

std::int64_t Shape::size() const {
  if (std::ranges::find(span(), 0) != span().end()) return 0;
  std::int64_t product = 1;
  for (int i = 0; i < rank_; ++i)
    if (__builtin_mul_overflow(product, (*this)[i], &product)) throw usage_error("a shape of {} has more elements than fit in 64 bits", text());
  return product;
}

Shape Shape::without_first(int n) const { return Shape(span().subspan(static_cast<std::size_t>(n))); }

Shape Shape::with_first(std::int64_t extent) const {
  Shape shape;
  shape.rank_ = rank_ + 1;
  shape[0] = extent;
  for (int i = 0; i < rank_; ++i) shape[i + 1] = (*this)[i];
  return shape;
}

bool Shape::operator==(const Shape& other) const { return std::ranges::equal(span(), other.span()); }

std::string Shape::text() const { return fmt::format("{}", fmt::join(span(), "x")); }
std::string Shape::tuple() const { return fmt::format("({})", fmt::join(span(), ", ")); }

}  // namespace trireme
