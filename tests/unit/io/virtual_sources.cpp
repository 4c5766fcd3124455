// Sources of virtual data sets: HDF5 reads what is missing as fill values. Refused when a shard is described, and when a source goes while it is read.
#include <sys/stat.h>

#include <array>
#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <numeric>

#include "io/detail/storage.hpp"
#include "storage_files.hpp"
#include "support/temporary_directory.hpp"

using namespace trireme;
using namespace trireme::test;

BOOST_AUTO_TEST_SUITE(virtual_sources)
BOOST_AUTO_TEST_CASE(sources_of_virtual_sets_are_looked_for) {
  const TemporaryDirectory folder;
  fs::create_directory(folder / "parts");
  make_source(folder / "parts/a.h5", 5, 1);
  make_source(folder / "parts/b.h5", 5, 11);
  const std::string path = (folder / "all.h5").string();
  make_virtual(path, 8, {{"parts/a.h5", "x", 0, 0, 5, 5}, {"parts/b.h5", "x", 5, 0, 3, 5}});
  BOOST_TEST(read_all(path) == counted(16), boost::test_tools::per_element());

  fs::rename(folder / "parts/b.h5", folder / "away.h5");
  refused(path, {path, "'/x'", "virtual", "parts/b.h5:x", "rows [5, 8)", "no such file", (folder / "parts/b.h5").string(), "HDF5_VDS_PREFIX"});
  std::vector<double> holes = counted(10);
  holes.resize(16, 0);
  BOOST_TEST(read_all(path, fill_values) == holes, boost::test_tools::per_element());
  make_source(folder / "parts/b.h5", 5, 11, "other");
  refused(path, {"parts/b.h5:x", "no such data set"});
  write_bytes(folder / "parts/b.h5", "text");
  refused(path, {"parts/b.h5", "not an HDF5 file"});
  make_source(folder / "parts/b.h5", 2, 11);
  refused(path, {"parts/b.h5:x", "(2, 2)", "(3, 2)", "rows [5, 8)"});

  fs::create_directory(folder / "moved");
  fs::rename(path, folder / "moved/all.h5");
  refused((folder / "moved/all.h5").string(), {"parts/a.h5:x", "rows [0, 5)", "no such file"});
  // Where HDF5 itself would find it.
  fs::rename(folder / "away.h5", folder / "parts/b.h5");
  fs::create_symlink(folder / "moved/all.h5", folder / "link.h5");
  BOOST_TEST(read_all((folder / "link.h5").string()) == counted(16), boost::test_tools::per_element());
  setenv("HDF5_VDS_PREFIX", folder.path().c_str(), 1);
  BOOST_TEST(read_all((folder / "moved/all.h5").string()) == counted(16), boost::test_tools::per_element());
  unsetenv("HDF5_VDS_PREFIX");
}

// Not "missing": with allow_unwritten a missing source gives fill values.
BOOST_AUTO_TEST_CASE(sources_that_cannot_be_read_are_errors) {
  const TemporaryDirectory folder;
  fs::create_directory(folder / "parts");
  for (int i = 0; i < 2; ++i) make_source(folder / fmt::format("parts/p-{}.h5", i), 3, 1 + 6 * i);
  const std::string path = (folder / "all.h5").string(), linked = (folder / "linked.h5").string(), endless = (folder / "endless.h5").string(),
                    outer = (folder / "outer.h5").string();
  make_virtual(path, 6, {{"parts/p-0.h5", "x", 0, 0, 3, 3}, {"parts/p-1.h5", "x", 3, 0, 3, 3}});
  make_endless(endless, {"parts/p-%b.h5"}, 3, true);
  {
    const h5::File file = new_file(linked);
    TRIREME_H5(H5Lcreate_external("parts/p-0.h5", "/x", file, "x", H5P_DEFAULT, H5P_DEFAULT), linked);
  }
  make_virtual(outer, 3, {{"linked.h5", "x", 0, 0, 3, 3}});
  for (const std::string& shard : {path, endless, outer, linked}) BOOST_TEST(read_all(shard).size() >= 6u);
  for (const char* what : {"parts", "parts/p-0.h5"}) {
    const Denied denied(folder / what);
    const NotRoot here;
    if (!here) return;
    for (const ShardNames& names : {only_x, fill_values})
      for (const std::string& shard : {path, endless, outer, linked}) refused(shard, {shard, "parts/p-0.h5", "Permission denied", "Hint"}, names);
  }
  // A folder is neither a source nor a missing one.
  fs::remove(folder / "parts/p-1.h5");
  fs::create_directory(folder / "parts/p-1.h5");
  for (const ShardNames& names : {only_x, fill_values})
    for (const std::string& shard : {path, endless}) refused(shard, {shard, "'parts/p-1.h5:x'", "is a folder, not a file"}, names);
}

// A checkpoint keeps a digest of these: other sources, or another order, are told at a restart.
BOOST_AUTO_TEST_CASE(sources_and_their_order_are_described) {
  const TemporaryDirectory folder;
  fs::create_directories(folder / "elsewhere/parts");
  for (const char* name : {"a.h5", "b.h5", "c.h5", "elsewhere/parts/a.h5", "elsewhere/parts/b.h5"}) make_source(folder / name, 3);
  const std::string path = (folder / "all.h5").string();
  const auto digest = [&](const std::vector<Piece>& pieces) {
    make_virtual(path, 6, pieces);
    return describe_shard(path, only_x).sources;
  };
  const std::string moved = (folder / "elsewhere/parts").string();
  const std::uint64_t first = digest({{"a.h5", "x", 0, 0, 3, 3}, {"b.h5", "x", 3, 0, 3, 3}});
  BOOST_TEST(first != 0u);
  BOOST_TEST(digest({{"b.h5", "x", 3, 0, 3, 3}, {"a.h5", "x", 0, 0, 3, 3}}) == first);                    // the order of the mappings means nothing
  BOOST_TEST(digest({{moved + "/a.h5", "x", 0, 0, 3, 3}, {moved + "/b.h5", "x", 3, 0, 3, 3}}) == first);  // nor does the folder
  BOOST_TEST(digest({{"b.h5", "x", 0, 0, 3, 3}, {"a.h5", "x", 3, 0, 3, 3}}) != first);
  BOOST_TEST(digest({{"a.h5", "x", 0, 0, 3, 3}, {"c.h5", "x", 3, 0, 3, 3}}) != first);
  BOOST_TEST(describe_shard((folder / "a.h5").string(), only_x).sources == 0u);
  const auto linked = [&](const std::string& target) {
    const h5::File file = new_file(path);
    TRIREME_H5(H5Lcreate_external(target.c_str(), "/x", file, "x", H5P_DEFAULT, H5P_DEFAULT), path);
    H5Fflush(file, H5F_SCOPE_GLOBAL);
    return path;
  };
  const std::uint64_t to_a = describe_shard(linked("a.h5"), only_x).sources, to_b = describe_shard(linked("b.h5"), only_x).sources;
  BOOST_TEST(to_a != 0u);
  BOOST_TEST(to_a != to_b);
}

/// A virtual set of whole sources, as h5py makes them: files do not record the extents of these.
BOOST_AUTO_TEST_CASE(whole_sources_of_another_shape_are_named) {
  const TemporaryDirectory folder;
  const std::string path = (folder / "all.h5").string();
  {
    const h5::File file = new_file(path);
    const h5::Properties creation(TRIREME_H5(H5Pcreate(H5P_DATASET_CREATE), "x"));
    const hsize_t extents[] = {5, 2};
    for (hsize_t k = 0; k < 2; ++k) {
      const h5::Space from(H5Screate_simple(2, extents, nullptr));  // all of it
      TRIREME_H5(H5Pset_virtual(creation, rows_of(10, 5 * k, 5), fmt::format("p-{}.h5", k).c_str(), "x", from), "x");
    }
    const h5::Space space = rows_of(10, 0, 10);
    const h5::Dataset made(TRIREME_H5(H5Dcreate2(file, "x", H5T_IEEE_F32LE, space, H5P_DEFAULT, creation, H5P_DEFAULT), "x"));
  }
  const auto source = [&](const std::vector<hsize_t>& extents, const Layout& layout = {}) {
    const h5::File file = new_file(folder / "p-1.h5");
    add_values(file, "x", H5T_IEEE_F32LE, extents, counted(product(extents), 11), layout);
  };
  make_source(folder / "p-0.h5", 5, 1);
  for (const std::vector<hsize_t>& good : {std::vector<hsize_t>{5, 2}, {10}, {5, 1, 2}}) {
    source(good);
    BOOST_TEST(read_all(path) == counted(20), boost::test_tools::per_element());
  }
  for (const auto& [bad, text] : {std::pair(std::vector<hsize_t>{3, 2}, "(3, 2)"), {{7, 2}, "(7, 2)"}, {{2, 5}, "(2, 5)"}, {{5, 3}, "(5, 3)"}, {{9}, "(9)"}}) {
    source(bad);
    for (const ShardNames& names : {only_x, fill_values}) refused(path, {path, "source 'p-1.h5:x' has shape", text, "rows [5, 10)", "(5, 2)", "Hint"}, names);
  }
  // All of its rows must have been written.
  {
    const h5::File file = new_file(folder / "p-1.h5");
    const h5::Dataset set = add_data_set(file, "x", H5T_IEEE_F32LE, {5, 2}, {.chunk = {2, 2}});
    const h5::Space to = rows_of(5, 0, 2), from = rows_of(2, 0, 2);
    TRIREME_H5(H5Dwrite(set, H5T_NATIVE_DOUBLE, from, to, H5P_DEFAULT, counted(4).data()), "x");
  }
  refused(path, {path, "p-1.h5:x", "rows [2, 5)"});
}

BOOST_AUTO_TEST_CASE(what_no_source_gives_is_refused) {
  const TemporaryDirectory folder;
  make_source(folder / "a.h5", 5, 1);
  const std::string path = (folder / "all.h5").string();
  make_virtual(path, 8, {{"a.h5", "x", 0, 0, 3, 5}, {"a.h5", "x", 6, 3, 2, 5}});
  refused(path, {path, "rows [3, 6)", "without sources"});
  BOOST_TEST(read_all(path, fill_values) == (std::vector<double>{1, 2, 3, 4, 5, 6, 0, 0, 0, 0, 0, 0, 7, 8, 9, 10}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(unwritten_rows_of_a_source_count_where_they_are_used) {
  const TemporaryDirectory folder;
  {
    const h5::File file = new_file(folder / "a.h5");
    const h5::Dataset set = add_data_set(file, "x", H5T_IEEE_F32LE, {6, 2}, {.chunk = {2, 2}});
    const h5::Space to = rows_of(6, 0, 4), from = rows_of(4, 0, 4);
    TRIREME_H5(H5Dwrite(set, H5T_NATIVE_DOUBLE, from, to, H5P_DEFAULT, counted(8).data()), "x");
  }
  const std::string path = (folder / "all.h5").string();
  make_virtual(path, 4, {{"a.h5", "x", 0, 0, 4, 6}});
  BOOST_TEST(read_all(path) == counted(8), boost::test_tools::per_element());
  make_virtual(path, 4, {{"a.h5", "x", 0, 1, 4, 6}});
  refused(path, {path, "a.h5:x", "rows [4, 5)"});
}

BOOST_AUTO_TEST_CASE(virtual_sets_of_virtual_sets) {
  const TemporaryDirectory folder;
  make_source(folder / "a.h5", 4, 1);
  make_virtual(folder / "inner.h5", 4, {{"a.h5", "x", 0, 0, 4, 4}});
  const std::string path = (folder / "outer.h5").string();
  make_virtual(path, 4, {{"inner.h5", "x", 0, 0, 4, 4}});
  BOOST_TEST(read_all(path) == counted(8), boost::test_tools::per_element());
  fs::remove(folder / "a.h5");
  refused(path, {path, "inner.h5:x", "a.h5:x", "no such file"});
  // Their own sources.
  make_virtual(folder / "inner.h5", 4, {{"outer.h5", "x", 0, 0, 4, 4}});
  for (const ShardNames& names : {only_x, fill_values}) refused(path, {path, "through other files, its own source"}, names);
  make_virtual(path, 4, {{".", "x", 0, 0, 4, 4}});
  for (const ShardNames& names : {only_x, fill_values}) refused(path, {path, "its own source"}, names);
}

BOOST_AUTO_TEST_CASE(numbered_and_growing_sources) {
  const TemporaryDirectory folder;
  const std::string path = (folder / "all.h5").string();
  make_endless(path, {"p-%b.h5"}, 3, true);
  refused(path, {"p-%b.h5", "'p-0.h5:x', does not exist"});
  for (int i = 0; i < 4; ++i) make_source(folder / fmt::format("p-{}.h5", i), 3, 1 + 6 * i);
  BOOST_TEST(read_all(path) == counted(24), boost::test_tools::per_element());
  fs::remove(folder / "p-2.h5");
  refused(path, {"rows [6, 9)", "'p-2.h5:x', does not exist", "'p-3.h5:x' exists"});
  BOOST_TEST(read_all(path, fill_values) == counted(12), boost::test_tools::per_element());

  make_endless(path, {"even.h5", "odd.h5"}, 3, false);
  const auto grow = [&](const std::string& name, hsize_t rows, double from) {
    const h5::File file = new_file(folder / name);
    std::vector<double> values(2 * rows);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = from + static_cast<double>(i / 2 * 4 + i % 2);
    add_values(file, "x", H5T_IEEE_F32LE, {rows, 2}, values);
  };
  grow("even.h5", 3, 1);
  grow("odd.h5", 3, 3);
  BOOST_TEST(read_all(path) == counted(12), boost::test_tools::per_element());
  grow("odd.h5", 2, 3);
  BOOST_TEST(describe_shard(path, only_x).rows == 5);  // row 5 of the shorter one is the end
  fs::remove(folder / "odd.h5");
  refused(path, {"odd.h5:x", "no such file"});
}

BOOST_AUTO_TEST_CASE(sources_that_go_between_description_and_reading) {
  const TemporaryDirectory folder;
  make_source(folder / "a.h5", 4, 1);
  make_source(folder / "b.h5", 4, 9);
  const std::string path = (folder / "all.h5").string();
  make_virtual(path, 8, {{"a.h5", "x", 0, 0, 4, 4}, {"b.h5", "x", 4, 0, 4, 4}});
  ShardReader reader(describe_shard(path, only_x), only_x);
  std::vector<std::byte> rows(2 * 4 * 4);
  BOOST_CHECK_NO_THROW(reader.read_features(0, 4, rows));
  for (const char* name : {"a.h5", "b.h5"}) fs::remove(folder / name);
  BOOST_CHECK_NO_THROW(reader.read_features(0, 4, rows));  // was opened
  BOOST_TEST(to_doubles(rows, ElementType::f32) == counted(8), boost::test_tools::per_element());
  check_error([&] { reader.read_features(4, 4, rows); }, ExitCode::data, {path, "b.h5:x", "no such file"});
}

BOOST_AUTO_TEST_CASE(more_source_files_than_may_be_open) {
  const TemporaryDirectory folder;
  constexpr int files = 40;
  std::vector<Piece> pieces;
  for (int i = 0; i < files; ++i) {
    make_source(folder / fmt::format("p{}.h5", i), 1, 1 + 2 * i);
    pieces.push_back({fmt::format("p{}.h5", i), "x", static_cast<hsize_t>(i), 0, 1, 1});
  }
  const std::string path = (folder / "all.h5").string();
  make_virtual(path, files, pieces);
  BOOST_TEST(read_all(path) == counted(2 * files), boost::test_tools::per_element());
  rlimit before{};
  getrlimit(RLIMIT_NOFILE, &before);
  rlimit few = before;
  few.rlim_cur = static_cast<rlim_t>(std::distance(fs::directory_iterator("/proc/self/fd"), {})) + files / 2;
  BOOST_REQUIRE(setrlimit(RLIMIT_NOFILE, &few) == 0);
  check_error([&] { read_all(path); }, ExitCode::data, {path, "Too many open files", "ulimit -n"});
  setrlimit(RLIMIT_NOFILE, &before);
}

BOOST_AUTO_TEST_SUITE_END()
