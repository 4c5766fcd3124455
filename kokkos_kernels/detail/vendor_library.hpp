// A vendor's shared library that is loaded while the program runs, and its functions. It stays loaded.
#pragma once

#include <dlfcn.h>

#include <string>

// A member `name` of a struct that has a VendorLibrary `library`: the function of that name, typed as its header declares it.
#define TRIREME_SYMBOL(name) decltype(&::name) name = library.symbol<decltype(&::name)>(#name)
#define TRIREME_TEXT(text) #text
#define TRIREME_TEXT_OF(macro) TRIREME_TEXT(macro)

namespace trireme::detail {

class VendorLibrary {
 public:
  /// Looks where the loader looks, then in the toolkit that the program was built with.
  explicit VendorLibrary(const char* name) : handle_(dlopen(name, RTLD_NOW | RTLD_LOCAL)) {
#if defined(TRIREME_CUDA_LIBRARIES)
    if (handle_ == nullptr) handle_ = dlopen((std::string(TRIREME_CUDA_LIBRARIES "/") + name).c_str(), RTLD_NOW | RTLD_LOCAL);
#endif
  }

  /// Whether the library was found, and all symbols that were asked for.
  bool complete() const { return handle_ != nullptr && !lacks_; }

  template <class Function>
  Function symbol(const char* name) {
    void* const found = handle_ != nullptr ? dlsym(handle_, name) : nullptr;
    lacks_ = lacks_ || found == nullptr;
    return reinterpret_cast<Function>(found);
  }

 private:
  void* handle_;
  bool lacks_ = false;
};

}  // namespace trireme::detail
