#include "io/detail/read_watch.hpp"

#include <algorithm>
#include <filesystem>

#include "io/detail/storage.hpp"

namespace trireme::detail {

ReadWatch::ReadWatch(const h5::Dataset& dataset, const std::string& shard, const std::string& name, const ShardNames& rules)
    : dataset_(dataset), shard_(shard), name_(name), allow_unwritten_(rules.allow_unwritten), end_(dataset, shard) {
  const std::string what = what_of(shard, name);
  if (is_virtual(dataset, what)) {
    for (VirtualSource& source : virtual_sources(dataset, what, rules.allow_unwritten))
      sources_.push_back({.named = std::move(source), .held = false, .files = {}});
    return;
  }
  const h5::Type type(TRIREME_H5(H5Dget_type(dataset), what));
  raw_ = raw_files(dataset, h5::name_of_file(dataset), bytes_of(h5::extents(dataset, what), H5Tget_size(type), what));
}

bool ReadWatch::open(const VirtualSource& source, const h5::Dataset& of, std::vector<FileEnd>& files) const {
  const std::string what = what_of(shard_, name_);
  const auto opened = open_source(source, of, what, allow_unwritten_);
  if (!opened) return false;
  files.emplace_back(opened->dataset, what);
  if (!is_virtual(opened->dataset, what)) return true;
  bool all = true;
  for (const VirtualSource& inner : virtual_sources(opened->dataset, what, allow_unwritten_)) all &= open(inner, opened->dataset, files);
  return all;
}

void ReadWatch::check(std::int64_t first, std::int64_t count) {
  const std::string what = fmt::format("rows [{}, {}) of data set '{}'", first, first + count, name_);
  end_.check(shard_, what);
  for (const RawFile& file : raw_) {
    std::error_code ignored;
    const auto bytes = std::filesystem::file_size(file.path, ignored);
    if (!allow_unwritten_ && !ignored && static_cast<std::int64_t>(bytes) < file.least_bytes)
      throw data_error(
          "shard '{}': the external file '{}' was truncated while it was read: it has {} of {} bytes; {} may be wrong. Hint: copy it again and "
          "restart",
          shard_, file.path, bytes, file.least_bytes, what);
  }
  const RowRange rows{first, first + count};
  for (Source& source : sources_) {
    if (!source.named.rows.meets(rows)) continue;
    // HDF5 opens a source at the first read of its rows, silently continues if that fails, and keeps it open otherwise. A source that can be opened
    // after the read existed during it. A source of interleaved rows may not have been opened yet, so it is checked each time.
    if (!source.held) {
      source.files.clear();
      const std::int64_t met = std::min(rows.end, source.named.rows.end) - std::max(rows.first, source.named.rows.first);
      source.held = open(source.named, dataset_, source.files) && met >= source.named.step;
    }
    for (const FileEnd& file : source.files) file.check(shard_, what);
  }
}

}  // namespace trireme::detail
