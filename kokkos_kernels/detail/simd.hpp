// Registers of the host's SIMD unit through the vector extensions of GCC and Clang: one name for AVX2, AVX-512, NEON, VSX.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

namespace trireme::detail {

#if defined(__AVX512F__)
inline constexpr int simd_bytes = 64;
inline constexpr int simd_registers = 32;
#elif defined(__AVX__)
inline constexpr int simd_bytes = 32;
inline constexpr int simd_registers = 16;
#else
inline constexpr int simd_bytes = 16;
inline constexpr int simd_registers = 32;
#endif

template <class T>
struct Simd {
  using Register __attribute__((vector_size(simd_bytes))) = T;
  static constexpr int width = simd_bytes / static_cast<int>(sizeof(T));
};

template <class T>
using Register = typename Simd<T>::Register;

/// A lane mask, as comparisons of registers give it: signed integers as wide as T.
template <class T>
using Mask = decltype(Register<T>{} < Register<T>{});
template <class T>
using MaskLane = std::conditional_t<sizeof(T) == 4, std::int32_t, std::int64_t>;

template <class T>
inline Register<T> load(const T* from) {  // any alignment
  Register<T> value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

template <class T>
inline void store(T* to, const Register<T>& value) {
  std::memcpy(to, &value, sizeof value);
}

template <class T>
inline Register<T> broadcast(T value) {
  return value - Register<T>{};  // the compiler makes it one broadcast
}

/// One byte a lane, widened to the lanes of a mask.
template <class T>
inline Mask<T> load_bytes(const std::uint8_t* from) {
  using Bytes __attribute__((vector_size(Simd<T>::width))) = std::uint8_t;
  Bytes bytes;
  std::memcpy(&bytes, from, sizeof bytes);
  return __builtin_convertvector(bytes, Mask<T>);
}

template <class T>
inline void store_bytes(const Mask<T>& lanes, std::size_t count, std::uint8_t* to) {
  using Bytes __attribute__((vector_size(Simd<T>::width))) = std::uint8_t;
  const Bytes bytes = __builtin_convertvector(lanes, Bytes);
  std::memcpy(to, &bytes, count);
}

}  // namespace trireme::detail
