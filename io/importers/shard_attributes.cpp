#include "io/importers/shard_attributes.hpp"

#include "base/error.hpp"
#include "io/detail/durable.hpp"

namespace trireme {

void write_attributes(const std::filesystem::path& shard, const ShardNames& names, const std::vector<SourceAttribute>& attributes) {
  if (attributes.empty()) return;
  h5::quiet();
  const std::string where = "shard '" + shard.string() + "'";
  h5::File file(TRIREME_H5(H5Fopen(shard.c_str(), H5F_ACC_RDWR, H5P_DEFAULT), where));
  for (const auto& attribute : attributes) {
    const std::string& name = attribute.of_labels ? names.labels : names.features;
    const std::string at = where + ", data set '" + name + "', attribute '" + attribute.name + "'";
    const hsize_t extent = attribute.values.size();
    const h5::Dataset dataset(TRIREME_H5(H5Dopen2(file, name.c_str(), H5P_DEFAULT), at));
    const h5::Space space(TRIREME_H5(H5Screate_simple(1, &extent, nullptr), at));
    const h5::Attribute target(TRIREME_H5(H5Acreate2(dataset, attribute.name.c_str(), H5T_IEEE_F64LE, space, H5P_DEFAULT, H5P_DEFAULT), at));
    TRIREME_H5(H5Awrite(target, H5T_NATIVE_DOUBLE, attribute.values.data()), at);
  }
  file.close(where);
  if (const auto error = detail::sync_to_disk(shard)) throw data_error("{} cannot be flushed to disk: {}", where, error.message());
}

}  // namespace trireme
