#include "io/importers/array_file.hpp"

#include "base/error.hpp"
#include "io/detail/durable.hpp"
#include "io/detail/file_writing.hpp"

namespace trireme {

namespace {

void write_text(hid_t object, const std::string& name, const std::string& value, const std::string& at) {
  const h5::Space one(TRIREME_H5(H5Screate(H5S_SCALAR), at));
  const h5::Type type(TRIREME_H5(H5Tcopy(H5T_C_S1), at));
  TRIREME_H5(H5Tset_size(type, value.size() + 1), at);
  const h5::Attribute attribute(TRIREME_H5(H5Acreate2(object, name.c_str(), type, one, H5P_DEFAULT, H5P_DEFAULT), at));
  TRIREME_H5(H5Awrite(attribute, type, value.c_str()), at);
}

// The attribute that HDF5's dimension scales, h5py and netCDF-4 read: for each axis a list of references to scales.
void write_dimensions(hid_t file, hid_t dataset, const std::vector<std::string>& names, const std::string& at) {
  const h5::Type type(TRIREME_H5(H5Tvlen_create(H5T_STD_REF_OBJ), at));
  const hsize_t axes = names.size();
  const h5::Space space(TRIREME_H5(H5Screate_simple(1, &axes, nullptr), at));
  const h5::Attribute attribute(TRIREME_H5(H5Acreate2(dataset, "DIMENSION_LIST", type, space, H5P_DEFAULT, H5P_DEFAULT), at));
  std::vector<hobj_ref_t> references(names.size());
  std::vector<hvl_t> lists(names.size());
  for (std::size_t i = 0; i < names.size(); ++i) {
    TRIREME_H5(H5Rcreate(&references[i], file, names[i].c_str(), H5R_OBJECT, H5I_INVALID_HID), at);
    lists[i] = {1, &references[i]};
  }
  TRIREME_H5(H5Awrite(attribute, type, lists.data()), at);
}

// The groups on the path of an array. HDF5 could create them by itself, but with the time in them: files would differ from second to second.
void create_groups(hid_t file, const std::string& name, const std::string& at) {
  const h5::Properties creation(TRIREME_H5(H5Pcreate(H5P_GROUP_CREATE), at));
  TRIREME_H5(H5Pset_obj_track_times(creation, false), at);
  for (auto slash = name.find('/', 1); slash != name.npos; slash = name.find('/', slash + 1)) {
    const std::string group = name.substr(0, slash);
    if (!h5::link_exists(file, group)) h5::Group(TRIREME_H5(H5Gcreate2(file, group.c_str(), H5P_DEFAULT, creation, H5P_DEFAULT), at));
  }
}

void write_array(hid_t file, const FileArray& array, int gzip, const std::string& at) {
  std::vector<hsize_t> extents;
  for (const std::int64_t extent : array.shape.span()) extents.push_back(static_cast<hsize_t>(extent));
  const h5::Space space(TRIREME_H5(H5Screate_simple(static_cast<int>(extents.size()), extents.data(), nullptr), at));
  create_groups(file, array.name, at);
  const h5::Properties creation(TRIREME_H5(H5Pcreate(H5P_DATASET_CREATE), at));
  TRIREME_H5(H5Pset_obj_track_times(creation, false), at);  // the same values give the same bytes
  if (gzip > 0 && !array.is_scale) {
    std::vector<hsize_t> chunk = extents;
    if (chunk.size() > 3) chunk[0] = 1;
    TRIREME_H5(H5Pset_chunk(creation, static_cast<int>(chunk.size()), chunk.data()), at);
    TRIREME_H5(H5Pset_shuffle(creation), at);
    TRIREME_H5(H5Pset_deflate(creation, static_cast<unsigned>(gzip)), at);
  }
  const hid_t type = memory_type(array.type);
  const h5::Dataset dataset(TRIREME_H5(H5Dcreate2(file, array.name.c_str(), type, space, H5P_DEFAULT, creation, H5P_DEFAULT), at));
  TRIREME_H5(H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, array.values.data()), at);
  for (const auto& [name, value] : array.texts) write_text(dataset, name, value, at);
  if (array.is_scale) {
    write_text(dataset, "CLASS", "DIMENSION_SCALE", at);
    write_text(dataset, "NAME", array.name.substr(array.name.find_last_of('/') + 1), at);
  }
  if (!array.dimensions.empty()) write_dimensions(file, dataset, array.dimensions, at);
}

}  // namespace

void write_array_file(const std::filesystem::path& path, std::span<const FileArray> arrays, int gzip) {
  const std::string where = "file '" + path.string() + "'";
  h5::quiet();
  const h5::Properties creation(TRIREME_H5(H5Pcreate(H5P_FILE_CREATE), where)), access(TRIREME_H5(H5Pcreate(H5P_FILE_ACCESS), where));
  TRIREME_H5(H5Pset_obj_track_times(creation, false), where);
  TRIREME_H5(H5Pset_libver_bounds(access, H5F_LIBVER_V18, H5F_LIBVER_LATEST), where);
  detail::WriteStatus status;  // outlives the file
  h5::File file = detail::create_file(path, status, creation, access, where, ExitCode::data);
  for (const FileArray& array : arrays) {
    if (array.values.size() != static_cast<std::size_t>(array.shape.size()) * size_of(array.type))
      throw internal_error("{}: array '{}' has {} bytes, not those of its shape {}", where, array.name, array.values.size(), array.shape.tuple());
    write_array(file, array, gzip, where + ", data set '" + array.name + "'");
  }
  file.close(where);
  status.check(where, ExitCode::data);
  if (const auto error = detail::sync_to_disk(path)) throw data_error("{} cannot be flushed to disk: {}", where, error.message());
}

}  // namespace trireme
