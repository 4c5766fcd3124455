// Makes an object in single or in double precision.
#pragma once

#include <functional>
#include <memory>
#include <type_traits>

namespace trireme {

/// Of a class template `Interface<T>`: how an implementation of it is made from `Arguments`, for T = float and T = double. Entries of registries hold one.
template <template <class> class Interface, class... Arguments>
class Maker {
 public:
  Maker() = default;

  /// From a function object with a template parameter for the type of numbers: []<class T>(Arguments...) returns a pointer to an implementation for T.
  template <class Make>
  requires(!std::is_same_v<std::remove_cvref_t<Make>, Maker>) Maker(const Make& make) : single_(of_type<float>(make)), double_(of_type<double>(make)) {}

  /// Makes `Implementation<T>`, whose constructor takes `Arguments`.
  template <template <class> class Implementation>
  static Maker of() {
    return []<class T>(Arguments... arguments) { return std::make_unique<Implementation<T>>(arguments...); };
  }

  template <class T>
  std::unique_ptr<Interface<T>> make(Arguments... arguments) const {
    if constexpr (std::is_same_v<T, float>)
      return single_(arguments...);
    else
      return double_(arguments...);
  }

 private:
  template <class T>
  using Function = std::function<std::unique_ptr<Interface<T>>(Arguments...)>;
  template <class T, class Make>
  static Function<T> of_type(const Make& make) {
    return [make](Arguments... arguments) -> std::unique_ptr<Interface<T>> { return make.template operator()<T>(arguments...); };
  }

  Function<float> single_;
  Function<double> double_;
};

}  // namespace trireme
