#include "io/shard_checksum.hpp"

#include <algorithm>
#include <vector>

#include "base/error.hpp"
#include "io/detail/checkpoint_format.hpp"

namespace trireme {

std::uint64_t checksum_of_rows(const std::byte* rows, std::int64_t first, std::int64_t count, std::int64_t row_bytes) {
  return detail::checksum(rows, first, count, row_bytes);
}

std::optional<std::uint64_t> stored_checksum(hid_t file, const std::string& path, const std::string& name) {
  const std::string context = path + ":" + name;
  const h5::Dataset dataset(TRIREME_H5(H5Dopen2(file, name.c_str(), H5P_DEFAULT), context));
  if (TRIREME_H5(H5Aexists(dataset, shard_checksum_attribute), context) == 0) return std::nullopt;
  const h5::Attribute attribute(TRIREME_H5(H5Aopen(dataset, shard_checksum_attribute, H5P_DEFAULT), context));
  const h5::Type type(TRIREME_H5(H5Aget_type(attribute), context));
  const h5::Space space(TRIREME_H5(H5Aget_space(attribute), context));
  if (H5Tget_class(type) != H5T_INTEGER || H5Tget_size(type) != sizeof(std::uint64_t) || H5Sget_simple_extent_npoints(space) != 1)
    throw data_error(
        "shard '{}': the attribute '{}' of data set '{}' is not a single 64-bit number. Hint: the file is damaged; copy it "
        "or create it again",
        path, shard_checksum_attribute, name);
  std::uint64_t value = 0;
  TRIREME_H5(H5Aread(attribute, H5T_NATIVE_UINT64, &value), context);
  return value;
}

void require_checksum(const std::string& path, const std::string& name, std::uint64_t expected, std::uint64_t found) {
  if (expected == found) return;
  throw data_error(
      "shard '{}': data set '{}' has the checksum {:016x}, but {:016x} was stored with it, so its values have changed. "
      "Hint: the file is damaged; copy it or create it again. If you changed it yourself, delete the attribute '{}'",
      path, name, found, expected, shard_checksum_attribute);
}

void verify_shard(const std::string& path, const ShardNames& names, const std::function<void()>& after_block) {
  if (!names.feature_arrays.empty()) {
    // Of arrays, each whole dataset is verified that has a checksum.
    std::vector<std::pair<std::string, std::string>> seen;
    for (const auto* arrays : {&names.feature_arrays, &names.label_arrays})
      for (const ArraySource& array : *arrays)
        for (const ArrayPart& part : array.parts) {
          const std::string holder = array.file_of(path);
          const ShardPath where(holder);
          if (std::ranges::find(seen, std::pair(holder, part.name)) != seen.end()) continue;
          seen.emplace_back(holder, part.name);
          const std::string name = where.in_file(part.name);
          if (const h5::File file = h5::open_file(where.file, "shard", ExitCode::data);
              !part.attribute.empty() || !h5::link_exists(file, name) || !stored_checksum(file, holder, name))
            continue;
          verify_shard(holder, {.features = part.name, .labels = "", .allow_unwritten = names.allow_unwritten, .allow_external = names.allow_external},
                       after_block);
        }
    return;
  }
  // The checksum is of the elements as the file has them.
  const ShardNames stored{
      .features = names.features, .labels = names.labels, .allow_unwritten = names.allow_unwritten, .allow_external = names.allow_external, .netcdf = false};
  const ShardInfo info = describe_shard(path, stored);
  ShardReader reader(info, stored);
  std::vector<std::byte> block;
  const auto verify = [&](const std::string& name, const Shape& row, ElementType type, bool features) {
    std::optional<std::uint64_t> expected;
    {
      const ShardPath where(info.path);
      const h5::File file = h5::open_file(where.file, "shard", ExitCode::data);
      if (h5::link_exists(file, where.in_file(name))) expected = stored_checksum(file, info.path, where.in_file(name));  // not a member of records
    }
    if (!expected) return;
    const std::int64_t row_bytes = row.size() * static_cast<std::int64_t>(size_of(type));
    const std::int64_t at_once = std::clamp<std::int64_t>(detail::piece_bytes / row_bytes, 1, std::max<std::int64_t>(info.rows, 1));
    std::uint64_t found = 0;
    for (std::int64_t first = 0; first < info.rows; first += at_once) {
      const std::int64_t count = std::min(at_once, info.rows - first);
      block.resize(static_cast<std::size_t>(count * row_bytes));
      if (features)
        reader.read_features(first, count, block);
      else
        reader.read_labels(first, count, block);
      found += checksum_of_rows(block.data(), first, count, row_bytes);
      if (after_block) after_block();
    }
    require_checksum(info.path, name, *expected, found);
  };
  verify(names.features, info.sample, info.feature_type, true);
  if (info.has_labels) verify(names.labels, info.label, info.label_type, false);
}

}  // namespace trireme
