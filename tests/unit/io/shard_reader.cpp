// Whatever numbers a file holds and however it stores them, the reader gives the same numbers.
#include <array>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <limits>
#include <numeric>
#include <set>

#include "h5_files.hpp"
#include "support/temporary_directory.hpp"

using namespace trireme;
using namespace trireme::test;

namespace {

struct StoredType {
  h5::Type type;
  ElementType read_as;
  bool is_signed;
};

h5::Type float_of_16_bits(std::size_t exponent_bits, std::size_t bias, H5T_order_t order) {
  h5::Type type(TRIREME_H5(H5Tcopy(H5T_IEEE_F32LE), "float16"));
  const std::size_t fraction = 15 - exponent_bits;
  TRIREME_H5(H5Tset_fields(type, 15, fraction, exponent_bits, 0, fraction), "float16");
  TRIREME_H5(H5Tset_size(type, 2), "float16");
  TRIREME_H5(H5Tset_ebias(type, bias), "float16");
  TRIREME_H5(H5Tset_order(type, order), "float16");
  return type;
}

h5::Type boolean() {  // as h5py stores numpy's bool
  h5::Type type(TRIREME_H5(H5Tenum_create(H5T_STD_I8LE), "bool"));
  std::int8_t value = 0;
  TRIREME_H5(H5Tenum_insert(type, "FALSE", &value), "bool");
  value = 1;
  TRIREME_H5(H5Tenum_insert(type, "TRUE", &value), "bool");
  return type;
}

std::vector<StoredType> stored_types() {
  using enum ElementType;
  h5::quiet();
  std::vector<StoredType> types;
  const auto add = [&](hid_t type, ElementType read_as, bool is_signed) { types.push_back({h5::Type(H5Tcopy(type)), read_as, is_signed}); };
  add(H5T_STD_U8LE, u8, false), add(H5T_STD_U8BE, u8, false), add(H5T_STD_I8LE, i8, true), add(H5T_STD_I8BE, i8, true);
  add(H5T_STD_U16LE, u16, false), add(H5T_STD_U16BE, u16, false), add(H5T_STD_I16LE, i16, true), add(H5T_STD_I16BE, i16, true);
  add(H5T_STD_U32LE, u32, false), add(H5T_STD_U32BE, u32, false), add(H5T_STD_I32LE, i32, true), add(H5T_STD_I32BE, i32, true);
  add(H5T_STD_U64LE, u64, false), add(H5T_STD_U64BE, u64, false), add(H5T_STD_I64LE, i64, true), add(H5T_STD_I64BE, i64, true);
  add(H5T_IEEE_F32LE, f32, true), add(H5T_IEEE_F32BE, f32, true), add(H5T_IEEE_F64LE, f64, true), add(H5T_IEEE_F64BE, f64, true);
  add(H5T_NATIVE_LDOUBLE, f64, true), add(H5T_STD_B8LE, u8, false);
  h5::Type three(TRIREME_H5(H5Tcopy(H5T_STD_I32LE), "int24"));
  TRIREME_H5(H5Tset_size(three, 3), "int24");
  types.push_back({std::move(three), i32, true});
  types.push_back({float_of_16_bits(5, 15, H5T_ORDER_LE), f32, true});
  types.push_back({float_of_16_bits(5, 15, H5T_ORDER_BE), f32, true});
  types.push_back({float_of_16_bits(8, 127, H5T_ORDER_LE), f32, true});  // bfloat16
  types.push_back({boolean(), u8, false});
  return types;
}

Layout random_layout(RandomStream& random, const std::vector<hsize_t>& extents) {
  Layout layout;
  const bool has_elements = product(extents) > 0;
  if (!has_elements || random.below(4) == 0) return layout;
  for (const hsize_t e : extents) layout.chunk.push_back(1 + random.below(e));
  layout.gzip = static_cast<int>(random.below(2) * 4);
  layout.shuffle = random.below(2) == 1;
  layout.checksum = random.below(3) == 0;
  return layout;
}

struct Content {
  std::vector<hsize_t> extents;
  std::vector<double> values;
};

Content add_random(RandomStream& random, hid_t file, const std::string& name, const StoredType& type, hsize_t rows, int rank, bool one_number = false) {
  Content content;
  content.extents.push_back(rows);
  for (int i = 0; i < rank; ++i) content.extents.push_back(one_number ? 1 : 1 + random.below(6));
  content.values = random_values(random, product(content.extents), type.is_signed);
  if (H5Tget_class(type.type) == H5T_ENUM)
    for (double& v : content.values) v = v > 50 ? 1 : 0;
  add_values(file, name, type.type, content.extents, content.values, random_layout(random, content.extents));
  return content;
}

/// All rows come back through reads of any ranges, in any order.
template <class Read>
void check_rows(RandomStream& random, const Content& content, ElementType type, Read read) {
  const std::size_t rows = content.extents[0], row = rows == 0 ? 0 : content.values.size() / rows;
  for (int i = 0; i < 8; ++i) {
    const std::size_t first = i == 0 ? 0 : random.below(rows + 1);
    const std::size_t count = i == 0 ? rows : random.below(rows - first + 1);
    std::vector<std::byte> bytes(count * row * size_of(type));
    read(static_cast<std::int64_t>(first), static_cast<std::int64_t>(count), std::span(bytes));
    const std::vector<double> expected(content.values.begin() + static_cast<std::ptrdiff_t>(first * row),
                                       content.values.begin() + static_cast<std::ptrdiff_t>((first + count) * row));
    BOOST_REQUIRE(to_doubles(bytes, type) == expected);
  }
}

/// Bytes that this process has read from files, cached ones too.
std::int64_t bytes_read() {
  std::ifstream in("/proc/self/io");
  std::string name;
  std::int64_t count = 0;
  in >> name >> count;
  BOOST_REQUIRE(name == "rchar:");
  return count;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(shard_reader)

BOOST_AUTO_TEST_CASE(element_types_have_numpys_names) {
  BOOST_TEST(std::string(name_of(ElementType::u8)) == "uint8");
  BOOST_TEST(std::string(name_of(ElementType::f64)) == "float64");
  BOOST_TEST(is_integer(ElementType::u64));
  BOOST_TEST(!is_integer(ElementType::f32));
  for (int i = 0; i < 10; ++i) {
    const auto type = static_cast<ElementType>(i);
    BOOST_TEST(H5Tget_size(memory_type(type)) == size_of(type));
    BOOST_TEST((H5Tget_class(memory_type(type)) == H5T_INTEGER) == is_integer(type));
  }
}

BOOST_AUTO_TEST_CASE(any_type_shape_and_layout) {
  const TemporaryDirectory folder;
  const std::string path = (folder / "s.h5").string();
  const std::vector<StoredType> types = stored_types();
  RandomStream random(5);
  for (std::size_t trial = 0; trial < 8 * types.size(); ++trial) {
    const StoredType& x = types[trial % types.size()];
    const StoredType& y = types[random.below(types.size())];
    const hsize_t rows = random.below(5) == 0 ? 0 : 1 + random.below(40);
    Content features, labels;
    {
      const h5::File file = new_file(path);
      features = add_random(random, file, "x", x, rows, static_cast<int>(random.below(5)));
      labels = add_random(random, file, "y", y, rows, static_cast<int>(random.below(3)), random.below(2) == 1);
    }
    const ShardInfo info = describe_shard(path, {});
    BOOST_TEST_CONTEXT("features stored as " << h5::type_text(x.type) << ", labels as " << h5::type_text(y.type) << ", rows " << rows) {
      BOOST_REQUIRE(info.rows == static_cast<std::int64_t>(rows));
      BOOST_REQUIRE(std::string(name_of(info.feature_type)) == std::string(name_of(x.read_as)));
      BOOST_REQUIRE(std::string(name_of(info.label_type)) == std::string(name_of(y.read_as)));
      ShardReader reader(info, {});
      check_rows(random, features, info.feature_type, [&](auto... a) { reader.read_features(a...); });
      check_rows(random, labels, info.label_type, [&](auto... a) { reader.read_labels(a...); });
    }
  }
}

BOOST_AUTO_TEST_CASE(single_samples) {
  const TemporaryDirectory folder;
  const std::string path = (folder / "s.h5").string();
  RandomStream random(6);
  for (const StoredType& type : stored_types()) {
    const std::vector<double> values = random_values(random, 6), label = random_values(random, 1);
    if (H5Tget_class(type.type) == H5T_ENUM) continue;
    {
      const h5::File file = new_file(path);
      add_values(file, "x", type.type, {2, 3}, values);
      add_values(file, "y", H5T_STD_I16BE, {}, label);
    }
    ShardReader reader(describe_shard(path, {}, Shape{1, 2, 3}), {});
    BOOST_REQUIRE(reader.info().single_sample);
    std::vector<std::byte> x(6 * size_of(reader.info().feature_type)), y(2);
    reader.read_features(0, 1, x);
    reader.read_labels(0, 1, y);
    BOOST_TEST(to_doubles(x, reader.info().feature_type) == values, boost::test_tools::per_element());
    BOOST_TEST(to_doubles(y, ElementType::i16) == label, boost::test_tools::per_element());
  }
}

// However a file's shape shows the sample that the model sees, or hides it, a box of it is that part of the whole.
BOOST_AUTO_TEST_CASE(a_box_is_that_part_of_the_whole) {
  const TemporaryDirectory folder;
  const std::string path = (folder / "s.h5").string();
  const std::vector<StoredType> types = stored_types();
  RandomStream random(9);
  const auto up_to = [&](std::uint64_t n) { return static_cast<std::int64_t>(1 + random.below(n)); };
  int shown = 0, cut = 0;
  for (std::size_t trial = 0; trial < 10 * types.size(); ++trial) {
    const StoredType& type = types[trial % types.size()];
    const int dims = 1 + static_cast<int>(random.below(3));
    Shape seen{random.below(2) == 0 ? 1 : up_to(3)};
    std::array<std::int64_t, 3> extents{1, 1, 1};
    for (int d = 0; d < dims; ++d) {
      Shape longer = seen.with_first(0);
      for (int i = 0; i < seen.rank(); ++i) longer[i] = seen[i];
      longer[seen.rank()] = extents[static_cast<std::size_t>(3 - dims + d)] = random.below(5) == 0 ? 1 : up_to(9);
      seen = longer;
    }
    // As it is, with more or fewer leading ones, as a mere list of numbers, or with a leading extent split in two.
    std::vector<hsize_t> stored(seen.span().begin(), seen.span().end());
    const auto how = random.below(5);
    if (how == 1) stored.insert(stored.begin(), 1 + random.below(2), 1);
    if (how == 2)
      while (stored.size() > 1 && stored.front() == 1) stored.erase(stored.begin());
    if (how == 3) stored = {product(stored)};
    if (how == 4) stored.insert(stored.begin() + 1, 1);
    const bool single = random.below(6) == 0;
    const hsize_t rows = single ? 1 : 1 + random.below(12);
    if (!single) stored.insert(stored.begin(), rows);
    {
      const h5::File file = new_file(path);
      std::vector<double> values = random_values(random, product(stored), type.is_signed);
      if (H5Tget_class(type.type) == H5T_ENUM)
        for (double& v : values) v = v > 50 ? 1 : 0;
      add_values(file, "x", type.type, stored, values, random_layout(random, stored));
      add_values(file, "y", type.type, stored, values, random_layout(random, stored));
    }
    ShardInfo info = describe_shard(path, {}, single ? seen : Shape{});
    if (info.sample.size() != seen.size()) continue;  // a single sample in disguise that only the data set's siblings could tell
    ShardReader reader(info, {}, seen, seen);
    const ElementType of = info.feature_type;
    std::vector<std::byte> bytes(static_cast<std::size_t>(info.rows * seen.size()) * size_of(of));
    BOOST_TEST(reader.read_features(0, info.rows, bytes) == static_cast<std::int64_t>(bytes.size()));
    const std::vector<double> whole = to_doubles(bytes, of);
    for (int i = 0; i < 6; ++i) {
      const auto first = static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(info.rows) + 1));
      const auto count = static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(info.rows - first) + 1));
      Box box;
      for (std::size_t a = 0; a < 3; ++a) {
        box.first[a] = static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(extents[a])));
        box.extent[a] = static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(extents[a] - box.first[a]) + 1));
      }
      std::vector<double> expected;
      for (std::int64_t plane = first * seen[0]; plane < (first + count) * seen[0]; ++plane)
        for (std::int64_t z = box.first[0]; z < box.end(0); ++z)
          for (std::int64_t y = box.first[1]; y < box.end(1); ++y)
            for (std::int64_t x = box.first[2]; x < box.end(2); ++x)
              expected.push_back(whole[static_cast<std::size_t>(((plane * extents[0] + z) * extents[1] + y) * extents[2] + x)]);
      std::vector<std::byte> out(expected.size() * size_of(of));
      const std::int64_t asked = reader.read_features(first, count, box, out);
      BOOST_TEST_CONTEXT("seen as " << seen.text() << ", stored as " << info.sample.text() << ", rows " << first << "+" << count) {
        BOOST_REQUIRE(to_doubles(out, of) == expected);
        const auto part_bytes = static_cast<std::int64_t>(out.size()), whole_bytes = count * seen.size() * static_cast<std::int64_t>(size_of(of));
        if (how < 3 || part_bytes == 0)
          BOOST_TEST(asked == part_bytes);
        else
          BOOST_TEST((asked == part_bytes || asked == whole_bytes));
        if (part_bytes > 0 && part_bytes < whole_bytes) ++(asked == part_bytes ? shown : cut);
        std::fill(out.begin(), out.end(), std::byte{0xEE});
        reader.read_labels(first, count, box, out);
        BOOST_REQUIRE(to_doubles(out, of) == expected);
      }
    }
  }
  BOOST_TEST(shown > 100);
  BOOST_TEST(cut > 20);
}

BOOST_AUTO_TEST_CASE(a_box_outside_the_sample_is_a_fault_of_the_caller) {
  const TemporaryDirectory folder;
  const std::string path = (folder / "s.h5").string();
  {
    const h5::File file = new_file(path);
    add_data_set(file, "x", H5T_STD_U8LE, {4, 3, 5});
  }
  const ShardInfo info = describe_shard(path, {"x", ""});
  ShardReader reader(info, {"x", ""}, Shape{3, 5});
  std::vector<std::byte> bytes(4 * 3 * 2);
  check_error([&] { reader.read_features(0, 4, Box{.first = {0, 0, 4}, .extent = {1, 1, 2}}, bytes); }, ExitCode::internal, {path, "4+2", "(3, 5)"});
  check_error([&] { reader.read_features(0, 4, Box{.first = {0, 0, 0}, .extent = {1, 2, 2}}, bytes); }, ExitCode::internal, {path});
  check_error([&] { reader.read_features(0, 4, Box{.first = {0, 0, 0}, .extent = {1, 1, 3}}, bytes); }, ExitCode::internal, {path});
  ShardReader flat(info, {"x", ""}, Shape{4, 5});
  check_error([&] { flat.read_features(0, 4, Box{.first = {0, 0, 0}, .extent = {1, 1, 2}}, bytes); }, ExitCode::internal, {path, "(4, 5)"});
}

BOOST_AUTO_TEST_CASE(wrong_ranges_are_faults_of_the_caller) {
  const TemporaryDirectory folder;
  const std::string path = (folder / "s.h5").string();
  {
    const h5::File file = new_file(path);
    add_data_set(file, "x", H5T_STD_U8LE, {4, 3});
  }
  ShardReader reader(describe_shard(path, {"x", ""}), {"x", ""});
  std::vector<std::byte> bytes(6);
  check_error([&] { reader.read_features(3, 2, bytes); }, ExitCode::internal, {path});
  check_error([&] { reader.read_features(-1, 2, bytes); }, ExitCode::internal, {path});
  check_error([&] { reader.read_features(0, 1, bytes); }, ExitCode::internal, {path});
  check_error([&] { reader.read_labels(0, 2, bytes); }, ExitCode::internal, {path, "labels"});
  ShardReader moved = std::move(reader);
  BOOST_CHECK_NO_THROW(moved.read_features(2, 2, bytes));
}

BOOST_AUTO_TEST_CASE(a_shard_that_changed_since_it_was_described_is_named) {
  const TemporaryDirectory folder;
  const std::string path = (folder / "s.h5").string();
  const auto make = [&](hsize_t rows) {
    const h5::File file = new_file(path);
    add_data_set(file, "x", H5T_STD_U8LE, {rows, 3});
  };
  make(4);
  const ShardInfo info = describe_shard(path, {"x", ""});
  make(3);
  check_error([&] { ShardReader reader(info, {"x", ""}); }, ExitCode::data, {path, "(3, 3)", "4 rows"});
}

BOOST_AUTO_TEST_CASE(damaged_chunks_name_file_data_set_and_rows) {
  const TemporaryDirectory folder;
  const std::string path = (folder / "s.h5").string();
  RandomStream random(7);
  const std::vector<double> values = random_values(random, 64 * 50);
  haddr_t address = HADDR_UNDEF;
  {
    const h5::File file = new_file(path);
    Layout layout;
    layout.chunk = {8, 50};
    layout.checksum = true;
    add_values(file, "x", H5T_STD_U8LE, {64, 50}, values, layout);
    const h5::Dataset dataset(H5Dopen2(file, "x", H5P_DEFAULT));
    const hsize_t chunk[] = {16, 0};
    unsigned mask = 0;
    hsize_t size = 0;
    BOOST_REQUIRE(H5Dget_chunk_info_by_coord(dataset, chunk, &mask, &address, &size) >= 0);
  }
  std::string bytes = bytes_of(path);
  bytes[address + 11] ^= 4;
  write_bytes(path, bytes);
  ShardReader reader(describe_shard(path, {"x", ""}), {"x", ""});
  std::vector<std::byte> rows(8 * 50);
  check_error([&] { reader.read_features(16, 8, rows); }, ExitCode::data, {path, "rows [16, 24)", "'x'", "checksum", "Hint"});
  BOOST_CHECK_NO_THROW(reader.read_features(24, 8, rows));
}

// One chunk that holds all rows, read a row at a time: without a cache that holds it, it would be read and decompressed for every row.
BOOST_AUTO_TEST_CASE(a_chunk_is_not_decompressed_for_every_row) {
  const TemporaryDirectory folder;
  const std::string path = (folder / "s.h5").string();
  const hsize_t rows = 512, row = 16384;  // 8 MiB, more than HDF5's own default of 1 MiB
  {
    const h5::File file = new_file(path);
    Layout layout;
    layout.chunk = {rows, row};
    layout.gzip = 1;
    RandomStream random(8);
    add_values(file, "x", H5T_STD_U8LE, {rows, row}, random_values(random, rows * row), layout);
  }
  const ShardInfo info = describe_shard(path, {"x", ""});
  std::vector<std::byte> bytes(rows * row);
  const auto read_by = [&](std::int64_t run) {
    const std::int64_t before = bytes_read();
    ShardReader reader(info, {"x", ""});
    for (std::int64_t first = 0; first < info.rows; first += run) reader.read_features(first, run, std::span(bytes).first(static_cast<std::size_t>(run) * row));
    return bytes_read() - before;
  };
  const std::int64_t at_once = read_by(info.rows), by_row = read_by(1);
  BOOST_TEST(at_once > (1 << 20));  // of the chunk, about 6.5 MiB when packed
  BOOST_TEST(by_row < at_once + (1 << 20));
}

BOOST_AUTO_TEST_SUITE_END()
