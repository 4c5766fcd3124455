// Data sets of any type and layout, written with HDF5 directly: what users bring, not what our writer makes.
#pragma once

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/random.hpp"
#include "io/h5.hpp"
#include "io/shard.hpp"
#include "support/errors.hpp"

namespace trireme::test {

struct Layout {
  std::vector<hsize_t> chunk;  // empty: contiguous
  int gzip = 0;
  bool shuffle = false, checksum = false;
  bool unwritten = false;  // no space in the file until something is written
};

inline h5::File new_file(const std::filesystem::path& path) {
  h5::quiet();
  return h5::File(TRIREME_H5(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT), path.string()));
}

inline h5::Dataset add_data_set(hid_t file, const std::string& name, hid_t type, const std::vector<hsize_t>& extents, const Layout& layout = {}) {
  const h5::Space space(TRIREME_H5(H5Screate_simple(static_cast<int>(extents.size()), extents.data(), nullptr), name));
  const h5::Properties creation(TRIREME_H5(H5Pcreate(H5P_DATASET_CREATE), name));
  if (!layout.chunk.empty()) {
    TRIREME_H5(H5Pset_chunk(creation, static_cast<int>(layout.chunk.size()), layout.chunk.data()), name);
    if (layout.shuffle) TRIREME_H5(H5Pset_shuffle(creation), name);
    if (layout.gzip > 0) TRIREME_H5(H5Pset_deflate(creation, static_cast<unsigned>(layout.gzip)), name);
    if (layout.checksum) TRIREME_H5(H5Pset_fletcher32(creation), name);
  }
  if (layout.chunk.empty() && !layout.unwritten) TRIREME_H5(H5Pset_alloc_time(creation, H5D_ALLOC_TIME_EARLY), name);
  const h5::Properties link(TRIREME_H5(H5Pcreate(H5P_LINK_CREATE), name));
  TRIREME_H5(H5Pset_create_intermediate_group(link, 1), name);
  return h5::Dataset(TRIREME_H5(H5Dcreate2(file, name.c_str(), type, space, link, creation, H5P_DEFAULT), name));
}

inline void add_values(hid_t file, const std::string& name, hid_t type, const std::vector<hsize_t>& extents, const std::vector<double>& values,
                       const Layout& layout = {}) {
  const h5::Dataset dataset = add_data_set(file, name, type, extents, layout);
  const H5T_class_t kind = H5Tget_class(type);
  if (values.empty()) return;
  if (kind == H5T_ENUM || kind == H5T_BITFIELD) {  // HDF5 does not convert numbers to these
    const std::vector<std::uint8_t> bytes(values.begin(), values.end());
    TRIREME_H5(H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, bytes.data()), name);
  } else {
    TRIREME_H5(H5Dwrite(dataset, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()), name);
  }
}

inline std::size_t product(const std::vector<hsize_t>& extents) {
  std::size_t n = 1;
  for (const hsize_t e : extents) n *= e;
  return n;
}

/// Whole numbers that every type holds exactly.
inline std::vector<double> random_values(RandomStream& random, std::size_t n, bool is_signed = false) {
  std::vector<double> values(n);
  for (double& v : values) v = static_cast<double>(random.below(101)) * (is_signed && random.below(2) == 1 ? -1 : 1);
  return values;
}

inline std::vector<double> to_doubles(const std::vector<std::byte>& bytes, ElementType type) {
  std::vector<double> values(bytes.size() / size_of(type));
  const auto convert = [&]<class T>(T) {
    const T* const at = reinterpret_cast<const T*>(bytes.data());
    std::copy(at, at + values.size(), values.begin());
  };
  switch (type) {
    case ElementType::u8:
      convert(std::uint8_t{});
      break;
    case ElementType::i8:
      convert(std::int8_t{});
      break;
    case ElementType::u16:
      convert(std::uint16_t{});
      break;
    case ElementType::i16:
      convert(std::int16_t{});
      break;
    case ElementType::u32:
      convert(std::uint32_t{});
      break;
    case ElementType::i32:
      convert(std::int32_t{});
      break;
    case ElementType::u64:
      convert(std::uint64_t{});
      break;
    case ElementType::i64:
      convert(std::int64_t{});
      break;
    case ElementType::f32:
      convert(float{});
      break;
    case ElementType::f64:
      convert(double{});
      break;
  }
  return values;
}

inline std::string bytes_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline void write_bytes(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

/// While it lives, this process is not root, whom no permission stops.
class NotRoot {
 public:
  NotRoot() : was_root_(geteuid() == 0) {
    if (was_root_) is_ = seteuid(65534) == 0;
  }
  ~NotRoot() {
    if (was_root_ && is_ && seteuid(0) != 0) std::abort();
  }
  NotRoot(const NotRoot&) = delete;
  NotRoot& operator=(const NotRoot&) = delete;
  explicit operator bool() const { return is_; }

 private:
  bool was_root_, is_ = true;
};

/// While it lives, nobody may enter or list the folder.
class Denied {
 public:
  explicit Denied(const std::filesystem::path& path) : path_(path), before_(std::filesystem::status(path).permissions()) {
    std::filesystem::permissions(path, std::filesystem::perms::none);
  }
  ~Denied() { std::filesystem::permissions(path_, before_); }
  Denied(const Denied&) = delete;
  Denied& operator=(const Denied&) = delete;

 private:
  std::filesystem::path path_;
  std::filesystem::perms before_;
};

/// While it lives, no file of this process can grow beyond `bytes`: a disk that is full, without needing one.
class FullDisk {
 public:
  explicit FullDisk(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    getrlimit(RLIMIT_FSIZE, &before_);
    rlimit now = before_;
    now.rlim_cur = bytes;
    BOOST_REQUIRE(setrlimit(RLIMIT_FSIZE, &now) == 0);
  }
  ~FullDisk() {
    setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }
  FullDisk(const FullDisk&) = delete;
  FullDisk& operator=(const FullDisk&) = delete;

 private:
  rlimit before_{};
  void (*handler_)(int);
};

/// Names in a folder, hidden ones too.
inline std::vector<std::string> names_in(const std::filesystem::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) names.push_back(entry.path().filename().string());
  std::ranges::sort(names);
  return names;
}

}  // namespace trireme::test
