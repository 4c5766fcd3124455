#include "io/detail/open_dataset.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <bit>

#include "base/text.hpp"
#include "io/detail/other_files.hpp"
#include "io/detail/storage.hpp"

namespace trireme::detail {

namespace {

/// Size of the chunk cache: all chunks of one row, so that reads of ascending rows decompress each chunk once; at most this.
constexpr std::size_t largest_cache = std::size_t{256} << 20;
// Above these sizes only the limits below matter; chunks have less than 4 GiB, extents fit in 64 bits.
constexpr std::size_t most_bytes = std::size_t{1} << 32, most_chunks = std::size_t{1} << 20;

}  // namespace

h5::Dataset open_data_set(const h5::File& file, const std::string& path, const std::string& name, const std::string& key) {
  const h5::Properties access = guarded_access();  // must stay open: closing it would clear the error stack
  h5::Dataset dataset(H5Dopen2(file, name.c_str(), access));
  if (dataset) return dataset;
  int number = 0;
  const std::string words = h5::error_stack(&number);
  if (number != 0) throw IoError(ExitCode::data, fmt::format("shard '{}': data set '{}' cannot be opened: {}", path, name, words), number);
  std::string broken;
  try {
    broken = broken_link(file, name);
  } catch (const IoError& error) {
    throw IoError(error.code(), fmt::format("{} cannot be opened: {}", what_of(path, name), error.what()), error.number());
  }
  if (!broken.empty()) throw data_error("{} cannot be opened: {}", what_of(path, name), broken);
  std::vector<std::string> held = h5::data_sets(file);
  for (auto& other : held) other = fmt::format("/{}", other);
  const std::string wanted = name.starts_with('/') ? name : fmt::format("/{}", name);
  if (std::ranges::find(held, wanted) != held.end())
    throw data_error("shard '{}': data set '{}' cannot be opened: {}. Hint: the file is damaged; copy it or create it again", path, name, words);
  if (held.empty()) throw data_error("shard '{}' has no data set '{}'; it holds no data sets: {}", path, name, words);
  const std::string near = near_name(wanted, held);
  const std::size_t all = held.size();
  if (all > 8) held.resize(8);
  throw data_error("shard '{}' has no data set '{}'; it holds {}{}. Hint: {} in the deck names the data set{}", path, name, fmt::join(held, ", "),
                   all > 8 ? fmt::format(" and {} more", all - 8) : "", key, near.empty() ? "" : fmt::format("; the most similar name is '{}'", near));
}

void check_filters(const h5::Dataset& dataset, const std::string& path, const std::string& name) {
  const std::string context = path + ":" + name;
  const h5::Properties creation(TRIREME_H5(H5Dget_create_plist(dataset), context));
  const int filters = TRIREME_H5(H5Pget_nfilters(creation), context);
  for (int i = 0; i < filters; ++i) {
    std::array<char, 64> text{};
    unsigned flags = 0, config = 0;
    std::size_t values = 0;
    const H5Z_filter_t filter =
        TRIREME_H5(H5Pget_filter2(creation, static_cast<unsigned>(i), &flags, &values, nullptr, text.size() - 1, text.data(), &config), context);
    if (H5Zfilter_avail(filter) <= 0)
      throw data_error(
          "shard '{}': data set '{}' is compressed with filter {} ('{}'), which this HDF5 library does not have. "
          "Hint: set HDF5_PLUGIN_PATH to the folder of the filter's plug-in, or write the file again with gzip",
          path, name, filter, text.data());
  }
}

h5::Properties row_access(const h5::Dataset& dataset, const std::vector<std::int64_t>& extents, std::size_t along, const std::string& context) {
  h5::Properties access = guarded_access();
  const h5::Properties creation(TRIREME_H5(H5Dget_create_plist(dataset), context));
  if (H5Pget_layout(creation) != H5D_CHUNKED) return access;
  std::vector<hsize_t> chunk(extents.size());
  TRIREME_H5(H5Pget_chunk(creation, static_cast<int>(chunk.size()), chunk.data()), context);
  const h5::Type type(TRIREME_H5(H5Dget_type(dataset), context));
  std::size_t chunk_bytes = H5Tget_size(type), chunks = 1, slots = 1;
  for (std::size_t i = 0; i < chunk.size(); ++i) {
    chunk_bytes = std::min<std::size_t>(chunk_bytes * chunk[i], most_bytes);
    if (i == along) continue;
    const std::size_t across = (static_cast<std::size_t>(extents[i]) + chunk[i] - 1) / chunk[i];
    chunks = std::min(chunks * across, most_chunks);
    slots = std::min(slots * std::bit_ceil(across), most_chunks);  // HDF5's hash of a chunk: its coordinates, each in its own bits, modulo the slots
  }
  const std::size_t bytes = std::clamp(chunks * chunk_bytes, std::size_t{1} << 20, std::max(largest_cache, chunk_bytes));
  slots = std::clamp(2 * slots + 1, std::size_t{521}, std::size_t{1} << 20);
  // 1.0: evict completely read chunks first
  TRIREME_H5(H5Pset_chunk_cache(access, slots, bytes, 1.0), context);
  return access;
}

}  // namespace trireme::detail
