#include "io/importers/idx.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <limits>
#include <optional>

#include "base/error.hpp"
#include "io/importers/importer.hpp"

namespace trireme {

namespace {

std::optional<ElementType> element_type(std::uint8_t code) {
  switch (code) {
    case 0x08:
      return ElementType::u8;
    case 0x09:
      return ElementType::i8;
    case 0x0B:
      return ElementType::i16;
    case 0x0C:
      return ElementType::i32;
    case 0x0D:
      return ElementType::f32;
    case 0x0E:
      return ElementType::f64;
    default:
      return std::nullopt;
  }
}

void from_big_endian(std::span<std::byte> bytes, std::size_t width) {
  if (std::endian::native == std::endian::big) return;
  for (auto at = bytes.begin(); at != bytes.end(); at += static_cast<std::ptrdiff_t>(width)) std::reverse(at, at + static_cast<std::ptrdiff_t>(width));
}

template <class T>
void widen_as(std::span<const std::byte> bytes, std::span<std::int64_t> out) {
  for (std::size_t i = 0; i < out.size(); ++i) {
    T value;
    std::memcpy(&value, bytes.data() + i * sizeof(T), sizeof(T));
    out[i] = value;
  }
}

void widen(ElementType type, std::span<const std::byte> bytes, std::span<std::int64_t> out) {
  switch (type) {
    case ElementType::u8:
      return widen_as<std::uint8_t>(bytes, out);
    case ElementType::i8:
      return widen_as<std::int8_t>(bytes, out);
    case ElementType::i16:
      return widen_as<std::int16_t>(bytes, out);
    case ElementType::i32:
      return widen_as<std::int32_t>(bytes, out);
    default:
      throw internal_error("idx labels of type {} are not integers", name_of(type));
  }
}

// Two-dimensional samples become images of one channel; a single number becomes a vector of one.
Shape sample_shape(const Shape& row) {
  if (row.rank() == 2) return row.with_first(1);
  return row.rank() == 0 ? Shape{1} : row;
}

void require_same(const IdxFile& file, const IdxFile& other) {
  if (file.row() == other.row() && file.type() == other.type()) return;
  throw data_error("'{}': samples of shape {} and type {}; '{}' has {} and {}. Hint: check that they belong to the same data set", file.name(),
                   file.row().tuple(), name_of(file.type()), other.name(), other.row().tuple(), name_of(other.type()));
}

}  // namespace

IdxFile::IdxFile(const std::filesystem::path& path) : stream_(ByteStream::of_file(path)) {
  std::array<std::uint8_t, 4> magic{};
  const std::size_t got = stream_.read(std::as_writable_bytes(std::span(magic)));
  const auto type = element_type(magic[2]);
  const int rank = magic[3];
  if (got < magic.size() || magic[0] != 0 || magic[1] != 0 || !type || rank == 0)
    throw data_error(
        "'{}' is not an IDX file: it begins with the {} bytes {:02x} {:02x} {:02x} {:02x}; expected 00 00, an element "
        "type (08, 09, 0b, 0c, 0d, 0e) and the number of dimensions. Hint: a downloaded file may be an error page; download "
        "it again",
        name(), got, magic[0], magic[1], magic[2], magic[3]);
  if (rank > Shape::max_rank - 1) throw data_error("'{}': {} dimensions; at most {} are supported", name(), rank, Shape::max_rank - 1);
  type_ = *type;
  std::vector<std::int64_t> extents;
  double bytes = static_cast<double>(size_of(type_));
  for (int i = 0; i < rank; ++i) {
    std::array<std::uint8_t, 4> digits{};
    if (stream_.read(std::as_writable_bytes(std::span(digits))) < digits.size())
      throw data_error("'{}' ends inside its header: {} extents expected, {} found", name(), rank, i);
    extents.push_back(std::int64_t{digits[0]} << 24 | std::int64_t{digits[1]} << 16 | std::int64_t{digits[2]} << 8 | digits[3]);
    bytes *= static_cast<double>(extents.back());
    if (i > 0 && extents.back() == 0) throw data_error("'{}': dimension {} of {} has no elements", name(), i, rank);
  }
  if (bytes > 1e18)
    throw data_error("'{}': the shape in its header, {}, means {:.1e} bytes. Hint: the header is damaged", name(), Shape(extents).tuple(), bytes);
  rows_ = extents.front();
  row_ = Shape(extents).without_first();
}

void IdxFile::advance(std::int64_t count, std::int64_t found_bytes) {
  const auto width = static_cast<std::int64_t>(row_bytes());
  if (found_bytes < count * width)
    throw data_error(
        "'{}' is shorter than its header says: {} of {} means {} bytes of elements, found {}. Hint: the file was "
        "truncated; download it again",
        name(), row_.with_first(rows_).tuple(), name_of(type_), rows_ * width, at_ * width + found_bytes);
  at_ += count;
  if (at_ == rows_ && stream_.skip(1) > 0)
    throw data_error(
        "'{}' is longer than its header says: {} of {} means {} bytes of elements, and more follow. Hint: the header "
        "or the file is damaged; download it again",
        name(), row_.with_first(rows_).tuple(), name_of(type_), rows_ * width);
}

void IdxFile::skip_rows(std::int64_t count) {
  if (count > 0) advance(count, stream_.skip(count * static_cast<std::int64_t>(row_bytes())));
}

void IdxFile::read_rows(std::int64_t count, std::vector<std::byte>& out) {
  // A damaged header may request more memory than exists: memory grows only as rows arrive.
  constexpr std::size_t step = std::size_t{1} << 26;
  const std::size_t wanted = static_cast<std::size_t>(count) * row_bytes();
  std::size_t have = 0;
  out.clear();
  while (out.size() < wanted && have == out.size()) {
    out.resize(std::min(wanted, have + step));
    have += stream_.read(std::span(out).subspan(have));
  }
  advance(count, static_cast<std::int64_t>(have));
  from_big_endian(out, size_of(type_));
}

IdxSource::IdxSource(IdxFiles files) : files_(std::move(files)) {
  for (const Part part : all_parts) {
    if (files_.features[part].empty()) continue;
    const IdxFile features(files_.features[part]), labels(files_.labels[part]);
    if (features.rows() != labels.rows())
      throw data_error("'{}' holds {} samples, but '{}' holds {} labels. Hint: check that they belong to the same data set", features.name(), features.rows(),
                       labels.name(), labels.rows());
    if (is_integer(labels.type()) && labels.row().rank() > 0)
      throw data_error(
          "'{}': integer labels of shape {}; expected one number per sample (class labels), or float targets of any "
          "shape",
          labels.name(), labels.row().tuple());
    if (part == Part::test) {
      require_same(features, IdxFile(files_.features[Part::train]));
      require_same(labels, IdxFile(files_.labels[Part::train]));
    }
    counts_[part] = features.rows();
    layout_.sample = sample_shape(features.row());
    layout_.feature_type = features.type();
    const bool classes = is_integer(labels.type());
    layout_.label = classes || labels.row().rank() > 0 ? labels.row() : Shape{1};
    layout_.label_type = classes ? ElementType::i64 : labels.type();
  }
}

void IdxSource::stream(const PerPart<SampleRange>& wanted, const SampleSink& sink) const {
  constexpr std::size_t block_bytes = std::size_t{1} << 20;
  const auto block = static_cast<std::int64_t>(std::max<std::size_t>(block_bytes / layout_.feature_bytes(), 1));
  for (const Part part : all_parts) {
    const auto [first, end] = wanted[part];
    if (first >= end) continue;
    IdxFile features(files_.features[part]), labels(files_.labels[part]);
    features.skip_rows(first);
    labels.skip_rows(first);
    std::vector<std::byte> feature_bytes, label_bytes;
    std::vector<std::int64_t> classes;
    for (std::int64_t at = first; at < end; at += block) {
      const std::int64_t n = std::min(block, end - at);
      features.read_rows(n, feature_bytes);
      labels.read_rows(n, label_bytes);
      std::span<const std::byte> label_rows = label_bytes;
      if (is_integer(labels.type())) {
        classes.resize(static_cast<std::size_t>(n));
        widen(labels.type(), label_bytes, classes);
        label_rows = std::as_bytes(std::span(classes));
      }
      sink(part, n, feature_bytes, label_rows);
    }
  }
}

TRIREME_IMPORTER(idx) {
  return {.source = "a folder with train-images-idx3-ubyte[.gz] and the other three files, or one file with features",
          .help = "IDX files (the format of MNIST)",
          .open = [](const std::filesystem::path& source, const ImporterOptions&) { return std::make_unique<IdxSource>(find_idx_files(source)); }};
}

}  // namespace trireme
