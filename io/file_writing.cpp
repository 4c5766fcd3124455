#include "io/detail/file_writing.hpp"

#include <fcntl.h>
#include <unistd.h>
#if __has_include(<H5FDdevelop.h>)
#include <H5FDdevelop.h>  // HDF5 1.14 moved the interface of drivers
#endif

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <system_error>

namespace trireme::detail {

namespace {

using Driver = h5::Handle<H5FDunregister>;

/// Data passed to open() in the access properties.
struct DriverInfo {
  WriteStatus* status;
};

struct OpenFile {
  H5FD_t base;  // must be first: HDF5 sees only this
  int descriptor;
  haddr_t allocated, end;
  WriteStatus* status;
};

OpenFile& self(H5FD_t* file) { return *reinterpret_cast<OpenFile*>(file); }
const OpenFile& self(const H5FD_t* file) { return *reinterpret_cast<const OpenFile*>(file); }

void note(OpenFile& file, int error) {
  if (error != 0 && file.status->error == 0) file.status->error = error;
}

H5FD_t* open_file(const char* name, unsigned, hid_t access, haddr_t) {
  const auto* const info = static_cast<const DriverInfo*>(H5Pget_driver_info(access));
  if (info == nullptr) return nullptr;
  const int descriptor = ::open(name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (descriptor < 0) {
    info->status->error = errno;
    return nullptr;
  }
  auto* const file = new OpenFile{};
  file->descriptor = descriptor;
  file->status = info->status;
  return &file->base;
}

herr_t close_file(H5FD_t* base) {
  OpenFile& file = self(base);
  if (::close(file.descriptor) != 0) note(file, errno);
  delete &file;
  return 0;
}

herr_t query(const H5FD_t*, unsigned long* flags) {
  *flags = H5FD_FEAT_AGGREGATE_METADATA | H5FD_FEAT_ACCUMULATE_METADATA | H5FD_FEAT_DATA_SIEVE | H5FD_FEAT_AGGREGATE_SMALLDATA;
  return 0;
}

haddr_t allocated(const H5FD_t* file, H5FD_mem_t) { return self(file).allocated; }

herr_t set_allocated(H5FD_t* file, H5FD_mem_t, haddr_t address) {
  self(file).allocated = address;
  return 0;
}

haddr_t end_of_file(const H5FD_t* file, H5FD_mem_t) { return self(file).end; }

herr_t read(H5FD_t* base, H5FD_mem_t, hid_t, haddr_t address, size_t size, void* buffer) {
  OpenFile& file = self(base);
  auto* at = static_cast<char*>(buffer);
  while (size > 0) {
    const ssize_t got = ::pread(file.descriptor, at, size, static_cast<off_t>(address));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return -1;
    if (got == 0) {  // beyond the end: never written
      std::memset(at, 0, size);
      return 0;
    }
    at += got, address += static_cast<haddr_t>(got), size -= static_cast<size_t>(got);
  }
  return 0;
}

herr_t write(H5FD_t* base, H5FD_mem_t, hid_t, haddr_t address, size_t size, const void* buffer) {
  OpenFile& file = self(base);
  // After the first failure the file is lost: writing more would only fill the disk.
  if (file.status->error == 0) note(file, write_fully(file.descriptor, buffer, size, static_cast<std::int64_t>(address)));
  file.end = std::max(file.end, address + size);
  return 0;
}

herr_t truncate(H5FD_t* base, hid_t, hbool_t) {
  OpenFile& file = self(base);
  if (file.end == file.allocated) return 0;
  if (file.status->error == 0 && ::ftruncate(file.descriptor, static_cast<off_t>(file.allocated)) != 0) note(file, errno);
  file.end = file.allocated;
  return 0;
}

H5FD_class_t driver_class() {
  H5FD_class_t driver{};
#if H5_VERSION_GE(1, 13, 0)
  driver.version = H5FD_CLASS_VERSION;
  driver.value = static_cast<H5FD_class_value_t>(300);  // 256 to 511 are free to use
#endif
  driver.name = "trireme";
  driver.maxaddr = static_cast<haddr_t>(std::numeric_limits<off_t>::max());
  driver.fc_degree = H5F_CLOSE_WEAK;
  driver.fapl_size = sizeof(DriverInfo);
  driver.open = open_file;
  driver.close = close_file;
  driver.query = query;
  driver.get_eoa = allocated;
  driver.set_eoa = set_allocated;
  driver.get_eof = end_of_file;
  driver.read = read;
  driver.write = write;
  driver.truncate = truncate;
  const H5FD_mem_t map[] = H5FD_FLMAP_DICHOTOMY;
  std::ranges::copy(map, driver.fl_map);
  return driver;
}

}  // namespace

void WriteStatus::check(const std::string& context, ExitCode code) const {
  if (error == 0) return;
  const char* const hint =
      error == ENOSPC || error == EDQUOT || error == EFBIG ? "free disk space, or write to another folder" : "the folder must exist and be writable";
  throw IoError(code, fmt::format("{} cannot be written: {}. Hint: {}", context, std::generic_category().message(error), hint), error);
}

h5::File create_file(const std::filesystem::path& path, WriteStatus& status, const h5::Properties& creation, const h5::Properties& access,
                     const std::string& context, ExitCode code) {
  h5::quiet();
  const H5FD_class_t description = driver_class();
  const Driver driver(TRIREME_H5_AS(code, H5FDregister(&description), context));
  const DriverInfo info{&status};
  TRIREME_H5_AS(code, H5Pset_driver(access, driver, &info), context);
  h5::File file(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, creation, access));
  status.check(context, code);
  if (!file) h5::throw_failure("H5Fcreate", context, code);
  return file;
}

int write_fully(int descriptor, const void* data, std::size_t size, std::int64_t offset) {
  const auto* at = static_cast<const char*>(data);
  while (size > 0) {
    const ssize_t put = ::pwrite(descriptor, at, size, static_cast<off_t>(offset));
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return errno;
    at += put, offset += put, size -= static_cast<std::size_t>(put);
  }
  return 0;
}

}  // namespace trireme::detail
