#include "io/detail/file_end.hpp"

#include <sys/stat.h>

namespace trireme::detail {

FileEnd::FileEnd(hid_t object, const std::string& context) : file_(TRIREME_H5(H5Iget_file_id(object), context)), path_(h5::name_of_file(file_)) {
  hsize_t bytes = 0;
  TRIREME_H5(H5Fget_filesize(file_, &bytes), context);
  bytes_ = static_cast<std::int64_t>(bytes);
  const h5::Properties access(TRIREME_H5(H5Fget_access_plist(file_), context));
  void* handle = nullptr;
  if (H5Pget_driver(access) == H5FD_SEC2 && H5Fget_vfd_handle(file_, access, &handle) >= 0 && handle != nullptr) descriptor_ = *static_cast<int*>(handle);
  H5Eclear2(H5E_DEFAULT);
}

void FileEnd::check(const std::string& shard, const std::string& what) const {
  struct stat now {};
  const int failed = descriptor_ >= 0 ? ::fstat(descriptor_, &now) : ::stat(path_.c_str(), &now);
  if (failed != 0 || now.st_size >= bytes_) return;
  const std::string file = path_ == shard ? "it" : "its source '" + path_ + "'";
  throw data_error(
      "shard '{}' was truncated while it was read: {} had {} bytes when it was opened and now has {}; {} may be wrong. Hint: copy the file again and restart; "
      "do not change shards while they are read",
      shard, file, bytes_, static_cast<std::int64_t>(now.st_size), what);
}

}  // namespace trireme::detail
