// Reads tests/reference/*.h5, what PyTorch computed; see the README beside them.
#pragma once

#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "io/h5.hpp"

namespace trireme::test {

/// One case of the file: an open group.
class ReferenceCase {
 public:
  ReferenceCase(hid_t parent, const std::string& name) : name_(name), group_(TRIREME_H5(H5Gopen2(parent, name.c_str(), H5P_DEFAULT), name)) {}

  const std::string& name() const { return name_; }
  bool has(const std::string& name) const { return TRIREME_H5(H5Lexists(group_, name.c_str(), H5P_DEFAULT), name) > 0; }
  /// All elements of a data set in their order; integers as numbers.
  std::vector<double> numbers(const std::string& name) const {
    const h5::Dataset data(TRIREME_H5(H5Dopen2(group_, name.c_str(), H5P_DEFAULT), name_ + "/" + name));
    const h5::Space space(TRIREME_H5(H5Dget_space(data), name));
    std::vector<double> values(static_cast<std::size_t>(TRIREME_H5(H5Sget_simple_extent_npoints(space), name)));
    TRIREME_H5(H5Dread(data, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()), name_ + "/" + name);
    return values;
  }
  template <class T>
  std::vector<T> numbers_as(const std::string& name) const {
    const auto values = numbers(name);
    return {values.begin(), values.end()};
  }
  std::vector<std::int64_t> extents(const std::string& name) const {
    return h5::extents(h5::Dataset(TRIREME_H5(H5Dopen2(group_, name.c_str(), H5P_DEFAULT), name)), name);
  }
  std::string text(const std::string& name) const {
    const h5::Attribute attribute(TRIREME_H5(H5Aopen(group_, name.c_str(), H5P_DEFAULT), name_ + "@" + name));
    const h5::Type type(TRIREME_H5(H5Aget_type(attribute), name));
    std::string value(H5Tget_size(type), '\0');
    TRIREME_H5(H5Aread(attribute, type, value.data()), name_ + "@" + name);
    return value.substr(0, value.find('\0'));
  }
  double number(const std::string& name) const {
    const h5::Attribute attribute(TRIREME_H5(H5Aopen(group_, name.c_str(), H5P_DEFAULT), name_ + "@" + name));
    double value = 0;
    TRIREME_H5(H5Aread(attribute, H5T_NATIVE_DOUBLE, &value), name_ + "@" + name);
    return value;
  }

 private:
  std::string name_;
  h5::Group group_;
};

/// Calls `visit` for every case of a group ("layers") of a file; returns how many there were. Throws when the file is not there.
inline int for_reference_cases(const std::string& group, const std::function<void(const ReferenceCase&)>& visit, const std::string& file_name = "layers.h5") {
  h5::quiet();
  const char* moved = std::getenv("TRIREME_SOURCE_DIR");  // where the tests run on another machine than they were built on
  const h5::File file =
      h5::open_file(std::string(moved != nullptr ? moved : TRIREME_SOURCE_DIR) + "/tests/reference/" + file_name, "reference", ExitCode::data);
  const h5::Group parent(TRIREME_H5(H5Gopen2(file, group.c_str(), H5P_DEFAULT), group));
  int count = 0;
  for (;; ++count) {
    std::string name = std::to_string(count);
    name.insert(0, 3 - name.size(), '0');
    if (TRIREME_H5(H5Lexists(parent, name.c_str(), H5P_DEFAULT), name) == 0) return count;
    visit(ReferenceCase(parent, name));
  }
}

}  // namespace trireme::test
