// What netCDF's attributes make of stored integers: missing values, signs, and the description of a shard.
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <set>

#include "h5_files.hpp"
#include "support/temporary_directory.hpp"

using namespace trireme;
using namespace trireme::test;

namespace {

struct Attribute {
  std::string name;
  hid_t type;
  std::vector<std::int64_t> values;
};

void make_whole(const std::string& path, hid_t stored, const std::vector<std::int64_t>& values, const std::vector<Attribute>& attributes,
                const std::string& is_unsigned = "") {
  const h5::File file = new_file(path);
  const h5::Dataset set = add_data_set(file, "x", stored, {values.size()});
  TRIREME_H5(H5Dwrite(set, H5T_NATIVE_INT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()), path);
  for (const Attribute& one : attributes) {
    const hsize_t size = one.values.size();
    const h5::Space space(H5Screate_simple(1, &size, nullptr));
    const h5::Attribute made(TRIREME_H5(H5Acreate2(set, one.name.c_str(), one.type, space, H5P_DEFAULT, H5P_DEFAULT), path));
    TRIREME_H5(H5Awrite(made, H5T_NATIVE_INT64, one.values.data()), path);
  }
  if (is_unsigned.empty()) return;
  const h5::Type text(H5Tcopy(H5T_C_S1));
  TRIREME_H5(H5Tset_size(text, is_unsigned.size()), path);
  const h5::Space space(H5Screate(H5S_SCALAR));
  const h5::Attribute made(TRIREME_H5(H5Acreate2(set, "_Unsigned", text, space, H5P_DEFAULT, H5P_DEFAULT), path));
  TRIREME_H5(H5Awrite(made, text, is_unsigned.data()), path);
}

std::vector<double> all_of(const std::string& path) {
  const ShardNames names{.features = "x", .labels = ""};
  const ShardInfo info = describe_shard(path, names);
  ShardReader reader(info, names);
  std::vector<std::byte> bytes(static_cast<std::size_t>(info.rows) * size_of(info.feature_type));
  reader.read_features(0, info.rows, bytes);
  return to_doubles(bytes, info.feature_type);
}

std::vector<bool> missing_in(const std::string& path) {
  std::vector<bool> missing;
  for (const double value : all_of(path)) missing.push_back(std::isnan(value));
  return missing;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(decoding)

// As doubles, 2^53 and 2^53 + 1 are the same.
BOOST_AUTO_TEST_CASE(large_integers_are_compared_exactly) {
  const TemporaryDirectory folder;
  const std::string path = (folder / "s.h5").string();
  const std::int64_t big = std::int64_t{1} << 53, most = std::numeric_limits<std::int64_t>::max(), least = std::numeric_limits<std::int64_t>::min();
  for (const char* name : {"_FillValue", "missing_value"}) {
    make_whole(path, H5T_STD_I64LE, {big - 1, big, big + 1, big + 2, most, least}, {{name, H5T_STD_I64LE, {big + 1}}});
    BOOST_TEST(missing_in(path) == (std::vector<bool>{false, false, true, false, false, false}), boost::test_tools::per_element());
    make_whole(path, H5T_STD_U64LE, {big, big + 1, most}, {{name, H5T_STD_U64BE, {most}}});
    BOOST_TEST(missing_in(path) == (std::vector<bool>{false, false, true}), boost::test_tools::per_element());
  }
  make_whole(path, H5T_STD_I64LE, {big - 1, big, big + 1, big + 2}, {{"valid_range", H5T_STD_I64LE, {big, big + 1}}});
  BOOST_TEST(missing_in(path) == (std::vector<bool>{true, false, false, true}), boost::test_tools::per_element());
  make_whole(path, H5T_STD_I64LE, {big, big + 1, most}, {{"valid_min", H5T_STD_I64LE, {big + 1}}, {"valid_max", H5T_STD_I64LE, {most - 1}}});
  BOOST_TEST(missing_in(path) == (std::vector<bool>{true, false, true}), boost::test_tools::per_element());
  // Bounds outside of the type, and of another type.
  make_whole(path, H5T_STD_I8LE, {-128, 0, 127}, {{"valid_min", H5T_STD_I64LE, {-1000}}, {"valid_max", H5T_IEEE_F64LE, {100}}});
  BOOST_TEST(missing_in(path) == (std::vector<bool>{false, false, true}), boost::test_tools::per_element());
  make_whole(path, H5T_STD_U8LE, {0, 255}, {{"valid_min", H5T_STD_I64LE, {256}}});
  BOOST_TEST(missing_in(path) == (std::vector<bool>{true, true}), boost::test_tools::per_element());
  make_whole(path, H5T_STD_U8LE, {0, 255}, {{"_FillValue", H5T_STD_I64LE, {-1}}});
  BOOST_TEST(missing_in(path) == (std::vector<bool>{false, false}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(unsigned_says_what_integers_mean) {
  const TemporaryDirectory folder;
  const std::string path = (folder / "s.h5").string();
  const auto same = boost::test_tools::per_element();
  for (const char* yes : {"true", "True", "TRUE"}) {
    make_whole(path, H5T_STD_I8LE, {-5, -1, 7}, {}, yes);
    BOOST_TEST(all_of(path) == (std::vector<double>{251, 255, 7}), same);
  }
  for (const char* no : {"false", "False"}) {
    make_whole(path, H5T_STD_U8LE, {251, 255, 7}, {}, no);
    BOOST_TEST(all_of(path) == (std::vector<double>{-5, -1, 7}), same);
    make_whole(path, H5T_STD_I8LE, {-5, -1, 7}, {}, no);
    BOOST_TEST(all_of(path) == (std::vector<double>{-5, -1, 7}), same);
  }
  make_whole(path, H5T_STD_U8LE, {251, 255, 7}, {}, "true");
  BOOST_TEST(all_of(path) == (std::vector<double>{251, 255, 7}), same);
  make_whole(path, H5T_STD_U8LE, {251, 255, 7}, {}, "maybe");
  BOOST_TEST(all_of(path) == (std::vector<double>{251, 255, 7}), same);
  // Attributes are written in the type of the file, or in the type that is meant.
  for (const std::int64_t fill : {-1, 255}) {
    make_whole(path, H5T_STD_I8LE, {-5, -1, 7}, {{"_FillValue", H5T_STD_I16LE, {fill}}}, "true");
    BOOST_TEST(missing_in(path) == (std::vector<bool>{false, true, false}), same);
    make_whole(path, H5T_STD_U8LE, {251, 255, 7}, {{"_FillValue", H5T_STD_I16LE, {fill}}}, "false");
    BOOST_TEST(missing_in(path) == (std::vector<bool>{false, true, false}), same);
  }
  make_whole(path, H5T_STD_U8LE, {251, 255, 7}, {{"valid_range", H5T_STD_I16LE, {-3, 7}}}, "false");
  BOOST_TEST(missing_in(path) == (std::vector<bool>{true, false, false}), same);
}

// A checkpoint keeps a digest of these: a change between two starts is told.
BOOST_AUTO_TEST_CASE(every_attribute_changes_the_description) {
  const TemporaryDirectory folder;
  const std::string path = (folder / "s.h5").string();
  const ShardNames names{.features = "x", .labels = ""};
  std::set<std::uint64_t> digests;
  const auto decoding = [&](const std::vector<Attribute>& attributes, const std::string& is_unsigned = "") {
    make_whole(path, H5T_STD_I16LE, {1, 2, 3}, attributes, is_unsigned);
    return describe_shard(path, names).decoding;
  };
  const std::uint64_t plain = decoding({});
  BOOST_TEST(decoding({}) == plain);
  BOOST_TEST(decoding({{"units", H5T_STD_I16LE, {3}}}) == plain);  // an attribute without a meaning here
  digests.insert(plain);
  const hid_t type = H5T_STD_I16LE;
  for (const auto& attributes : std::vector<std::vector<Attribute>>{{{"scale_factor", type, {2}}},
                                                                    {{"scale_factor", type, {3}}},
                                                                    {{"add_offset", type, {2}}},
                                                                    {{"_FillValue", type, {2}}},
                                                                    {{"_FillValue", type, {-2}}},
                                                                    {{"missing_value", type, {4, 5}}},
                                                                    {{"valid_min", type, {2}}},
                                                                    {{"valid_max", type, {2}}},
                                                                    {{"valid_range", type, {1, 2}}}})
    digests.insert(decoding(attributes));
  digests.insert(decoding({}, "true"));
  BOOST_TEST(digests.size() == 11u);
  BOOST_TEST(describe_shard(path, {.features = "x", .labels = "", .netcdf = false}).decoding == plain);
}

BOOST_AUTO_TEST_SUITE_END()
