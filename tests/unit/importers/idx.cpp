#include "io/importers/idx.hpp"

#include <boost/test/unit_test.hpp>
#include <cmath>

#include "support.hpp"
#include "support/temporary_directory.hpp"

using namespace trireme;
using namespace trireme::test;

namespace {

std::string big_endian(std::uint64_t value, int bytes) {
  std::string text;
  for (int i = bytes - 1; i >= 0; --i) text += static_cast<char>(value >> (8 * i) & 0xff);
  return text;
}

std::string header(int code, const std::vector<std::uint32_t>& extents) {
  std::string text{'\0', '\0', static_cast<char>(code), static_cast<char>(extents.size())};
  for (const auto extent : extents) text += big_endian(extent, 4);
  return text;
}

template <class T>
std::string elements(const std::vector<T>& values) {
  std::string text;
  for (const T value : values) {
    std::uint64_t bits = 0;
    std::memcpy(&bits, &value, sizeof(T));  // little-endian hosts: the low bytes
    text += big_endian(bits, sizeof(T));
  }
  return text;
}

std::vector<std::uint8_t> class_labels(std::size_t n) {
  std::vector<std::uint8_t> labels(n);
  for (std::size_t i = 0; i < n; ++i) labels[i] = static_cast<std::uint8_t>((i * 7 + 3) % 10);
  return labels;
}

// A whole data set of n + n/2 samples with elements of type T, written and read back.
template <class T>
void round_trip(int code, ElementType type, const std::vector<std::uint32_t>& row, const Shape& expected, bool packed) {
  const TemporaryDirectory folder;
  RandomStream random(mix(static_cast<std::uint64_t>(code), row.size()));
  PerPart<std::vector<T>> values;
  const PerPart<std::size_t> counts{2000 + random.below(500), 3};
  for (const Part part : all_parts) {
    std::vector<std::uint32_t> extents{static_cast<std::uint32_t>(counts[part])};
    extents.insert(extents.end(), row.begin(), row.end());
    values[part].resize(counts[part] * static_cast<std::size_t>(expected.size()));
    for (T& value : values[part]) value = static_cast<T>(static_cast<std::int32_t>(random.bits()) / 3);
    const std::string prefix = part == Part::train ? "train" : "t10k";
    const auto write = packed ? write_gzip : write_file;
    const std::string suffix = packed ? ".gz" : "";
    write(folder / (prefix + "-images-idx3-ubyte" + suffix), header(code, extents) + elements(values[part]));
    write(folder / (prefix + "-labels.idx1-ubyte" + suffix), header(8, {static_cast<std::uint32_t>(counts[part])}) + elements(class_labels(counts[part])));
  }
  const IdxSource source(find_idx_files(folder.path()));
  BOOST_TEST(source.layout().sample.tuple() == expected.tuple());
  BOOST_TEST((source.layout().feature_type == type));
  BOOST_TEST((source.layout().label_type == ElementType::i64));
  const Collected all = collect(source);
  for (const Part part : all_parts) {
    BOOST_TEST(source.count(part) == static_cast<std::int64_t>(counts[part]));
    BOOST_TEST((values_of<T>(all.features[part]) == values[part]));
    const auto labels = class_labels(counts[part]);
    BOOST_TEST((values_of<std::int64_t>(all.labels[part]) == std::vector<std::int64_t>(labels.begin(), labels.end())));
  }
  BOOST_TEST(pieces_agree(source, random));
}

// A folder with a good train part of four 2x2 samples, which a test then spoils.
struct Good {
  TemporaryDirectory folder;
  std::filesystem::path images = folder / "train-images-idx3-ubyte", labels = folder / "train-labels-idx1-ubyte";
  std::string image_bytes = header(8, {4, 2, 2}) + std::string("0123456789abcdef");
  std::string label_bytes = header(8, {4}) + std::string("\0\1\2\3", 4);
  Good() {
    write_file(images, image_bytes);
    write_file(labels, label_bytes);
  }
  std::string message() const {
    return message_of([&] { collect(IdxSource(find_idx_files(folder.path()))); });
  }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(idx)

BOOST_AUTO_TEST_CASE(every_element_type_and_rank) {
  round_trip<std::uint8_t>(0x08, ElementType::u8, {5, 7}, Shape{1, 5, 7}, true);
  round_trip<std::int8_t>(0x09, ElementType::i8, {3, 4, 5}, Shape{3, 4, 5}, false);
  round_trip<std::int16_t>(0x0B, ElementType::i16, {6}, Shape{6}, true);
  round_trip<std::int32_t>(0x0C, ElementType::i32, {}, Shape{1}, false);
  round_trip<float>(0x0D, ElementType::f32, {2, 2}, Shape{1, 2, 2}, true);
  round_trip<double>(0x0E, ElementType::f64, {3, 3}, Shape{1, 3, 3}, false);
}

BOOST_AUTO_TEST_CASE(float_labels_are_targets) {
  const TemporaryDirectory folder;
  const std::vector<float> targets{1.5f, -2.25f, 3.0f, 4.0f, 1e-30f, 6.0f};
  write_file(folder / "train-images-idx2-float", header(8, {3, 2}) + "abcdef");
  write_file(folder / "train-labels-idx2-float", header(0x0D, {3, 2}) + elements(targets));
  const IdxSource source(find_idx_files(folder / "train-images-idx2-float"));
  BOOST_TEST(source.layout().label.tuple() == "(2)");
  BOOST_TEST(source.count(Part::test) == 0);
  BOOST_TEST((values_of<float>(collect(source).labels[Part::train]) == targets));
}

BOOST_AUTO_TEST_CASE(unpacked_and_packed_side_by_side_count_once) {
  Good good;
  write_gzip(good.folder / "train-images-idx3-ubyte.gz", good.image_bytes);
  for (const char* stray : {"train-images-idx3-ubyte.gz.md5", "train-labels-idx1-ubyte.md5", "._train-images-idx3-ubyte"})
    write_file(good.folder / stray, "no IDX file");
  BOOST_TEST(good.message() == "");
  write_file(good.folder / "fashion-train-images-idx3-ubyte", good.image_bytes);
  BOOST_TEST(says(good.message(), {"several files", "fashion-train-images-idx3-ubyte", "Hint"}));
}

BOOST_AUTO_TEST_CASE(a_cut_or_padded_file_is_named) {
  Good good;
  BOOST_TEST(good.message() == "");
  for (std::size_t kept = 0; kept < good.image_bytes.size(); ++kept) {
    write_file(good.images, good.image_bytes.substr(0, kept));
    BOOST_TEST(says(good.message(), {"train-images-idx3-ubyte"}));
  }
  BOOST_TEST(says(good.message(), {"(4, 2, 2)", "16 bytes", "found 15", "truncated"}));
  write_file(good.images, good.image_bytes + "x");
  BOOST_TEST(says(good.message(), {"train-images-idx3-ubyte", "longer", "16 bytes"}));
  write_file(good.images, good.image_bytes);
  write_file(good.labels, good.label_bytes.substr(0, good.label_bytes.size() - 1));
  BOOST_TEST(says(good.message(), {"train-labels-idx1-ubyte", "shorter", "4 bytes"}));
}

BOOST_AUTO_TEST_CASE(a_cut_gzip_is_named) {
  Good good;
  RandomStream random(9);
  std::string noise;
  for (int i = 0; i < 40000; ++i) noise += static_cast<char>(random.bits());
  std::filesystem::remove(good.images);
  const auto packed = good.folder / "train-images-idx3-ubyte.gz";
  write_gzip(packed, header(8, {4, 100, 100}) + noise);
  BOOST_TEST(good.message() == "");
  const std::string whole = read_file(packed);
  for (const double share : {0.2, 0.6, 0.999}) {
    write_file(packed, whole.substr(0, static_cast<std::size_t>(share * static_cast<double>(whole.size()))));
    BOOST_TEST(says(good.message(), {"train-images-idx3-ubyte.gz", "Hint"}));
  }
}

BOOST_AUTO_TEST_CASE(what_is_not_idx_is_refused) {
  Good good;
  write_file(good.images, "<!DOCTYPE html><html>not found</html>");
  BOOST_TEST(says(good.message(), {"not an IDX file", "3c 21 44 4f", "00 00", "Hint"}));
  write_file(good.images, header(0x0A, {4, 2, 2}) + std::string(16, 'x'));
  BOOST_TEST(says(good.message(), {"not an IDX file", "0a"}));
  write_file(good.images, header(8, {4, 2, 0}));
  BOOST_TEST(says(good.message(), {"dimension 2", "no elements"}));
  write_file(good.images, header(8, {0xffffffff, 0xffffffff, 0xffffffff}));
  BOOST_TEST(says(good.message(), {"header is damaged"}));
  write_file(good.images, header(8, {4, 1, 1, 1, 1, 1, 1, 1, 1}));
  BOOST_TEST(says(good.message(), {"9 dimensions"}));
}

BOOST_AUTO_TEST_CASE(files_that_disagree_are_named) {
  Good good;
  write_file(good.labels, header(8, {5}) + "01234");
  BOOST_TEST(says(good.message(), {"train-images", "4 samples", "train-labels", "5 labels"}));
  write_file(good.labels, header(8, {4, 2}) + "01234567");
  BOOST_TEST(says(good.message(), {"train-labels", "shape (2)", "one number per sample"}));
  write_file(good.labels, good.label_bytes);
  write_file(good.folder / "t10k-labels-idx1-ubyte", good.label_bytes);
  write_file(good.folder / "t10k-images-idx3-ubyte", header(8, {4, 2, 1}) + "01234567");
  BOOST_TEST(says(good.message(), {"t10k-images", "(2, 1)", "train-images", "(2, 2)"}));
}

BOOST_AUTO_TEST_CASE(missing_files_are_named) {
  Good good;
  std::filesystem::remove(good.labels);
  BOOST_TEST(says(good.message(), {"no labels", "train-labels"}));
  std::filesystem::remove(good.images);
  BOOST_TEST(says(good.message(), {"no IDX train features", "train-images-idx3-ubyte", "empty folder"}));
  write_file(good.folder / "readme.txt", "x");
  BOOST_TEST(says(good.message(), {"found readme.txt"}));
}

BOOST_AUTO_TEST_SUITE_END()
