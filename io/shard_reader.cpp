// Reads runs of rows of one shard.
#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <optional>

#include "base/error.hpp"
#include "io/detail/decoding.hpp"
#include "io/detail/read_watch.hpp"
#include "io/detail/shard_types.hpp"
#include "io/detail/transpose.hpp"
#include "io/shard.hpp"

namespace trireme {

namespace {

/// Room for every chunk that one row touches, so that reads of rising rows decompress each chunk once; no more than
/// this.
constexpr std::size_t largest_cache = std::size_t{256} << 20;
// Beyond these sizes only the bounds below count; chunks have less than 4 GiB, extents fit in 64 bits.
constexpr std::size_t most_bytes = std::size_t{1} << 32, most_chunks = std::size_t{1} << 20;

/// Access properties whose chunk cache suits reading rows in rising runs.
h5::Properties row_access(const h5::Dataset& dataset, const std::vector<std::int64_t>& extents,
                          const std::string& context) {
  h5::Properties access = detail::guarded_access();
  const h5::Properties creation(TRIREME_H5(H5Dget_create_plist(dataset), context));
  if (H5Pget_layout(creation) != H5D_CHUNKED) return access;
  std::vector<hsize_t> chunk(extents.size());
  TRIREME_H5(H5Pget_chunk(creation, static_cast<int>(chunk.size()), chunk.data()), context);
  const h5::Type type(TRIREME_H5(H5Dget_type(dataset), context));
  std::size_t chunk_bytes = H5Tget_size(type), chunks = 1, slots = 1;
  for (std::size_t i = 0; i < chunk.size(); ++i) {
    chunk_bytes = std::min<std::size_t>(chunk_bytes * chunk[i], most_bytes);
    if (i == 0) continue;
    const std::size_t across = (static_cast<std::size_t>(extents[i]) + chunk[i] - 1) / chunk[i];
    chunks = std::min(chunks * across, most_chunks);
    slots = std::min(slots * std::bit_ceil(across), most_chunks);  // HDF5's hash is the chunk's coordinates, each in its own bits, modulo the slots
  }
  const std::size_t bytes =
      std::clamp(chunks * chunk_bytes, std::size_t{1} << 20, std::max(largest_cache, chunk_bytes));
  slots = std::clamp(2 * slots + 1, std::size_t{521}, std::size_t{1} << 20);
  // 1.0: a chunk that was read to its end goes first.
  TRIREME_H5(H5Pset_chunk_cache(access, slots, bytes, 1.0), context);
  return access;
}

constexpr std::int64_t whole_bytes = std::int64_t{4} << 20;  // of rows that are read whole, to be cut

/// A part of each row: all channels, a box of the extents.
struct Cut {
  std::int64_t channels = 1;
  std::array<std::int64_t, 3> extents{1, 1, 1};
  Box box;

  std::int64_t elements() const { return channels * box.pixels(); }
};

/// Copies the box out of whole rows.
void cut_rows(const Cut& cut, std::int64_t rows, std::size_t element_bytes, const std::byte* from, std::byte* to) {
  const auto& [d, h, w] = cut.extents;
  const Box& box = cut.box;
  const auto line = static_cast<std::size_t>(box.extent[2]) * element_bytes;
  for (std::int64_t plane = 0; plane < rows * cut.channels; ++plane)
    for (std::int64_t z = box.first[0]; z < box.end(0); ++z)
      for (std::int64_t y = box.first[1]; y < box.end(1); ++y) {
        std::memcpy(to, from + static_cast<std::size_t>(((plane * d + z) * h + y) * w + box.first[2]) * element_bytes, line);
        to += line;
      }
}

/// How a data set's rows are to be seen.
struct RowView {
  ElementType element;  // of the values
  Shape row;            // in the model's order of axes
  Shape seen;           // how the model sees it
  AxisOrder axes = {};
  bool netcdf = true;
  std::optional<Moments> moments = {};
};

/// One data set of an open shard, read by rows.
class RowSet {
 public:
  RowSet(const h5::File& file, const std::string& path, const std::string& name, std::int64_t rows, const RowView& view, bool single, const ShardNames& rules,
         bool verify)
      : path_(path), name_(name), rows_(rows), single_(single), seen_(view.seen), element_(view.element), element_bytes_(size_of(view.element)) {
    const Shape& row = view.row;
    const std::string context = path + ":" + name;
    {
      const h5::Dataset plain(TRIREME_H5(H5Dopen2(file, name.c_str(), detail::guarded_access()), context));
      extents_ = h5::extents(plain, context);
      const h5::Type type(TRIREME_H5(H5Dget_type(plain), context));
      stored_ = detail::element_type(type).value_or(view.element);
      if (view.netcdf) decoding_ = detail::netcdf_decoding(plain, stored_, context);
      if (view.moments) detail::add_moments(decoding_, detail::moments_of(plain, context), *view.moments, row.size(), context);
      if (const ElementType now = decoding_.value_type(stored_); now != view.element)
        throw data_error("shard '{}': data set '{}' now holds {}; it was {} when the run began. Hint: do not change shards while they are read", path, name,
                         name_of(now), name_of(view.element));
      type_ = detail::reading_type(type, stored_, context);
      access_ = row_access(plain, extents_, context);
    }
    dataset_ = h5::Dataset(TRIREME_H5(H5Dopen2(file, name.c_str(), access_), context));
    space_ = h5::Space(TRIREME_H5(H5Dget_space(dataset_), context));
    transfer_ = h5::Properties(TRIREME_H5(H5Pcreate(H5P_DATASET_XFER), context));
    if (!verify) TRIREME_H5(H5Pset_edc_check(transfer_, H5Z_DISABLE_EDC), context);
    row_bytes_ = static_cast<std::size_t>(row.size()) * element_bytes_;

    std::int64_t elements = 1;
    for (const std::int64_t extent : extents_) elements *= extent;
    if (elements != rows * row.size())
      throw data_error(
          "shard '{}': data set '{}' now has shape {}; {} rows of {} were there when the run began. "
          "Hint: do not change shards while they are read",
          path, name, Shape{std::span(extents_)}.tuple(), rows, row.tuple());
    watch_.emplace(dataset_, path, name, rules);
    lead_ = single_ ? 0 : 1;
    find_places(view.axes);
  }

  std::int64_t read(std::int64_t first, std::int64_t count, std::span<std::byte> out) {
    check(first, count, static_cast<std::size_t>(count) * row_bytes_, out);
    if (works_on_values()) return read_values(first, count, nullptr, out);
    std::vector<hsize_t> start(extents_.size(), 0), size(extents_.begin(), extents_.end());
    return read(first, count, start, size, out);
  }

  std::int64_t read(std::int64_t first, std::int64_t count, const Box& box, std::span<std::byte> out) {
    const Cut part = cut(box);
    check(first, count, static_cast<std::size_t>(count * part.elements()) * element_bytes_, out);
    if (out.empty()) return 0;
    if (part.elements() * static_cast<std::int64_t>(element_bytes_) == static_cast<std::int64_t>(row_bytes_)) return read(first, count, out);
    if (works_on_values()) return read_values(first, count, &part, out);
    if (places_.empty()) return read_and_cut(first, count, part, out);
    std::vector<hsize_t> start(extents_.size(), 0), size(extents_.begin(), extents_.end());
    choose(box, start, size);
    return read(first, count, start, size, out);
  }

 private:
  void check(std::int64_t first, std::int64_t count, std::size_t bytes, std::span<std::byte> out) const {
    if (first < 0 || count < 0 || first + count > rows_ || out.size() != bytes)
      throw internal_error("shard '{}': rows [{}, {}) of '{}' into {} bytes; it has {} rows of {} bytes, and {} are asked for", path_, first,
                           first + count, name_, out.size(), rows_, row_bytes_, bytes);
  }

  /// Of each stored axis of a row its place in what the model sees; none where the file's shape does not show the model's axes (784 numbers for 1x28x28).
  void find_places(const AxisOrder& axes) {
    if (axes.given()) {
      lead_ = extents_.size() - static_cast<std::size_t>(axes.count());
      places_ = axes.places(seen_.rank());
      order_ = axes.order();
      permutes_ = !std::ranges::is_sorted(order_);
    }
    const std::size_t dims = extents_.size() - lead_;
    if (!axes.given()) {
      places_.assign(dims, -1);
      int at = 0;
      for (std::size_t k = 0; k < dims; ++k) {
        if (extents_[lead_ + k] == 1) continue;
        while (at < seen_.rank() && seen_[at] == 1) ++at;
        places_[k] = at++;
      }
    }
    std::int64_t shown = 1;
    bool equal = true;
    for (std::size_t k = 0; k < dims; ++k) {
      if (extents_[lead_ + k] == 1) continue;
      equal = equal && places_[k] >= 0 && places_[k] < seen_.rank() && seen_[places_[k]] == extents_[lead_ + k];
      shown *= extents_[lead_ + k];
    }
    if (!equal || shown != seen_.size()) places_.clear();
  }

  /// The box among the file's axes.
  void choose(const Box& box, std::vector<hsize_t>& start, std::vector<hsize_t>& size) const {
    for (std::size_t k = 0; k < places_.size(); ++k) {
      if (places_[k] < 1) continue;  // channels
      const int axis = places_[k] + 3 - seen_.rank();
      start[lead_ + k] = static_cast<hsize_t>(box.first[static_cast<std::size_t>(axis)]);
      size[lead_ + k] = static_cast<hsize_t>(box.extent[static_cast<std::size_t>(axis)]);
    }
  }

  bool works_on_values() const { return permutes_ || decoding_.changes(); }

  /// Blocks of rows, from the file's numbers and order to the model's. `part`: all of a row where there is none.
  std::int64_t read_values(std::int64_t first, std::int64_t count, const Cut* part, std::span<std::byte> out) {
    // Moments are of whole rows.
    const bool chosen = part != nullptr && !places_.empty() && decoding_.row_factor.empty();
    std::vector<hsize_t> start(extents_.size(), 0), size(extents_.begin(), extents_.end());
    if (chosen) choose(part->box, start, size);
    const std::vector<std::int64_t> extents(size.begin() + static_cast<std::ptrdiff_t>(lead_), size.end());
    std::int64_t elements = 1;
    for (const std::int64_t extent : extents) elements *= extent;
    const std::int64_t at_once = std::max<std::int64_t>(1, whole_bytes / (elements * static_cast<std::int64_t>(element_bytes_)));
    const auto out_row = static_cast<std::int64_t>(out.size()) / count;
    std::int64_t asked = 0;
    for (std::int64_t done = 0; done < count; done += at_once) {
      const std::int64_t some = std::min(at_once, count - done), n = some * elements;
      const auto bytes = static_cast<std::size_t>(n) * element_bytes_;
      std::byte* const to = out.data() + done * out_row;
      whole_.resize(static_cast<std::size_t>(n) * size_of(stored_));
      asked += read(first + done, some, start, size, whole_);
      std::byte* now = whole_.data();
      const bool cuts = part != nullptr && !chosen;
      if (decoding_.changes()) {
        values_.resize(bytes);
        std::byte* const decoded = permutes_ || cuts ? values_.data() : to;
        detail::decode(decoding_, stored_, element_, n, elements, now, decoded);
        now = decoded;
      }
      if (permutes_) {
        if (cuts) ordered_.resize(bytes);
        std::byte* const moved = cuts ? ordered_.data() : to;
        detail::transpose_rows(some, extents, order_, element_bytes_, now, moved);
        now = moved;
      }
      if (cuts) cut_rows(*part, some, element_bytes_, now, to);
    }
    return asked;
  }

  Cut cut(const Box& box) const {
    Cut part{.box = box};
    const int dims = seen_.rank() - 1;
    bool inside = dims >= 0 && dims <= 3;
    if (seen_.rank() > 0) part.channels = seen_[0];
    for (int d = 0; inside && d < dims; ++d) part.extents[static_cast<std::size_t>(3 - dims + d)] = seen_[1 + d];
    for (std::size_t a = 0; a < 3; ++a) inside &= box.first[a] >= 0 && box.extent[a] >= 0 && box.end(a) <= part.extents[a];
    if (!inside || static_cast<std::size_t>(seen_.size()) * element_bytes_ != row_bytes_)
      throw internal_error("shard '{}': a box [{}+{}, {}+{}, {}+{}] of '{}', whose rows of {} bytes are seen as {}", path_, box.first[0], box.extent[0],
                           box.first[1], box.extent[1], box.first[2], box.extent[2], name_, row_bytes_, seen_.tuple());
    return part;
  }

  std::int64_t read_and_cut(std::int64_t first, std::int64_t count, const Cut& part, std::span<std::byte> out) {
    const std::int64_t at_once = std::max<std::int64_t>(1, whole_bytes / static_cast<std::int64_t>(row_bytes_));
    const auto part_bytes = static_cast<std::size_t>(part.elements()) * element_bytes_;
    std::int64_t asked = 0;
    for (std::int64_t done = 0; done < count; done += at_once) {
      const std::int64_t some = std::min(at_once, count - done);
      whole_.resize(static_cast<std::size_t>(some) * row_bytes_);
      asked += read(first + done, some, whole_);
      cut_rows(part, some, element_bytes_, whole_.data(), out.data() + static_cast<std::size_t>(done) * part_bytes);
    }
    return asked;
  }

  /// `start` and `size` but for the rows.
  std::int64_t read(std::int64_t first, std::int64_t count, std::vector<hsize_t>& start, std::vector<hsize_t>& size, std::span<std::byte> out) {
    if (out.empty()) return 0;
    if (!single_) {
      start[0] = static_cast<hsize_t>(first);
      size[0] = static_cast<hsize_t>(count);
    }
    if (!start.empty())  // a single number has no extents to choose from
      TRIREME_H5(H5Sselect_hyperslab(space_, H5S_SELECT_SET, start.data(), nullptr, size.data(), nullptr),
                 path_ + ":" + name_);
    // The same rank as in the file: HDF5 then pairs the selections chunk by chunk instead of element by element.
    const h5::Space memory(
        TRIREME_H5(H5Screate_simple(static_cast<int>(size.size()), size.data(), nullptr), path_ + ":" + name_));
    if (H5Dread(dataset_, type_, memory, space_, transfer_, out.data()) < 0) {
      int number = 0;
      const std::string words = h5::error_stack(&number);
      watch_->check(first, count);
      if (number != 0)
        throw IoError(ExitCode::data, fmt::format("shard '{}': rows [{}, {}) of data set '{}' cannot be read: {}", path_, first, first + count, name_, words), number);
      throw data_error(
          "shard '{}': rows [{}, {}) of data set '{}' cannot be read: {}. Hint: the file is damaged; copy or make it "
          "again",
          path_, first, first + count, name_, words);
    }
    watch_->check(first, count);
    return static_cast<std::int64_t>(out.size());
  }

  std::string path_, name_;
  std::int64_t rows_;
  bool single_;
  Shape seen_;
  ElementType element_, stored_{};  // of the values; of the numbers in the file
  std::size_t element_bytes_;
  std::vector<std::int64_t> extents_;
  detail::Decoding decoding_;
  std::size_t lead_ = 0;             // extents before those of a row
  std::vector<int> places_, order_;  // order_: the stored axes of a row in the model's order
  bool permutes_ = false;
  std::size_t row_bytes_ = 0;
  h5::Type type_;
  h5::Properties access_, transfer_;
  h5::Dataset dataset_;
  h5::Space space_;
  std::optional<detail::ReadWatch> watch_;  // knows dataset_
  std::vector<std::byte> whole_, values_, ordered_;  // rows on their way to the model's form
};

}  // namespace

struct ShardReader::Impl {
  Impl(const ShardInfo& i, const ShardNames& names, const Shape& sample, const Shape& label, bool verify) : info(i), file(h5::open_file(i.path, "shard", ExitCode::data)) {
    features = std::make_unique<RowSet>(file, info.path, names.features, info.rows,
                                        RowView{info.feature_type, info.sample, sample.rank() > 0 ? sample : info.sample, names.axes, names.netcdf,
                                                names.feature_moments},
                                        info.single_sample, names, verify);
    if (info.has_labels)
      labels = std::make_unique<RowSet>(file, info.path, names.labels, info.rows,
                                        RowView{info.label_type, info.label, label.rank() > 0 ? label : info.label, names.label_axes, names.netcdf,
                                                names.label_moments},
                                        info.single_sample, names, verify);
  }
  RowSet& label_set() {
    if (!labels) throw internal_error("shard '{}': labels were asked for, but it was described without", info.path);
    return *labels;
  }
  ShardInfo info;
  h5::File file;
  std::unique_ptr<RowSet> features, labels;
};

ShardReader::ShardReader(const ShardInfo& info, const ShardNames& names, const Shape& sample, const Shape& label, bool verify)
    : impl_(std::make_unique<Impl>(info, names, sample, label, verify)) {}
ShardReader::~ShardReader() = default;
ShardReader::ShardReader(ShardReader&&) noexcept = default;
ShardReader& ShardReader::operator=(ShardReader&&) noexcept = default;

const ShardInfo& ShardReader::info() const { return impl_->info; }

std::int64_t ShardReader::read_features(std::int64_t first, std::int64_t count, std::span<std::byte> out) {
  return impl_->features->read(first, count, out);
}
std::int64_t ShardReader::read_features(std::int64_t first, std::int64_t count, const Box& box, std::span<std::byte> out) {
  return impl_->features->read(first, count, box, out);
}
std::int64_t ShardReader::read_labels(std::int64_t first, std::int64_t count, std::span<std::byte> out) {
  return impl_->label_set().read(first, count, out);
}
std::int64_t ShardReader::read_labels(std::int64_t first, std::int64_t count, const Box& box, std::span<std::byte> out) {
  return impl_->label_set().read(first, count, box, out);
}

}  // namespace trireme
