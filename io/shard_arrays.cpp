#include "io/detail/shard_arrays.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <numeric>

#include "base/error.hpp"
#include "io/detail/other_files.hpp"
#include "io/with_type.hpp"

namespace trireme::detail {

namespace {

/// The smallest type that holds the numbers of both.
ElementType common_type(ElementType a, ElementType b) {
  if (a == b) return a;
  const auto fits_single = [](ElementType t) { return t == ElementType::f32 || (is_integer(t) && size_of(t) <= 2); };
  return fits_single(a) && fits_single(b) ? ElementType::f32 : ElementType::f64;
}

void convert(ElementType from, ElementType to, std::int64_t n, const std::byte* source, std::byte* target) {
  if (from == to) {
    std::memcpy(target, source, static_cast<std::size_t>(n) * size_of(from));
    return;
  }
  with_type(from, [&]<class From>(From) {
    with_type(to, [&]<class To>(To) {
      for (std::int64_t i = 0; i < n; ++i) {
        From value;
        std::memcpy(&value, source + static_cast<std::size_t>(i) * sizeof(From), sizeof(From));
        const To converted = static_cast<To>(value);
        std::memcpy(target + static_cast<std::size_t>(i) * sizeof(To), &converted, sizeof(To));
      }
    });
  });
}

/// Fills `n` elements with the first.
void fill(std::byte* to, std::int64_t n, std::size_t bytes) {
  for (std::int64_t i = 1; i < n; ++i) std::memcpy(to + static_cast<std::size_t>(i) * bytes, to, bytes);
}

int pixel_axes_of(const Shape& wanted) { return wanted.rank() == 0 ? -1 : wanted.rank() - 1; }

}  // namespace

bool is_joined(const ShardNames& names) { return !names.feature_arrays.empty(); }

ShardNames as_joined(const h5::File& file, const ShardPath& path, const ShardNames& names) {
  const auto is_member = [&](const std::string& given) {
    std::string name = path.in_file(given);
    if (given.empty() || h5::link_exists(file, name)) return false;
    for (auto slash = name.rfind('/'); slash != std::string::npos && slash > 0; slash = name.rfind('/')) {
      name.resize(slash);
      if (!h5::link_exists(file, name)) continue;
      const h5::Dataset dataset(H5Dopen2(file, name.c_str(), guarded_access()));
      H5Eclear2(H5E_DEFAULT);
      const h5::Type type(dataset ? H5Dget_type(dataset) : H5I_INVALID_HID);
      return type && H5Tget_class(type) == H5T_COMPOUND;
    }
    return false;
  };
  if (is_joined(names) || (!is_member(names.features) && !is_member(names.labels))) return names;
  ShardNames joined = names;
  const auto array = [](const char* name, const std::string& data, const AxisOrder& axes, const char* key, const char* axes_key) {
    return ArraySource{.name = name,
                       .key = key,
                       .axes_key = axes_key,
                       .window_key = "window",
                       .parts = ArrayPart::parse_list(data, key),
                       .axes = ArrayAxes::parse(axes.given() ? "sample, " + axes.text() : "", axes_key)};
  };
  joined.feature_arrays = {array("features", names.features, names.axes, "data.features", "data.axes")};
  if (!names.labels.empty()) joined.label_arrays = {array("labels", names.labels, names.label_axes, "data.labels", "data.label_axes")};
  return joined;
}

ShardArrays::ShardArrays(const std::string& path, const ShardNames& names, const Shape& sample, const Shape& label, bool verify)
    : path_(path), stride_(names.stride) {
  bool windowed = false;
  for (const auto* arrays : {&names.feature_arrays, &names.label_arrays})
    for (const ArraySource& array : *arrays) windowed = windowed || !array.window.empty() || array.axes.has(ArrayAxes::Axis::time);
  features_ = join(names.feature_arrays, sample, names, windowed, verify);
  if (!names.label_arrays.empty()) labels_ = join(names.label_arrays, label, names, windowed, verify);
  index(names);
}

std::size_t ShardArrays::set_of(const ArraySource& array, const ArrayPart& part, int pixel_axes, FrameSet::Lead lead, const ShardNames& names, bool verify) {
  const std::string file = array.file_of(path_);
  const std::string key = fmt::format("{}|{}|{}|{}|{}", file, part.text, array.axes.text(), pixel_axes, static_cast<int>(lead));
  const auto at = std::ranges::find(keys_, key);
  if (at != keys_.end()) return static_cast<std::size_t>(at - keys_.begin());
  sets_.push_back(std::make_unique<FrameSet>(file, array, part, pixel_axes, lead, names, verify));
  keys_.push_back(key);
  caches_.emplace_back();
  return sets_.size() - 1;
}

ShardArrays::Field ShardArrays::join(const std::vector<ArraySource>& arrays, const Shape& wanted, const ShardNames& names, bool windowed, bool verify) {
  Field field;
  const FrameSet* shaped = nullptr;  // the first part with pixels
  bool first = true;
  for (const ArraySource& array : arrays) {
    const std::vector<std::int64_t> window = array.window.empty() ? std::vector<std::int64_t>{0} : array.window;
    std::vector<std::size_t> sets;
    for (const ArrayPart& part : array.parts)
      sets.push_back(set_of(array, part, pixel_axes_of(wanted), windowed ? FrameSet::Lead::time : FrameSet::Lead::sample, names, verify));
    std::vector<Field::Piece> pieces;
    for (const std::size_t set : sets) pieces.push_back({set, {}, window});
    for (const FrameSet* set : [&] {
           std::vector<const FrameSet*> list;
           for (const std::size_t s : sets) list.push_back(sets_[s].get());
           return list;
         }()) {
      if (!array.window.empty() && !set->has_time())
        throw data_error("{}: {} = a list of time steps, but the dataset has no axis of time. Hint: name the axis with {}, as in time, channel, y, x",
                         set->called(), array.window_key, array.axes_key);
      if (!set->pixels().empty() && shaped != nullptr && shaped->pixels() != set->pixels())
        throw data_error(
            "{} has shape {}, so its samples have other pixels than those of {} with shape {}; they cannot be joined along the channels. Hint: {} "
            "names the stored axes; a part is selected as in NAME[:, 0:32]",
            set->called(), set->shape_text(), shaped->called(), shaped->shape_text(), array.axes_key);
      if (!set->pixels().empty() && shaped == nullptr) shaped = set;
      field.type = first ? set->type() : common_type(field.type, set->type());
      first = false;
      field.gaps = field.gaps || set->gaps();
      field.decoding += set->decoding_text() + "\n";
      field.sources += set->sources();
      if (!array.file.empty() || !array.replace_from.empty()) field.sources += array.file + array.replace_to + "\n";
      if (field.checksum && set->checksum())
        field.checksum = std::rotl(*field.checksum, 1) ^ *set->checksum();
      else
        field.checksum.reset();
    }
    for (std::size_t step = 0; step < window.size(); ++step)
      for (Field::Piece& piece : pieces) {
        piece.offsets.push_back(field.channels);
        field.channels += sets_[piece.set]->channels();
      }
    const std::int64_t channels = field.channels - (pieces.front().offsets.front());
    if (array.expected.rank() > 0 && channels != array.expected[0])
      throw data_error("{}: [array {}] has {} channels per sample ({} datasets, {} time steps); the model needs {}:{}, {} channels. Hint: write {}:{}",
                       sets_[sets.front()]->called(), array.name, channels, array.parts.size(), window.size(), array.name, array.expected.text(),
                       array.expected[0], array.name, [&] {
                         Shape right = array.expected;
                         right[0] = channels;
                         return right.text();
                       }());
    field.pieces.insert(field.pieces.end(), pieces.begin(), pieces.end());
  }
  if (shaped != nullptr) field.pixels = shaped->pixels();
  // Numbers without pixels fill those of the model.
  if (shaped == nullptr && wanted.rank() > 1 && field.channels == wanted[0]) field.pixels.assign(wanted.span().begin() + 1, wanted.span().end());
  std::vector<std::int64_t> extents{field.channels};
  extents.insert(extents.end(), field.pixels.begin(), field.pixels.end());
  field.shape = Shape(std::span<const std::int64_t>(extents));
  return field;
}

void ShardArrays::index(const ShardNames& names) {
  const FrameSet *sampled = nullptr, *timed = nullptr;
  const auto agree = [&](const FrameSet*& first, const FrameSet& set, std::int64_t (FrameSet::*count)() const, const char* what) {
    if (first == nullptr) first = &set;
    if ((first->*count)() != (set.*count)())
      throw data_error(
          "{} has shape {}, {} {}; {} has shape {}, {}. All arrays of a shard need the same number. Hint: axes name the stored axes; an array "
          "that is the same for all samples has neither sample nor time among its axes",
          set.called(), set.shape_text(), (set.*count)(), what, first->called(), first->shape_text(), (first->*count)());
  };
  const FrameSet* grouped = nullptr;
  for (const auto& set : sets_) {
    if (set->members().empty()) continue;
    if (grouped == nullptr) grouped = set.get();
    const auto [one, other] = std::ranges::mismatch(grouped->members(), set->members(), {}, &SampleDataset::key, &SampleDataset::key);
    if (one == grouped->members().end() && other == set->members().end()) continue;
    throw data_error("{} and {} are not of the same samples: the first that differ are '{}' and '{}'. Hint: a sample may lack one of its datasets",
                     grouped->called(), set->called(), one == grouped->members().end() ? "(none)" : one->name,
                     other == set->members().end() ? "(none)" : other->name);
  }
  for (const auto& set : sets_) {
    if (set->has_samples()) agree(sampled, *set, &FrameSet::samples, "samples");
    if (set->has_time()) agree(timed, *set, &FrameSet::times, "time steps");
  }
  has_samples_ = sampled != nullptr, has_time_ = timed != nullptr;
  std::int64_t samples = has_samples_ ? sampled->samples() : 1, times = has_time_ ? timed->times() : 1;
  std::int64_t least = 0, most = 0;
  for (const Field* field : {&features_, &labels_})
    for (const Field::Piece& piece : field->pieces)
      for (const std::int64_t step : piece.window) least = std::min(least, step), most = std::max(most, step);
  // The range of rows applies to the samples, or to the time steps of files that are one sequence.
  std::int64_t& ranged = has_samples_ || !has_time_ ? samples : times;
  std::int64_t first = 0;
  if (!names.rows.whole()) {
    const auto clipped = [&](std::int64_t at) { return std::clamp<std::int64_t>(at < 0 ? at + ranged : at, 0, ranged); };
    first = clipped(names.rows.first);
    ranged = std::max<std::int64_t>(0, (names.rows.end ? clipped(*names.rows.end) : ranged) - first);
  }
  if (has_samples_ || !has_time_) first_sample_ = first;
  first_time_ = -least + (has_samples_ || !has_time_ ? 0 : first);
  const std::int64_t starts = times + least - most;  // time steps at which a window may stand
  per_sample_ = has_time_ ? (starts <= 0 ? 0 : (starts - 1) / stride_ + 1) : 1;
  rows_ = samples * per_sample_;
}

const std::byte* ShardArrays::frames(std::size_t at, std::int64_t sample, std::int64_t first, std::int64_t count, const Box* box, std::int64_t& asked) {
  FrameSet& set = *sets_[at];
  const bool cuts = box != nullptr && !set.pixels().empty();
  const std::optional<Box> wanted = cuts ? std::optional(*box) : std::nullopt;
  auto& slots = caches_[at];
  Cache& cache = slots[0].sample < 0 || slots[0].box == wanted ? slots[0] : slots[1];
  if (cache.box != wanted) {
    cache = Cache();
    cache.box = wanted;
  }
  std::int64_t pixels = 1;
  for (const std::int64_t extent : set.pixels()) pixels *= extent;
  const std::size_t frame = static_cast<std::size_t>(set.channels() * (cuts ? box->pixels() : pixels)) * size_of(set.type());
  std::int64_t keep = 0;
  if (cache.sample == sample && first >= cache.first && first < cache.first + cache.count) {
    keep = std::min(count, cache.first + cache.count - first);
    if (keep == count) return cache.frames.data() + static_cast<std::size_t>(first - cache.first) * frame;
    keep = cache.first + cache.count - first;
    std::memmove(cache.frames.data(), cache.frames.data() + static_cast<std::size_t>(first - cache.first) * frame, static_cast<std::size_t>(keep) * frame);
  }
  cache.sample = -1;  // until the read has succeeded
  cache.frames.resize(static_cast<std::size_t>(count) * frame);
  asked += set.read(sample, first + keep, count - keep, cuts ? box : nullptr, std::span(cache.frames).subspan(static_cast<std::size_t>(keep) * frame));
  cache.sample = sample, cache.first = first, cache.count = count;
  return cache.frames.data();
}

/// Rows of one sample at time steps first, first + step, ...; or, if nothing has time, samples sample, sample + 1, ...
std::int64_t ShardArrays::read_segment(const Field& field, std::int64_t sample, std::int64_t first, std::int64_t count, std::int64_t step, const Box* box,
                                       std::byte* out) {
  std::int64_t asked = 0, whole = 1;
  for (const std::int64_t extent : field.pixels) whole *= extent;
  const std::int64_t pixels = box != nullptr ? box->pixels() : whole;
  const std::size_t bytes = size_of(field.type), row = static_cast<std::size_t>(field.channels * pixels) * bytes;
  for (const Field::Piece& piece : field.pieces) {
    const FrameSet& set = *sets_[piece.set];
    const bool fills = set.pixels().empty() && !field.pixels.empty();
    const std::int64_t numbers = set.channels() * (fills || set.pixels().empty() ? 1 : pixels);
    const std::size_t frame = static_cast<std::size_t>(numbers) * size_of(set.type());
    const auto place = [&](const std::byte* from, std::int64_t i, std::size_t w) {
      std::byte* to = out + static_cast<std::size_t>(i) * row + static_cast<std::size_t>(piece.offsets[w] * pixels) * bytes;
      if (!fills) return convert(set.type(), field.type, numbers, from, to);
      for (std::int64_t c = 0; c < numbers; ++c, to += static_cast<std::size_t>(pixels) * bytes) {
        convert(set.type(), field.type, 1, from + static_cast<std::size_t>(c) * size_of(set.type()), to);
        fill(to, pixels, bytes);
      }
    };
    if (set.has_time()) {
      const std::int64_t least = piece.window.front(), most = piece.window.back(), s = set.has_samples() ? sample : 0;
      // Neighbouring windows that do not overlap are read one by one.
      const std::int64_t together = step > most - least + 1 ? 1 : count;
      for (std::int64_t i = 0; i < count; i += together) {
        const std::byte* const from = frames(piece.set, s, first + i * step + least, (together - 1) * step + most - least + 1, box, asked);
        for (std::int64_t j = 0; j < together; ++j)
          for (std::size_t w = 0; w < piece.window.size(); ++w) place(from + static_cast<std::size_t>(j * step + piece.window[w] - least) * frame, i + j, w);
      }
    } else if (set.has_samples() && !has_time_) {
      const std::byte* const from = frames(piece.set, 0, sample, count, box, asked);
      for (std::int64_t i = 0; i < count; ++i) place(from + static_cast<std::size_t>(i) * frame, i, 0);
    } else {
      const std::byte* const from = frames(piece.set, 0, set.has_samples() ? sample : 0, 1, box, asked);
      for (std::int64_t i = 0; i < count; ++i) place(from, i, 0);
    }
  }
  return asked;
}

std::int64_t ShardArrays::read(const Field& field, std::int64_t first, std::int64_t count, const Box* box, std::span<std::byte> out) {
  std::int64_t pixels = 1;
  for (const std::int64_t extent : field.pixels) pixels *= extent;
  if (box != nullptr) pixels = box->pixels();
  const std::size_t row = static_cast<std::size_t>(field.channels * pixels) * size_of(field.type);
  if (first < 0 || count < 0 || first + count > rows_ || out.size() != static_cast<std::size_t>(count) * row)
    throw internal_error("shard '{}': rows [{}, {}) of {} into {} bytes; a row has {}", path_, first, first + count, rows_, out.size(), row);
  std::int64_t asked = 0;
  if (!has_time_) return count == 0 ? 0 : read_segment(field, first_sample_ + first, 0, count, 1, box, out.data());
  for (std::int64_t r = first; r < first + count;) {
    const std::int64_t within = r % per_sample_, some = std::min(first + count - r, per_sample_ - within);
    asked += read_segment(field, first_sample_ + r / per_sample_, first_time_ + within * stride_, some, stride_, box,
                          out.data() + static_cast<std::size_t>(r - first) * row);
    r += some;
  }
  return asked;
}

}  // namespace trireme::detail
