// Registers of the host's SIMD unit through the vector extensions of GCC and Clang: one name for AVX2, AVX-512, NEON, VSX.
#pragma once

#include <cstring>

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

}  // namespace trireme::detail
