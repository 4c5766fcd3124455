// Reads consecutive rows of one shard.
#include <algorithm>
#include <array>
#include <cstring>
#include <optional>

#include "base/error.hpp"
#include "io/detail/decoding.hpp"
#include "io/detail/open_dataset.hpp"
#include "io/detail/read_watch.hpp"
#include "io/detail/shard_arrays.hpp"
#include "io/detail/shard_types.hpp"
#include "io/detail/transpose.hpp"
#include "io/shard.hpp"

namespace trireme {

namespace {

constexpr std::int64_t whole_bytes = std::int64_t{4} << 20;  // of rows that are read whole and cut

/// A part of each row: all channels, and a box of the extents.
struct Cut {
  std::int64_t channels = 1;
  std::array<std::int64_t, 3> extents{1, 1, 1};
  Box box;

  std::int64_t elements() const { return channels * box.pixels(); }
};

/// Copies the box from whole rows.
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

/// How to interpret the rows of a data set.
struct RowView {
  ElementType element;  // of the values
  Shape row;            // in the model's order of axes
  Shape seen;           // shape in the model
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
        throw data_error("shard '{}': data set '{}' now holds {}; it held {} when the run started. Hint: do not change shards while they are read", path, name,
                         name_of(now), name_of(view.element));
      type_ = detail::reading_type(type, stored_, context);
      access_ = detail::row_access(plain, extents_, 0, context);
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
          "shard '{}': data set '{}' now has shape {}; it had {} rows of {} when the run started. "
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
      throw internal_error("shard '{}': rows [{}, {}) of '{}' into {} bytes; the data set has {} rows of {} bytes, and {} bytes are needed", path_, first,
                           first + count, name_, out.size(), rows_, row_bytes_, bytes);
  }

  /// For each stored axis of a row its axis in the model's shape; empty if the stored shape does not have the model's axes (784 numbers for 1x28x28).
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

  /// The box in the axes of the file.
  void choose(const Box& box, std::vector<hsize_t>& start, std::vector<hsize_t>& size) const {
    for (std::size_t k = 0; k < places_.size(); ++k) {
      if (places_[k] < 1) continue;  // channels
      const int axis = places_[k] + 3 - seen_.rank();
      start[lead_ + k] = static_cast<hsize_t>(box.first[static_cast<std::size_t>(axis)]);
      size[lead_ + k] = static_cast<hsize_t>(box.extent[static_cast<std::size_t>(axis)]);
    }
  }

  bool works_on_values() const { return permutes_ || decoding_.changes(); }

  /// Converts blocks of rows from the file's numbers and order to the model's. `part`: empty for whole rows.
  std::int64_t read_values(std::int64_t first, std::int64_t count, const Cut* part, std::span<std::byte> out) {
    // Moments refer to whole rows.
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
      throw internal_error("shard '{}': a box [{}+{}, {}+{}, {}+{}] of '{}' with rows of {} bytes and shape {}", path_, box.first[0], box.extent[0],
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

  /// `start` and `size` except for the rows.
  std::int64_t read(std::int64_t first, std::int64_t count, std::vector<hsize_t>& start, std::vector<hsize_t>& size, std::span<std::byte> out) {
    if (out.empty()) return 0;
    if (!single_) {
      start[0] = static_cast<hsize_t>(first);
      size[0] = static_cast<hsize_t>(count);
    }
    if (!start.empty())  // a single number has no extents to select from
      TRIREME_H5(H5Sselect_hyperslab(space_, H5S_SELECT_SET, start.data(), nullptr, size.data(), nullptr), path_ + ":" + name_);
    // The same rank as in the file: then HDF5 matches the selections chunk by chunk instead of element by element.
    const h5::Space memory(TRIREME_H5(H5Screate_simple(static_cast<int>(size.size()), size.data(), nullptr), path_ + ":" + name_));
    if (H5Dread(dataset_, type_, memory, space_, transfer_, out.data()) < 0) {
      int number = 0;
      const std::string words = h5::error_stack(&number);
      watch_->check(first, count);
      if (number != 0)
        throw IoError(ExitCode::data, fmt::format("shard '{}': rows [{}, {}) of data set '{}' cannot be read: {}", path_, first, first + count, name_, words),
                      number);
      throw data_error(
          "shard '{}': rows [{}, {}) of data set '{}' cannot be read: {}. Hint: the file is damaged; copy it or create it "
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
  std::size_t lead_ = 0;             // number of extents before those of a row
  std::vector<int> places_, order_;  // order_: the stored axes of a row in the model's order
  bool permutes_ = false;
  std::size_t row_bytes_ = 0;
  h5::Type type_;
  h5::Properties access_, transfer_;
  h5::Dataset dataset_;
  h5::Space space_;
  std::optional<detail::ReadWatch> watch_;           // refers to dataset_
  std::vector<std::byte> whole_, values_, ordered_;  // rows in several stages of conversion
};

/// The part of whole rows of shape `seen` in a box.
Cut cut_of(const Shape& seen, const Box& box) {
  Cut part{.channels = seen[0], .box = box};
  for (int d = 1; d < seen.rank(); ++d) part.extents[static_cast<std::size_t>(4 - seen.rank() + d - 1)] = seen[d];
  return part;
}

}  // namespace

struct ShardReader::Impl {
  Impl(const ShardInfo& i, const ShardNames& given, const Shape& sample, const Shape& label, bool verify)
      : info(i), sample_shape(sample.rank() > 0 ? sample : i.sample), label_shape(label.rank() > 0 ? label : i.label) {
    const ShardPath where(i.path);
    file = h5::open_file(where.file, "shard", ExitCode::data);
    const ShardNames names = detail::as_joined(file, where, given);
    if (detail::is_joined(names)) {
      ShardNames read = names;
      if (!info.has_labels) read.label_arrays.clear();
      arrays = std::make_unique<detail::ShardArrays>(info.path, read, info.sample, info.label.rank() == 0 ? Shape{1} : info.label, verify);
      if (arrays->rows() != info.rows || arrays->features().type != info.feature_type || (info.has_labels && arrays->labels().type != info.label_type))
        throw data_error("shard '{}': it now has {} rows of {}; it had {} rows of {} when the run started. Hint: do not change shards while they are read",
                         info.path, arrays->rows(), arrays->features().shape.tuple(), info.rows, info.sample.tuple());
      return;
    }
    features = std::make_unique<RowSet>(file, info.path, where.in_file(names.features), info.rows,
                                        RowView{info.feature_type, info.sample, sample_shape, names.axes, names.netcdf, names.feature_moments},
                                        info.single_sample, names, verify);
    if (info.has_labels)
      labels = std::make_unique<RowSet>(file, info.path, where.in_file(names.labels), info.rows,
                                        RowView{info.label_type, info.label, label_shape, names.label_axes, names.netcdf, names.label_moments},
                                        info.single_sample, names, verify);
  }

  std::int64_t read(bool of_features, std::int64_t first, std::int64_t count, const Box* box, std::span<std::byte> out) {
    if (!of_features && !info.has_labels) throw internal_error("shard '{}': labels were requested, but its description has none", info.path);
    if (!arrays) {
      RowSet& set = of_features ? *features : *labels;
      return box == nullptr ? set.read(first, count, out) : set.read(first, count, *box, out);
    }
    const auto& field = of_features ? arrays->features() : arrays->labels();
    const Shape& seen = of_features ? sample_shape : label_shape;
    if (box == nullptr || (seen.rank() > 0 && std::ranges::equal(field.pixels, seen.without_first().span())))
      return arrays->read(field, first, count, box, out);
    // The files hold rows without the model's pixels (784 numbers for 1x28x28): whole rows are read and cut.
    const std::size_t bytes = size_of(field.type);
    whole.resize(static_cast<std::size_t>(count * field.shape.size()) * bytes);
    const std::int64_t asked = arrays->read(field, first, count, nullptr, whole);
    cut_rows(cut_of(seen, *box), count, bytes, whole.data(), out.data());
    return asked;
  }

  ShardInfo info;
  Shape sample_shape, label_shape;
  h5::File file;
  std::unique_ptr<RowSet> features, labels;
  std::unique_ptr<detail::ShardArrays> arrays;  // instead of these
  std::vector<std::byte> whole;
};

ShardReader::ShardReader(const ShardInfo& info, const ShardNames& names, const Shape& sample, const Shape& label, bool verify)
    : impl_(std::make_unique<Impl>(info, names, sample, label, verify)) {}
ShardReader::~ShardReader() = default;
ShardReader::ShardReader(ShardReader&&) noexcept = default;
ShardReader& ShardReader::operator=(ShardReader&&) noexcept = default;

const ShardInfo& ShardReader::info() const { return impl_->info; }

std::int64_t ShardReader::read_features(std::int64_t first, std::int64_t count, std::span<std::byte> out) {
  return impl_->read(true, first, count, nullptr, out);
}
std::int64_t ShardReader::read_features(std::int64_t first, std::int64_t count, const Box& box, std::span<std::byte> out) {
  return impl_->read(true, first, count, &box, out);
}
std::int64_t ShardReader::read_labels(std::int64_t first, std::int64_t count, std::span<std::byte> out) {
  return impl_->read(false, first, count, nullptr, out);
}
std::int64_t ShardReader::read_labels(std::int64_t first, std::int64_t count, const Box& box, std::span<std::byte> out) {
  return impl_->read(false, first, count, &box, out);
}

}  // namespace trireme
