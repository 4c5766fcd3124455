#include "io/file_content.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <functional>
#include <numeric>
#include <optional>

#include "base/shape.hpp"
#include "io/array_source.hpp"
#include "io/detail/other_files.hpp"
#include "io/detail/shard_types.hpp"
#include "io/h5.hpp"

namespace trireme {

namespace {

std::string filter_name(H5Z_filter_t filter) {
  switch (filter) {
    case H5Z_FILTER_DEFLATE:
      return "gzip";
    case H5Z_FILTER_SHUFFLE:
      return "shuffle";
    case H5Z_FILTER_FLETCHER32:
      return "fletcher32";
    case H5Z_FILTER_SZIP:
      return "szip";
    case H5Z_FILTER_NBIT:
      return "nbit";
    case H5Z_FILTER_SCALEOFFSET:
      return "scaleoffset";
    default:
      return fmt::format("filter {}{}", static_cast<int>(filter), H5Zfilter_avail(filter) > 0 ? "" : " (missing here)");
  }
}

std::string tuple(const std::vector<std::int64_t>& extents) { return Shape(std::span(extents)).tuple(); }

void describe_storage(const h5::Dataset& dataset, DatasetContent& found, const std::string& context) {
  const h5::Properties creation(TRIREME_H5(H5Dget_create_plist(dataset), context));
  switch (H5Pget_layout(creation)) {
    case H5D_COMPACT:
      found.storage = "compact";
      return;
    case H5D_VIRTUAL:
      found.storage = "virtual";
      return;
    case H5D_CHUNKED:
      break;
    default:
      found.storage = H5Pget_external_count(creation) > 0 ? "external" : "contiguous";
      return;
  }
  std::vector<hsize_t> chunk(found.shape.size());
  TRIREME_H5(H5Pget_chunk(creation, static_cast<int>(chunk.size()), chunk.data()), context);
  found.chunks.assign(chunk.begin(), chunk.end());
  found.storage = "chunked " + tuple(found.chunks);
  const int filters = TRIREME_H5(H5Pget_nfilters(creation), context);
  for (int i = 0; i < filters; ++i) {
    unsigned flags = 0, config = 0;
    std::size_t values = 0;
    found.storage += ", " + filter_name(TRIREME_H5(H5Pget_filter2(creation, static_cast<unsigned>(i), &flags, &values, nullptr, 0, nullptr, &config), context));
  }
}

bool named_as_label(const std::string& name) {
  const auto slash = name.rfind('/');
  std::string last = name.substr(slash + 1);
  std::ranges::transform(last, last.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  for (const char* word : {"label", "target", "class", "mask", "truth", "segmentation"})
    if (last.find(word) != std::string::npos) return true;
  return last == "y" || last.ends_with("_y");
}

std::int64_t product(const std::vector<std::int64_t>& extents) { return std::accumulate(extents.begin(), extents.end(), std::int64_t{1}, std::multiplies<>()); }

constexpr std::int64_t most_channels = 32;

/// Whether the last extent looks like channels: it is small, and the others are not.
bool channels_last(const std::vector<std::int64_t>& shape) {
  if (shape.size() < 4 || shape.back() > most_channels) return false;
  return std::all_of(shape.begin() + 1, shape.end() - 1, [&](std::int64_t extent) { return extent > shape.back(); });
}

constexpr std::array<const char*, 3> pixel_names{"z", "y", "x"};

}  // namespace

std::vector<DatasetContent> file_content(const std::string& path) {
  const ShardPath where(path);
  const h5::File file = h5::open_file(where.file, "file", ExitCode::data);
  std::vector<DatasetContent> all;
  const std::string prefix = where.group.empty() || where.group == "/" ? "/" : where.group + "/";
  for (const std::string& name : h5::data_sets(file)) {
    const std::string full = "/" + name;
    if (!full.starts_with(prefix)) continue;
    const h5::Dataset dataset(H5Dopen2(file, full.c_str(), detail::guarded_access()));
    if (!dataset) {
      H5Eclear2(H5E_DEFAULT);
      continue;
    }
    const std::string context = path + ":" + full;
    DatasetContent found;
    found.name = full.substr(prefix.size() - 1);
    found.shape = h5::extents(dataset, context);
    const h5::Type type(TRIREME_H5(H5Dget_type(dataset), context));
    const auto element = detail::element_type(type);
    found.number = element.has_value();
    found.integer = element && is_integer(*element);
    found.type = element ? std::string(name_of(*element)) : h5::type_text(type);
    if (H5Tget_class(type) == H5T_COMPOUND)
      for (int i = 0; i < H5Tget_nmembers(type); ++i) {
        char* const text = H5Tget_member_name(type, static_cast<unsigned>(i));
        found.members.emplace_back(text);
        H5free_memory(text);
      }
    describe_storage(dataset, found, context);
    all.push_back(std::move(found));
  }
  return all;
}

std::string proposed_arrays(const std::vector<DatasetContent>& content) {
  // The features are the largest numbers with at least two extents; datasets of the same shape are joined as channels.
  const DatasetContent *largest = nullptr, *label = nullptr;
  for (const DatasetContent& one : content)
    if (one.number && one.shape.size() >= 2 && product(one.shape) > 0 && !named_as_label(one.name) &&
        (largest == nullptr || product(one.shape) > product(largest->shape)))
      largest = &one;
  if (largest == nullptr) return {};
  const std::vector<std::int64_t>& shape = largest->shape;
  std::vector<std::string> names;
  for (const DatasetContent& one : content)
    if (one.number && one.shape == shape && !named_as_label(one.name)) names.push_back(one.name);
  for (const DatasetContent& one : content) {
    if (!one.number || one.shape.empty() || one.shape.front() != shape.front() || std::ranges::find(names, one.name) != names.end()) continue;
    if (named_as_label(one.name) || (label == nullptr && one.shape.size() == 1)) label = &one;
  }
  const bool last = channels_last(shape);
  const std::size_t pixels = std::min<std::size_t>(3, shape.size() - (shape.size() >= 4 ? 2 : 1));
  std::string axes;
  if (last) {
    axes = "sample";
    for (std::size_t a = 0; a < pixels; ++a) axes += std::string(", ") + pixel_names[3 - pixels + a];
    axes += ", channel";
  }
  std::string text = fmt::format("[array features]\ndata = {}\n", fmt::join(names, ", "));
  if (last) text += "axes = " + axes + "\n";
  if (label != nullptr) {
    text += fmt::format("[array labels]\ndata = {}\n", label->name);
  } else {
    text += fmt::format("[array labels]             # no labels were found: this is the next time step, if the first extent is time\ndata = {}\n{}window = 1\n",
                        fmt::join(names, ", "), last ? "axes = time" + axes.substr(6) + "\n" : "");
    if (last) text.replace(text.find("axes = sample"), 13, "axes = time");
  }
  std::vector<std::int64_t> input(shape.begin() + 1, shape.end());
  if (last) std::rotate(input.begin(), input.end() - 1, input.end());
  const bool single = input.size() + 1 == shape.size() && !last && shape.size() == 3;  // (n, y, x): one channel
  if (single) input.insert(input.begin(), 1);
  input.front() *= static_cast<std::int64_t>(names.size());
  return text + fmt::format("[model]\ninput = {}\n", Shape(std::span(std::as_const(input))).text());
}

}  // namespace trireme
