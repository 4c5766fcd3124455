// Finding shards, and describing what they hold or what is wrong with them.
#include <boost/test/unit_test.hpp>

#include "h5_files.hpp"
#include "support/temporary_directory.hpp"

using namespace trireme;
using namespace trireme::test;
namespace fs = std::filesystem;

namespace {

const ShardNames names;

void touch(const fs::path& path) {
  fs::create_directories(path.parent_path());
  write_bytes(path, "");
}

std::vector<std::string> file_names(const std::string& where) {
  std::vector<std::string> found;
  for (const auto& path : find_shards(where)) found.push_back(fs::path(path).filename().string());
  return found;
}

void make_shard(const fs::path& path, const std::vector<hsize_t>& features, const std::vector<hsize_t>& labels, hid_t feature_type = H5T_STD_U8LE,
                hid_t label_type = H5T_STD_I64LE) {
  const h5::File file = new_file(path);
  add_data_set(file, "/x", feature_type, features);
  add_data_set(file, "/y", label_type, labels);
}

using Names = std::vector<std::string>;

}  // namespace

BOOST_AUTO_TEST_SUITE(shard_files)

BOOST_AUTO_TEST_CASE(folders_globs_and_lists) {
  const TemporaryDirectory folder;
  for (const char* name : {"b.h5", "a.hdf5", "c.h5", ".d.h5.partial", ".e.h5", "readme.txt", "train/part_2.h5", "train/part_10.h5"}) touch(folder / name);
  fs::create_directory(folder / "f.h5");  // a folder of that name is no shard
  const std::string at = folder.path().string();
  BOOST_TEST(file_names(at) == (Names{"a.hdf5", "b.h5", "c.h5"}), boost::test_tools::per_element());
  BOOST_TEST(file_names(at + "/[ab].*") == (Names{"a.hdf5", "b.h5"}), boost::test_tools::per_element());
  BOOST_TEST(file_names(at + "/c.h5, " + at + "/train") == (Names{"c.h5", "part_10.h5", "part_2.h5"}), boost::test_tools::per_element());
  BOOST_TEST(file_names(at + "/readme.txt").size() == 1u);  // what is named is taken, whatever its name
  touch(folder / "with,comma.h5");
  BOOST_TEST(file_names(at + "/with,comma.h5") == (Names{"with,comma.h5"}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(patterns_match_as_in_a_shell) {
  const TemporaryDirectory folder;
  for (const char* name : {"src1/a.h5", "src2/b.h5", "src2/.c.h5", "src10/a.h5", "src-x/a.h5", "st*r/a.h5", "src.txt", "src1/deep/d.h5"}) touch(folder / name);
  const std::string at = folder.path().string();
  const auto found = [&](const std::string& pattern) {
    Names names;
    for (const auto& path : find_shards(at + pattern)) names.push_back(path.substr(at.size()));
    return names;
  };
  const auto same = boost::test_tools::per_element();
  BOOST_TEST(found("/src*/*.h5") == (Names{"/src-x/a.h5", "/src1/a.h5", "/src10/a.h5", "/src2/b.h5"}), same);
  BOOST_TEST(found("/src?/*.h5") == (Names{"/src1/a.h5", "/src2/b.h5"}), same);
  BOOST_TEST(found("//src*//a.h5") == (Names{"/src-x/a.h5", "/src1/a.h5", "/src10/a.h5"}), same);
  BOOST_TEST(found("/src[!1]/.*.h5") == (Names{"/src2/.c.h5"}), same);
  BOOST_TEST(found("/src2/../src1/?.h5") == (Names{"/src2/../src1/a.h5"}), same);
  BOOST_TEST(found("/st\\*r/*") == (Names{"/st*r/a.h5"}), same);
  BOOST_TEST(found("/*/deep/*") == (Names{"/src1/deep/d.h5"}), same);
  check_error([&] { find_shards(at + "/src*/z*.h5"); }, ExitCode::data, {"no file matches"});
  check_error([&] { find_shards(at + "/src1/*/"); }, ExitCode::data, {"no file matches"});
}

// A folder that cannot be read holds an unknown number of shards.
BOOST_AUTO_TEST_CASE(folders_that_cannot_be_read_are_named) {
  const TemporaryDirectory folder;
  for (const char* name : {"src0/a.h5", "src1/a.h5", "src2/a.h5"}) touch(folder / name);
  const std::string at = folder.path().string();
  const Denied denied(folder / "src1");
  const NotRoot here;
  if (!here) return;
  for (const char* pattern : {"/src*/*.h5", "/src*/a.h5", "/*/*", "/src1/*.h5"})
    check_error([&] { find_shards(at + pattern); }, ExitCode::data, {at + pattern, at + "/src1", "Permission denied", "Hint"});
  check_error([&] { find_shards(at + "/src1/a.h5"); }, ExitCode::data, {at + "/src1/a.h5", "Permission denied"});
  check_error([&] { find_shards(at + "/src1"); }, ExitCode::data, {at + "/src1", "Permission denied"});
  check_error([&] { describe_shard(at + "/src1/a.h5", names); }, ExitCode::data, {at + "/src1/a.h5", "Permission denied"});
  BOOST_TEST(find_shards(at + "/src[02]/*.h5").size() == 2u);
}

BOOST_AUTO_TEST_CASE(a_file_counts_once_under_all_of_its_names) {
  const TemporaryDirectory folder;
  touch(folder / "data/a.h5");
  touch(folder / "data/b.h5");
  fs::create_hard_link(folder / "data/a.h5", folder / "hard.h5");
  fs::create_symlink(folder / "data/a.h5", folder / "soft.h5");
  fs::create_directory_symlink(folder / "data", folder / "link");
  const std::string at = folder.path().string(), first = at + "/data/a.h5";
  const std::string relative = fs::relative(first).string();
  for (const std::string& again : {first, at + "/./data/../data/a.h5", at + "/hard.h5", at + "/soft.h5", at + "/link", at + "/link/a.h5", relative})
    check_error([&] { find_shards(first + "," + again); }, ExitCode::data, {"more than once", "used twice"});
  check_error([&] { find_shards(first + "," + at + "/hard.h5"); }, ExitCode::data, {"'" + at + "/hard.h5'", "'" + first + "' is the same file"});
  check_error([&] { find_shards(at + "/*/a.h5"); }, ExitCode::data, {"more than once"});
  BOOST_TEST(find_shards(first + "," + at + "/data/b.h5").size() == 2u);
  // A link without a target is no duplicate of another one; opening it says what is wrong.
  for (const char* name : {"x.h5", "y.h5"}) fs::create_symlink(folder / "nowhere", folder / name);
  BOOST_TEST(find_shards(at + "/x.h5," + at + "/y.h5").size() == 2u);
}

BOOST_AUTO_TEST_CASE(endings_of_hdf5_files) {
  const TemporaryDirectory folder;
  const auto names_of = [&](const std::string& inner, const Names& files) {
    for (const auto& name : files) touch(folder / inner / name);
    return file_names((folder / inner).string());
  };
  for (const char* name : {"a.H5", "a.he5", "a.HDF5", "a.nc", "a.nc4", "a.mat", "a.hdf"})
    BOOST_TEST(names_of(std::string("only") + name, {name, "notes.txt"}) == (Names{name}), boost::test_tools::per_element());
  // Of several kinds one is taken.
  BOOST_TEST(names_of("mixed", {"b.h5", "a.H5", "grid.nc", "stats.mat"}) == (Names{"a.H5", "b.h5"}), boost::test_tools::per_element());
  BOOST_TEST(names_of("both", {"b.nc", "a.nc4", "x.mat"}) == (Names{"a.nc4", "b.nc"}), boost::test_tools::per_element());
  fs::create_directory(folder / "other");
  make_shard(folder / "other/run.out", {3, 2}, {3});
  check_error([&] { find_shards((folder / "other").string()); }, ExitCode::data, {"none", "run.out' is HDF5", "use a glob", "/*.out'"});
}

BOOST_AUTO_TEST_CASE(what_is_not_found_is_said) {
  const TemporaryDirectory folder;
  touch(folder / "train/part_1.h5");
  touch(folder / "empty/readme.txt");
  const std::string at = folder.path().string();
  check_error([&] { find_shards(at); }, ExitCode::data, {at, "none", "Hint: '" + at + "/train' holds shards"});
  check_error([&] { find_shards(at + "/empty"); }, ExitCode::data, {at + "/empty", "1 files"});
  check_error([&] { find_shards(at + "/trian"); }, ExitCode::data, {at + "/trian", "most similar name there is 'train'"});
  check_error([&] { find_shards(at + "/no/such/folder"); }, ExitCode::data, {"the folder '" + at + "/no/such' does not exist"});
  check_error([&] { find_shards(at + "/*.h5"); }, ExitCode::data, {at + "/*.h5", "no file matches"});
  check_error([&] { find_shards(""); }, ExitCode::data, {"no folder"});
  check_error([&] { find_shards(at + "/train," + at + "/train/./part_1.h5"); }, ExitCode::data, {"part_1.h5", "more than once"});
}

BOOST_AUTO_TEST_CASE(rows_and_single_samples) {
  const TemporaryDirectory folder;
  const std::string path = (folder / "s.h5").string();
  struct Case {
    std::vector<hsize_t> features, labels;
    Shape wanted;
    std::int64_t rows;
    Shape sample, label;
    bool single;
  };
  const std::vector<Case> cases{
      {{7, 28, 28}, {7}, {}, 7, {28, 28}, {}, false},
      {{7, 28, 28}, {7}, {1, 28, 28}, 7, {28, 28}, {}, false},
      {{7, 28, 28}, {7, 1}, {28, 28}, 7, {28, 28}, {}, false},
      {{7, 784}, {7, 3}, {1, 28, 28}, 7, {784}, {3}, false},
      {{0, 5}, {0}, {}, 0, {5}, {}, false},
      {{9}, {9}, {1}, 9, {}, {}, false},
      {{1, 28, 28}, {1}, {28, 28}, 1, {28, 28}, {}, false},
      {{28, 28}, {}, {28, 28}, 1, {28, 28}, {}, true},
      {{28, 28}, {}, {1, 28, 28}, 1, {28, 28}, {}, true},
      {{28, 28}, {28}, {28}, 28, {28}, {}, false},
      {{3, 8, 8}, {4}, {3, 8, 8}, 1, {3, 8, 8}, {4}, true},
      {{1, 28, 28}, {1}, {1, 28, 28}, 1, {1, 28, 28}, {}, true},
      {{1, 28, 28}, {1, 4}, {1, 28, 28}, 1, {1, 28, 28}, {4}, true},
  };
  for (const Case& c : cases) {
    make_shard(path, c.features, c.labels);
    const ShardInfo info = describe_shard(path, names, c.wanted);
    BOOST_TEST_CONTEXT("case " << &c - cases.data() << ", wanted " << c.wanted.tuple()) {
      BOOST_TEST(info.rows == c.rows);
      BOOST_TEST(info.sample.tuple() == c.sample.tuple());
      BOOST_TEST(info.label.tuple() == c.label.tuple());
      BOOST_TEST(info.single_sample == c.single);
      BOOST_TEST(info.has_labels);
      BOOST_TEST(info.path == path);
    }
  }
}

BOOST_AUTO_TEST_CASE(labels_may_be_absent_or_elsewhere) {
  const TemporaryDirectory folder;
  const std::string path = (folder / "s.h5").string();
  {
    const h5::File file = new_file(path);
    add_data_set(file, "/group/images", H5T_IEEE_F32BE, {4, 2});
    add_data_set(file, "/group/targets", H5T_IEEE_F64LE, {4, 3});
    TRIREME_H5(H5Lcreate_soft("/group/images", file, "linked", H5P_DEFAULT, H5P_DEFAULT), path);
  }
  const ShardInfo info = describe_shard(path, {"group/images", "/group/targets"});
  BOOST_TEST(info.rows == 4);
  BOOST_TEST(std::string(name_of(info.feature_type)) == "float32");
  BOOST_TEST(std::string(name_of(info.label_type)) == "float64");
  BOOST_TEST(describe_shard(path, {"/linked", ""}).has_labels == false);
}

BOOST_AUTO_TEST_CASE(wrong_shards_are_named_with_what_was_found) {
  const TemporaryDirectory folder;
  const std::string path = (folder / "s.h5").string();
  const auto expect = [&](const std::vector<std::string>& words) {
    std::vector<std::string> all = words;
    all.push_back(path);
    check_error([&] { describe_shard(path, names); }, ExitCode::data, all);
  };
  expect({"does not exist"});
  fs::create_directory(path);
  expect({"is a folder"});
  fs::remove(path);
  write_bytes(path, "");
  expect({"empty"});
  write_bytes(path, "version https://git-lfs.github.com/spec/v1\n");
  expect({"not an HDF5 file", "version https://"});

  {
    const h5::File file = new_file(path);
    add_data_set(file, "/images", H5T_STD_U8LE, {4, 2});
    add_data_set(file, "/meta/labels", H5T_STD_U8LE, {4});
  }
  expect({"no data set '/x'", "/images, /meta/labels", "data.features in the deck names the data set"});  // neither is like '/x'
  check_error([&] { describe_shard(path, {"/images", "/meta/label"}); }, ExitCode::data, {path, "'/meta/label'", "data.labels", "'/meta/labels'"});
  check_error([&] { describe_shard(path, {"/meta", "/y"}); }, ExitCode::data, {path, "no data set '/meta'"});
  { new_file(path); }
  expect({"holds no data sets"});

  make_shard(path, {5, 2}, {4});
  expect({"5 rows, shape (5, 2)", "have 4 rows, shape (4)"});
  make_shard(path, {5, 2}, {});
  expect({"5 rows", "have no rows"});
  make_shard(path, {}, {});
  expect({"single number"});
  make_shard(path, {5, 0}, {5});
  expect({"(5, 0)", "no elements"});
  make_shard(path, {5, 2}, {5, 0});
  expect({"(5, 0)", "no elements"});
  make_shard(path, {1, 1, 1, 1, 1, 1, 1, 1, 1}, {1});
  expect({"9 dimensions"});

  const h5::Type text(H5Tcopy(H5T_C_S1)), record(H5Tcreate(H5T_COMPOUND, 8)), wide(H5Tcopy(H5T_STD_I64LE));
  H5Tset_size(wide, 16);
  make_shard(path, {5, 2}, {5}, text);
  expect({"'/x'", "string"});
  H5Tinsert(record, "r", 0, H5T_NATIVE_FLOAT);
  make_shard(path, {5, 2}, {5}, H5T_STD_U8LE, record);
  expect({"'/y'", "compound"});
  make_shard(path, {5, 2}, {5}, H5T_STD_U8LE, wide);
  expect({"'/y'", "int128"});
  // A flipped bit in the bias, or none implied: HDF5 reads other numbers than were written.
  const h5::Type biased(H5Tcopy(H5T_IEEE_F32LE)), plain(H5Tcopy(H5T_IEEE_F64LE));
  H5Tset_ebias(biased, 126);
  H5Tset_norm(plain, H5T_NORM_NONE);
  for (const h5::Type* damaged : {&biased, &plain}) {
    make_shard(path, {5, 2}, {5}, *damaged);
    expect({"'/x'", "elements of type"});
  }
  {
    const h5::File file = new_file(path);
    const h5::Space null(H5Screate(H5S_NULL));
    const h5::Dataset nothing(H5Dcreate2(file, "x", H5T_STD_U8LE, null, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    BOOST_REQUIRE(static_cast<bool>(nothing));
  }
  expect({"'/x'", "null"});
}

BOOST_AUTO_TEST_CASE(filters_that_are_not_there_are_named) {
  const TemporaryDirectory folder;
  const std::string path = (folder / "s.h5").string();
  {
    const h5::File file = new_file(path);
    const hsize_t extents[] = {4, 2};
    const h5::Space space(H5Screate_simple(2, extents, nullptr));
    const h5::Properties creation(H5Pcreate(H5P_DATASET_CREATE));
    BOOST_REQUIRE(H5Pset_chunk(creation, 2, extents) >= 0);
    BOOST_REQUIRE(H5Pset_filter(creation, 32000, H5Z_FLAG_OPTIONAL, 0, nullptr) >= 0);  // h5py's lzf
    const h5::Dataset features(H5Dcreate2(file, "x", H5T_STD_U8LE, space, H5P_DEFAULT, creation, H5P_DEFAULT));
    BOOST_REQUIRE(static_cast<bool>(features));
    add_data_set(file, "y", H5T_STD_I8LE, {4});
  }
  if (H5Zfilter_avail(32000) <= 0) check_error([&] { describe_shard(path, names); }, ExitCode::data, {path, "'/x'", "filter 32000", "HDF5_PLUGIN_PATH"});
}

BOOST_AUTO_TEST_CASE(a_file_cut_anywhere_is_detected) {
  const TemporaryDirectory folder;
  const std::string path = (folder / "s.h5").string();
  make_shard(path, {50, 20}, {50});
  {
    const h5::File file(H5Fopen(path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT));
    add_values(file, "/z", H5T_STD_U8LE, {1000}, std::vector<double>(1000, 1.0));
  }
  const std::string whole = bytes_of(path);
  RandomStream random(11);
  std::vector<std::size_t> cuts{0, 1, 7, 8, 9, 48, 95, 96, whole.size() / 2, whole.size() - 1};
  for (int i = 0; i < 40; ++i) cuts.push_back(random.below(whole.size()));
  for (const std::size_t cut : cuts) {
    write_bytes(path, whole.substr(0, cut));
    check_error([&] { describe_shard(path, names); }, ExitCode::data, {path});
  }
  write_bytes(path, whole);
  BOOST_CHECK_NO_THROW(describe_shard(path, names));
}

BOOST_AUTO_TEST_SUITE_END()
