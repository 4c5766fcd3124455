// Dispatch from an ElementType to the C++ type.
#pragma once

#include "base/error.hpp"
#include "io/shard.hpp"

namespace trireme {

/// Calls `f` with a value of the C++ type of `type`.
template <class F>
auto with_type(ElementType type, F&& f) {
  switch (type) {
    case ElementType::u8:
      return f(std::uint8_t{});
    case ElementType::i8:
      return f(std::int8_t{});
    case ElementType::u16:
      return f(std::uint16_t{});
    case ElementType::i16:
      return f(std::int16_t{});
    case ElementType::u32:
      return f(std::uint32_t{});
    case ElementType::i32:
      return f(std::int32_t{});
    case ElementType::u64:
      return f(std::uint64_t{});
    case ElementType::i64:
      return f(std::int64_t{});
    case ElementType::f32:
      return f(float{});
    case ElementType::f64:
      return f(double{});
  }
  throw internal_error("{} is not an element type", static_cast<int>(type));
}

}  // namespace trireme
