#include "io/detail/frame_set.hpp"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "base/error.hpp"
#include "io/detail/open_dataset.hpp"
#include "io/detail/other_files.hpp"
#include "io/detail/sample_groups.hpp"
#include "io/detail/shard_types.hpp"
#include "io/detail/storage.hpp"
#include "io/detail/transpose.hpp"
#include "io/shard_checksum.hpp"

namespace trireme::detail {

namespace {

using Axis = ArrayAxes::Axis;

/// Copies the selected part of each run of member numbers: `sizes` are the extents of the member's array, `chosen` the selected ranges.
void select_inner(std::span<const std::int64_t> sizes, std::span<const ExtentRange::Bounds> chosen, std::size_t bytes, const std::byte* from, std::byte*& to) {
  if (sizes.empty()) {
    std::memcpy(to, from, bytes);
    to += bytes;
    return;
  }
  const std::int64_t below = std::accumulate(sizes.begin() + 1, sizes.end(), std::int64_t{1}, std::multiplies<>());
  for (std::int64_t i = chosen[0].first; i < chosen[0].end; ++i)
    select_inner(sizes.subspan(1), chosen.subspan(1), bytes, from + static_cast<std::size_t>(i * below) * bytes, to);
}

}  // namespace

FrameSet::FrameSet(const std::string& path, const ArraySource& array, const ArrayPart& part, int pixel_axes, Lead lead, const ShardNames& rules, bool verify)
    : path_(path), array_(array), part_(part), pixel_axes_(pixel_axes), lead_(lead), rules_(rules), verify_(verify) {
  const ShardPath where(path);
  file_ = h5::open_file(where.file, "shard", ExitCode::data);
  name_ = where.in_file(part.name);
  if (!part.attribute.empty()) {
    open_attribute(name_);
  } else if (part.name.find('*') != std::string::npos) {
    open_members(name_);
  } else {
    open_data(name_);
  }
}

std::int64_t FrameSet::samples() const {
  if (!members_.empty()) return static_cast<std::int64_t>(members_.size());
  return sample_axis_ < 0 ? 1 : extents_[static_cast<std::size_t>(sample_axis_)].count;
}

std::int64_t FrameSet::times() const { return time_axis_ < 0 ? 1 : extents_[static_cast<std::size_t>(time_axis_)].count; }

std::string FrameSet::called() const { return what_of(path_, part_.text); }

std::string FrameSet::shape_text() const {
  std::vector<std::int64_t> shape;
  for (const Extent& extent : extents_)
    if (!extent.dropped) shape.push_back(extent.count);
  if (!members_.empty()) return fmt::format("{} datasets of one sample", members_.size());
  return Shape(std::span<const std::int64_t>(shape)).tuple();
}

void FrameSet::open_attribute(const std::string& name) {
  const std::string context = path_ + ":" + part_.text;
  if (name != "/" && !h5::link_exists(file_, name)) static_cast<void>(open_data_set(file_, path_, name, array_.key));
  const htri_t exists = H5Aexists_by_name(file_, name.c_str(), part_.attribute.c_str(), H5P_DEFAULT);
  if (exists <= 0) throw data_error("{}: '{}' has no attribute '{}'. Hint: h5dump -A FILE lists attributes", called(), part_.name, part_.attribute);
  const h5::Attribute attribute(TRIREME_H5(H5Aopen_by_name(file_, name.c_str(), part_.attribute.c_str(), H5P_DEFAULT, H5P_DEFAULT), context));
  const h5::Type type(TRIREME_H5(H5Aget_type(attribute), context));
  const auto element = element_type(type);
  if (!element) throw data_error("{}: the attribute holds elements of type {}; expected numbers", called(), h5::type_text(type));
  stored_ = type_ = *element;
  const h5::Space space(TRIREME_H5(H5Aget_space(attribute), context));
  const int rank = TRIREME_H5(H5Sget_simple_extent_ndims(space), context);
  std::vector<hsize_t> extents(static_cast<std::size_t>(rank));
  if (rank > 0) TRIREME_H5(H5Sget_simple_extent_dims(space, extents.data(), nullptr), context);
  choose(std::vector<std::int64_t>(extents.begin(), extents.end()));
  lead_ = Lead::value;
  assign_axes();
  constant_.resize(static_cast<std::size_t>(bytes_of(std::vector<std::int64_t>(extents.begin(), extents.end()), size_of(stored_), called())));
  const h5::Type memory = reading_type(type, stored_, context);
  TRIREME_H5(H5Aread(attribute, memory, constant_.data()), context);
}

void FrameSet::open_members(const std::string& pattern) {
  members_ = datasets_matching(file_, pattern, called());
  if (members_.empty())
    throw data_error("{}: no dataset matches this pattern. Hint: trireme inspect '{}' lists the datasets; * stands for any characters but '/'", called(),
                     path_);
  ArrayPart one = part_;
  one.name = members_.front().name;
  const FrameSet first(ShardPath(path_).file, array_, one, pixel_axes_, Lead::value, rules_, verify_);
  if (first.has_samples() || first.has_time())
    throw data_error("{}: {} = {} names an axis of samples or time, but each matching dataset is one sample. Hint: leave out sample and time", called(),
                     array_.axes_key, array_.axes.text());
  channels_ = first.channels_, pixels_ = first.pixels_, stored_ = first.stored_, type_ = first.type_, gaps_ = first.gaps_;
  decoding_text_ = first.decoding_text_, sources_ = first.sources_;
}

void FrameSet::open_data(const std::string& full) {
  // The longest leading part of the path that exists is the dataset; the rest is a member of its records.
  std::string member;
  name_ = full;
  for (std::string name = full; !h5::link_exists(file_, name);) {
    const auto slash = name.rfind('/');
    if (slash == std::string::npos || slash == 0) {
      member.clear();
      name_ = full;
      break;
    }
    member = member.empty() ? name.substr(slash + 1) : name.substr(slash + 1) + "/" + member;
    name = name_ = name.substr(0, slash);
  }
  const std::string context = path_ + ":" + part_.text;
  if (!member.empty()) {
    // A group, or a dataset without records: the error lists what the file holds.
    const h5::Dataset probe(H5Dopen2(file_, name_.c_str(), H5P_DEFAULT));
    H5Eclear2(H5E_DEFAULT);
    const h5::Type type(probe ? H5Dget_type(probe) : H5I_INVALID_HID);
    if (!type || H5Tget_class(type) != H5T_COMPOUND) name_ = full, member.clear();
  }
  dataset_ = open_data_set(file_, path_, name_, array_.key);
  const h5::Type record(TRIREME_H5(H5Dget_type(dataset_), context));
  h5::Type type(TRIREME_H5(H5Tcopy(record), context));
  std::vector<hsize_t> inner;
  if (H5Tget_class(record) == H5T_COMPOUND) {
    std::string known;
    const int count = TRIREME_H5(H5Tget_nmembers(record), context);
    int found = -1;
    for (int i = 0; i < count; ++i) {
      char* const text = H5Tget_member_name(record, static_cast<unsigned>(i));
      if (member == text) found = i;
      known += fmt::format("{}{}", known.empty() ? "" : ", ", text);
      H5free_memory(text);
    }
    if (found < 0)
      throw data_error("{}: {}. Its records have the members {}. Hint: {} = {}/MEMBER", what_of(path_, name_),
                       member.empty() ? "the dataset holds records, not numbers" : fmt::format("records have no member '{}'", member), known, array_.key,
                       name_);
    type = h5::Type(TRIREME_H5(H5Tget_member_type(record, static_cast<unsigned>(found)), context));
  }
  if (H5Tget_class(type) == H5T_ARRAY) {
    inner.resize(static_cast<std::size_t>(TRIREME_H5(H5Tget_array_ndims(type), context)));
    TRIREME_H5(H5Tget_array_dims2(type, inner.data()), context);
    type = h5::Type(TRIREME_H5(H5Tget_super(type), context));
  }
  const auto element = element_type(type);
  if (!element) throw data_error("{}: it holds elements of type {}; expected integers of at most 64 bits, booleans or floats", called(), h5::type_text(type));
  stored_ = *element;
  check_filters(dataset_, path_, name_);
  sources_ = check_storage(dataset_, called(), rules_);
  if (rules_.netcdf && member.empty()) decoding_ = netcdf_decoding(dataset_, stored_, context);
  if (!moments_of(dataset_, context).mean.empty())
    throw data_error(
        "{}: it was standardized by trireme shard, and a part of it would lose its means and deviations. Hint: read it whole with data.features "
        "or data.labels, or create the shards without --standardize",
        called());
  decoding_text_ = decoding_.text();
  gaps_ = decoding_.gaps() || decoding_.missing_is_nan;
  type_ = decoding_.value_type(stored_);

  std::vector<std::int64_t> stored = h5::extents(dataset_, context);
  bytes_of(stored, H5Tget_size(record), called());
  stored.insert(stored.end(), inner.begin(), inner.end());
  inner_ = inner.size();
  choose(stored);
  assign_axes();

  memory_type_ = reading_type(type, stored_, context);
  if (!inner.empty()) memory_type_ = h5::Type(TRIREME_H5(H5Tarray_create2(memory_type_, static_cast<unsigned>(inner.size()), inner.data()), context));
  if (!member.empty()) {
    h5::Type whole(TRIREME_H5(H5Tcreate(H5T_COMPOUND, H5Tget_size(memory_type_)), context));
    TRIREME_H5(H5Tinsert(whole, member.c_str(), 0, memory_type_), context);
    memory_type_ = std::move(whole);
  }
  if (member.empty() && std::ranges::all_of(part_.select, &ExtentRange::whole)) checksum_ = stored_checksum(file_, path_, name_);
  const int along = has_time() ? time_axis_ : sample_axis_;
  const std::vector<std::int64_t> outer_extents(stored.begin(), stored.end() - static_cast<std::ptrdiff_t>(inner_));
  if (along >= 0 && static_cast<std::size_t>(along) < outer()) {
    const h5::Properties access = row_access(dataset_, outer_extents, static_cast<std::size_t>(along), context);
    dataset_ = h5::Dataset(TRIREME_H5(H5Dopen2(file_, name_.c_str(), access), context));
  }
  space_ = h5::Space(TRIREME_H5(H5Dget_space(dataset_), context));
  transfer_ = h5::Properties(TRIREME_H5(H5Pcreate(H5P_DATASET_XFER), context));
  if (!verify_) TRIREME_H5(H5Pset_edc_check(transfer_, H5Z_DISABLE_EDC), context);
  watch_.emplace(dataset_, ShardPath(path_).file, name_, rules_);
}

void FrameSet::choose(const std::vector<std::int64_t>& stored) {
  if (!part_.select.empty() && part_.select.size() != stored.size())
    throw data_error("{}: the selection has {} ranges, but the stored shape is {}. Hint: give one range for each extent, and : for a whole one", called(),
                     part_.select.size(), Shape(std::span<const std::int64_t>(stored)).tuple());
  if (stored.size() > static_cast<std::size_t>(Shape::max_rank))
    throw data_error("{}: it has {} dimensions; at most {} are supported", called(), stored.size(), static_cast<int>(Shape::max_rank));
  for (std::size_t k = 0; k < stored.size(); ++k) {
    const ExtentRange range = part_.select.empty() ? ExtentRange{} : part_.select[k];
    const auto bounds = range.whole() ? std::optional(ExtentRange::Bounds{0, stored[k]}) : range.within(stored[k]);
    if (!bounds)
      throw data_error("{}: the selection {} is outside the stored extent {} (number {} of {})", called(), range.text(), stored[k], k + 1,
                       Shape(std::span<const std::int64_t>(stored)).tuple());
    extents_.push_back({stored[k], bounds->first, bounds->end - bounds->first, range.single});
  }
}

void FrameSet::assign_axes() {
  std::vector<std::size_t> kept;
  for (std::size_t k = 0; k < extents_.size(); ++k)
    if (!extents_[k].dropped) kept.push_back(k);
  if (array_.axes.given() && part_.attribute.empty() && !(kept.empty() && lead_ != Lead::value))
    assign_given_axes(kept);
  else
    assign_usual_axes(kept);
  // Frames first, then channels in stored order, then pixels.
  const int along = has_time() ? time_axis_ : sample_axis_;
  if (along >= 0) order_.push_back(along);
  for (int k = 0; k < static_cast<int>(extents_.size()); ++k)
    if (k != along && std::ranges::find(pixel_dims_, k) == pixel_dims_.end()) order_.push_back(k);
  order_.insert(order_.end(), pixel_dims_.begin(), pixel_dims_.end());
  channels_ = 1;
  for (int k = 0; k < static_cast<int>(extents_.size()); ++k)
    if (k != sample_axis_ && k != time_axis_ && std::ranges::find(pixel_dims_, k) == pixel_dims_.end())
      channels_ *= extents_[static_cast<std::size_t>(k)].count;
  for (const int k : pixel_dims_) pixels_.push_back(extents_[static_cast<std::size_t>(k)].count);
  if (channels_ == 0 || std::ranges::find(pixels_, 0) != pixels_.end())
    throw data_error("{}: it has shape {}, so a sample has no elements", called(), shape_text());
}

void FrameSet::assign_given_axes(std::span<const std::size_t> kept) {
  std::vector<Axis> axes = array_.axes.list();
  // The leading axis need not be named.
  if (kept.size() == axes.size() + 1 && !array_.axes.has(Axis::sample) && lead_ != Lead::value)
    axes.insert(axes.begin(), lead_ == Lead::time && !array_.axes.has(Axis::time) ? Axis::time : Axis::sample);
  if (kept.size() != axes.size())
    throw data_error("{}: it has shape {}, {} axes; {} = {} names {}. Hint: name every stored axis in the file's order, the slowest first", called(),
                     shape_text(), kept.size(), array_.axes_key, array_.axes.text(), axes.size());
  for (std::size_t i = 0; i < axes.size(); ++i) {
    extents_[kept[i]].role = axes[i];
    if (axes[i] == Axis::sample) sample_axis_ = static_cast<int>(kept[i]);
    if (axes[i] == Axis::time) time_axis_ = static_cast<int>(kept[i]);
  }
  for (const Axis axis : {Axis::z, Axis::y, Axis::x})
    for (const std::size_t k : kept)
      if (extents_[k].role == axis) pixel_dims_.push_back(static_cast<int>(k));
  if (pixel_axes_ >= 0 && !pixel_dims_.empty() && static_cast<int>(pixel_dims_.size()) != pixel_axes_)
    throw data_error("{}: {} = {} names {} axes of pixels, but the model's samples have {}. Hint: axes of pixels are z, y (or lat) and x (or lon)", called(),
                     array_.axes_key, array_.axes.text(), pixel_dims_.size(), pixel_axes_);
}

void FrameSet::assign_usual_axes(std::span<const std::size_t> kept) {
  if (lead_ != Lead::value && !kept.empty()) {
    (lead_ == Lead::time ? time_axis_ : sample_axis_) = static_cast<int>(kept.front());
    kept = kept.subspan(1);
  }
  const int values = static_cast<int>(kept.size());
  int pixels = pixel_axes_;
  if (pixels < 0) pixels = std::max(0, values - 1);
  if (values < pixels && values <= 1) pixels = 0;  // numbers fill their pixels
  if (values < pixels)
    throw data_error("{}: it has shape {}; the model's samples have {} axes of pixels. Hint: {} names the stored axes", called(), shape_text(), pixels,
                     array_.axes_key);
  for (const std::size_t k : kept.last(static_cast<std::size_t>(pixels))) pixel_dims_.push_back(static_cast<int>(k));
}

std::int64_t FrameSet::read(std::int64_t sample, std::int64_t first, std::int64_t count, const Box* box, std::span<std::byte> out) {
  if (!members_.empty()) {
    std::int64_t asked = 0;
    const std::size_t bytes = count > 0 ? out.size() / static_cast<std::size_t>(count) : 0;
    for (std::int64_t i = 0; i < count; ++i) {
      ArrayPart one = part_;
      one.name = members_[static_cast<std::size_t>(first + i)].name;
      FrameSet set(ShardPath(path_).file, array_, one, pixel_axes_, Lead::value, rules_, verify_);
      if (set.channels_ != channels_ || set.pixels_ != pixels_ || set.type_ != type_)
        throw data_error("{}: dataset '{}' has shape {} and type {}; '{}' has another shape or type. All samples must agree", called(), one.name,
                         set.shape_text(), name_of(set.type_), members_.front().name);
      asked += set.read(0, 0, 1, box, out.subspan(static_cast<std::size_t>(i) * bytes, bytes));
    }
    return asked;
  }
  const std::size_t dims = outer();
  std::vector<hsize_t> start(dims), size(dims);
  std::vector<std::int64_t> sizes;
  for (std::size_t k = 0; k < extents_.size(); ++k) {
    std::int64_t from = extents_[k].first, n = extents_[k].count;
    const int axis = static_cast<int>(k);
    if (axis == time_axis_ || (axis == sample_axis_ && !has_time())) from += first, n = count;
    if (axis == sample_axis_ && has_time()) from += sample, n = 1;
    if (const auto at = std::ranges::find(pixel_dims_, axis); box != nullptr && at != pixel_dims_.end()) {
      const auto a = static_cast<std::size_t>(3 - static_cast<int>(pixel_dims_.size()) + (at - pixel_dims_.begin()));
      from += box->first[a], n = box->extent[a];
    }
    if (k < dims) start[k] = static_cast<hsize_t>(from), size[k] = static_cast<hsize_t>(n);
    sizes.push_back(n);
    if (k >= dims && n != extents_[k].count) throw internal_error("{}: a box of pixels that are inside of records", called());
  }
  if (!constant_.empty()) {
    raw_ = constant_;
    arrange(sizes, count, raw_, out);
    return 0;
  }
  std::int64_t elements =
      std::accumulate(size.begin(), size.end(), std::int64_t{1}, [](std::int64_t a, hsize_t b) { return a * static_cast<std::int64_t>(b); });
  for (std::size_t k = dims; k < extents_.size(); ++k) elements *= extents_[k].stored;
  raw_.resize(static_cast<std::size_t>(elements) * size_of(stored_));
  if (elements == 0) return 0;
  const std::string context = path_ + ":" + part_.text;
  if (dims > 0) TRIREME_H5(H5Sselect_hyperslab(space_, H5S_SELECT_SET, start.data(), nullptr, size.data(), nullptr), context);
  const h5::Space memory(dims > 0 ? TRIREME_H5(H5Screate_simple(static_cast<int>(dims), size.data(), nullptr), context)
                                  : TRIREME_H5(H5Screate(H5S_SCALAR), context));
  const bool rows = dims > 0 && (time_axis_ == 0 || sample_axis_ == 0);
  const std::int64_t from_row = rows ? static_cast<std::int64_t>(start[0]) : 0;
  const std::int64_t row_count = rows ? static_cast<std::int64_t>(size[0]) : dims > 0 ? extents_[0].stored : 1;
  if (H5Dread(dataset_, memory_type_, memory, space_, transfer_, raw_.data()) < 0) {
    int number = 0;
    const std::string words = h5::error_stack(&number);
    watch_->check(from_row, row_count);
    const std::string what = fmt::format("{}: frames [{}, {}) cannot be read: {}", called(), first, first + count, words);
    if (number != 0) throw IoError(ExitCode::data, what, number);
    throw data_error("{}. Hint: the file is damaged; copy it or create it again", what);
  }
  watch_->check(from_row, row_count);
  const auto asked = static_cast<std::int64_t>(raw_.size());
  arrange(sizes, count, raw_, out);
  return asked;
}

void FrameSet::arrange(std::vector<std::int64_t> sizes, std::int64_t count, std::span<std::byte> raw, std::span<std::byte> out) {
  const std::size_t stored_bytes = size_of(stored_), bytes = size_of(type_);
  const std::int64_t n = std::accumulate(sizes.begin(), sizes.end(), std::int64_t{1}, std::multiplies<>());
  if (out.size() != static_cast<std::size_t>(n) * bytes)
    throw internal_error("{}: {} frames of {} elements in total into {} bytes", called(), count, n, out.size());
  std::byte* now = raw.data();
  const bool attribute = !constant_.empty();
  const std::size_t first_chosen = attribute ? 0 : outer();  // all numbers of an attribute, and all members of records, are read
  bool cuts = false;
  std::vector<std::int64_t> inner;
  std::vector<ExtentRange::Bounds> chosen;
  for (std::size_t k = first_chosen; k < extents_.size(); ++k) {
    inner.push_back(extents_[k].stored);
    chosen.push_back({extents_[k].first, extents_[k].first + extents_[k].count});
    cuts = cuts || extents_[k].count != extents_[k].stored;
  }
  if (cuts) {
    packed_.resize(static_cast<std::size_t>(n) * stored_bytes);
    std::byte* to = packed_.data();
    const std::int64_t run = std::accumulate(inner.begin(), inner.end(), std::int64_t{1}, std::multiplies<>());
    const auto runs = static_cast<std::int64_t>(raw.size() / stored_bytes) / run;
    for (std::int64_t i = 0; i < runs; ++i) select_inner(inner, chosen, stored_bytes, raw.data() + static_cast<std::size_t>(i * run) * stored_bytes, to);
    now = packed_.data();
  }
  // The order of frames, without extents of 1, which cost nothing.
  int last = -1;
  bool moves = false;
  for (const int k : order_) {
    if (sizes[static_cast<std::size_t>(k)] == 1) continue;
    moves = moves || k < last;
    last = k;
  }
  if (decoding_.changes()) {
    decoded_.resize(moves ? static_cast<std::size_t>(n) * bytes : 0);
    std::byte* const to = moves ? decoded_.data() : out.data();
    decode(decoding_, stored_, type_, n, n, now, to);
    now = to;
  }
  if (moves)
    transpose_rows(1, sizes, order_, bytes, now, out.data());
  else if (now != out.data())
    std::memcpy(out.data(), now, out.size());
}

}  // namespace trireme::detail
