#include "io/detail/checkpoint_layout.hpp"

#include <algorithm>
#include <utility>

#include "base/error.hpp"
#include "io/detail/checkpoint_format.hpp"

#define TRIREME_H5_WRITE(call, context) TRIREME_H5_AS(ExitCode::checkpoint, call, context)

namespace trireme::detail {

namespace fs = std::filesystem;

template <class T>
void CheckpointLayout::attribute(hid_t object, const char* name, hid_t stored, T value) const {
  const h5::Space one(TRIREME_H5_WRITE(H5Screate(H5S_SCALAR), where_));
  const h5::Attribute made(TRIREME_H5_WRITE(H5Acreate2(object, name, stored, one, H5P_DEFAULT, H5P_DEFAULT), where_));
  TRIREME_H5_WRITE(H5Awrite(made, h5::native_type<T>(), &value), where_);
}

h5::Group CheckpointLayout::group(const std::string& name) const {
  const h5::Properties creation(TRIREME_H5_WRITE(H5Pcreate(H5P_GROUP_CREATE), where_));
  TRIREME_H5_WRITE(H5Pset_obj_track_times(creation, false), where_);
  return h5::Group(TRIREME_H5_WRITE(H5Gcreate2(file_, name.c_str(), H5P_DEFAULT, creation, H5P_DEFAULT), where_));
}

h5::Dataset CheckpointLayout::data_set(const std::string& name, hid_t type, const h5::Space& space) const {
  const h5::Properties creation(TRIREME_H5_WRITE(H5Pcreate(H5P_DATASET_CREATE), where_));
  TRIREME_H5_WRITE(H5Pset_obj_track_times(creation, false), where_);
  TRIREME_H5_WRITE(H5Pset_alloc_time(creation, H5D_ALLOC_TIME_EARLY), where_);
  TRIREME_H5_WRITE(H5Pset_fill_time(creation, H5D_FILL_TIME_NEVER), where_);
  return h5::Dataset(TRIREME_H5_WRITE(H5Dcreate2(file_, name.c_str(), type, space, H5P_DEFAULT, creation, H5P_DEFAULT), where_ + ", '/" + name + "'"));
}

h5::Type CheckpointLayout::text_type(std::size_t size) const {
  h5::Type type(TRIREME_H5_WRITE(H5Tcopy(H5T_C_S1), where_));
  TRIREME_H5_WRITE(H5Tset_size(type, size), where_);
  TRIREME_H5_WRITE(H5Tset_strpad(type, H5T_STR_NULLPAD), where_);
  TRIREME_H5_WRITE(H5Tset_cset(type, H5T_CSET_UTF8), where_);
  return type;
}

CheckpointLayout::CheckpointLayout(std::string where, const fs::path& partial) : where_(std::move(where)) {
  h5::quiet();
  const h5::Properties creation(TRIREME_H5_WRITE(H5Pcreate(H5P_FILE_CREATE), where_));
  const h5::Properties access(TRIREME_H5_WRITE(H5Pcreate(H5P_FILE_ACCESS), where_));
  // No timestamps, so that the same content gives the same bytes.
  TRIREME_H5_WRITE(H5Pset_obj_track_times(creation, false), where_);
  // Since version 1.8 HDF5 stores checksums of metadata, so that a flipped bit in a name or a step is detected.
  TRIREME_H5_WRITE(H5Pset_libver_bounds(access, H5F_LIBVER_V18, H5F_LIBVER_LATEST), where_);
  TRIREME_H5_WRITE(H5Pset_alignment(access, 4 << 20, 1 << 20), where_);
  TRIREME_H5_WRITE(H5Pset_meta_block_size(access, 64 << 10), where_);
  file_ = create_file(partial, status_, creation, access, where_, ExitCode::checkpoint);
}

void CheckpointLayout::write_content(const CheckpointContent& content, std::size_t arrays) {
  attribute<std::int64_t>(file_, version_attribute, H5T_STD_I64LE, checkpoint_format_version);
  attribute<std::int64_t>(file_, count_attribute, H5T_STD_I64LE, static_cast<std::int64_t>(arrays));
  const h5::Space one(TRIREME_H5_WRITE(H5Screate(H5S_SCALAR), where_));
  {
    const std::string program = checkpoint_program;
    const h5::Type type = text_type(program.size());
    const h5::Attribute made(TRIREME_H5_WRITE(H5Acreate2(file_, program_attribute, type, one, H5P_DEFAULT, H5P_DEFAULT), where_));
    TRIREME_H5_WRITE(H5Awrite(made, type, program.data()), where_);
  }
  group("model");
  group("optimizer");
  const h5::Group progress = group("progress");
  for (const auto& [name, value] : content.integers) attribute(progress, name.c_str(), H5T_STD_I64LE, value);
  for (const auto& [name, value] : content.reals) attribute(progress, name.c_str(), H5T_IEEE_F64LE, value);

  const h5::Type type = text_type(std::max<std::size_t>(content.deck.size(), 1));
  const h5::Dataset deck(data_set("deck", type, one));
  attribute(deck, checksum_attribute, H5T_STD_U64LE,
            checksum(reinterpret_cast<const std::byte*>(content.deck.data()), 0, 1, static_cast<std::int64_t>(content.deck.size())));
  TRIREME_H5_WRITE(H5Dwrite(deck, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, content.deck.c_str()), where_);
}

std::vector<std::int64_t> CheckpointLayout::place(const std::vector<CheckpointArray>& arrays) {
  std::vector<std::int64_t> offsets;
  for (const auto& array : arrays) {
    for (auto at = array.name.find('/'); at != std::string::npos; at = array.name.find('/', at + 1))
      if (const std::string parent = array.name.substr(0, at); H5Lexists(file_, parent.c_str(), H5P_DEFAULT) <= 0) group(parent);
    const std::vector<hsize_t> extents(array.shape.span().begin(), array.shape.span().end());
    const h5::Space space(TRIREME_H5_WRITE(H5Screate_simple(static_cast<int>(extents.size()), extents.data(), nullptr), where_));
    datasets_.push_back(data_set(array.name, array.is_double ? H5T_IEEE_F64LE : H5T_IEEE_F32LE, space));
    const haddr_t offset = array.shape.size() == 0 ? 0 : H5Dget_offset(datasets_.back());
    if (offset == HADDR_UNDEF) h5::throw_failure("H5Dget_offset", where_, ExitCode::checkpoint);
    offsets.push_back(static_cast<std::int64_t>(offset));
    // The attribute is created now; its value is written after the rows have been hashed.
    attribute(datasets_.back(), checksum_attribute, H5T_STD_U64LE, std::uint64_t{0});
  }
  status_.check(where_, ExitCode::checkpoint);
  return offsets;
}

void CheckpointLayout::finish(const std::vector<std::uint64_t>& checksums) {
  for (std::size_t k = 0; k < checksums.size(); ++k) {
    const h5::Attribute made(TRIREME_H5_WRITE(H5Aopen(datasets_[k], checksum_attribute, H5P_DEFAULT), where_));
    TRIREME_H5_WRITE(H5Awrite(made, h5::native_type<std::uint64_t>(), &checksums[k]), where_);
  }
  datasets_.clear();
  file_.close(where_);
  status_.check(where_, ExitCode::checkpoint);
}

}  // namespace trireme::detail
