// Data that is not there: HDF5 reads it as fill values. Refused when a shard is described, and when it goes while it is read.
#include "io/detail/storage.hpp"

#include <sys/stat.h>

#include <array>
#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <numeric>

#include "storage_files.hpp"
#include "support/temporary_directory.hpp"

using namespace trireme;
using namespace trireme::test;

BOOST_AUTO_TEST_SUITE(storage)

BOOST_AUTO_TEST_CASE(what_was_never_written_is_refused) {
  const TemporaryDirectory folder;
  const std::string path = (folder / "s.h5").string();
  for (const std::vector<hsize_t>& chunk : {std::vector<hsize_t>{}, std::vector<hsize_t>{2, 3}}) {
    {
      const h5::File file = new_file(path);
      Layout layout{.chunk = chunk};
      layout.unwritten = true;
      add_data_set(file, "x", H5T_STD_U8LE, {10, 3}, layout);
      add_values(file, "z", H5T_STD_U8LE, {10, 3}, counted(30));
      add_data_set(file, "none", H5T_STD_U8LE, {0, 3}, layout);
    }
    refused(path, {path, "'/x'", "never written", "all rows", "read as 0", "data.allow_unwritten"});
    refused(path, {path, "'/x'", "never written"}, {.features = "/z", .labels = "/x"});
    BOOST_TEST(read_all(path, fill_values) == std::vector<double>(30, 0), boost::test_tools::per_element());
    BOOST_TEST(describe_shard(path, {.features = "/none", .labels = ""}).rows == 0);
  }
}

BOOST_AUTO_TEST_CASE(rows_of_missing_chunks_are_named) {
  const TemporaryDirectory folder;
  const std::string path = (folder / "s.h5").string();
  const auto make = [&](const std::vector<std::array<hsize_t, 2>>& missing) {
    const h5::File file = new_file(path);
    const h5::Dataset set = add_data_set(file, "x", H5T_STD_U8LE, {11, 3}, {.chunk = {2, 2}, .gzip = 3});
    for (hsize_t row = 0; row < 12; row += 2)
      for (hsize_t column = 0; column < 4; column += 2) {
        if (std::ranges::count(missing, std::array{row, column}) > 0) continue;
        const hsize_t start[] = {row, column}, size[] = {std::min<hsize_t>(2, 11 - row), std::min<hsize_t>(2, 3 - column)};
        const h5::Space to(H5Dget_space(set)), from(H5Screate_simple(2, size, nullptr));
        TRIREME_H5(H5Sselect_hyperslab(to, H5S_SELECT_SET, start, nullptr, size, nullptr), path);
        const std::vector<double> ones(4, 1);
        TRIREME_H5(H5Dwrite(set, H5T_NATIVE_DOUBLE, from, to, H5P_DEFAULT, ones.data()), path);
      }
  };
  make({});
  BOOST_TEST(read_all(path) == std::vector<double>(33, 1), boost::test_tools::per_element());
  make({{4, 2}, {6, 0}, {10, 0}});
  refused(path, {path, "rows [4, 8)", "3 of its 12 chunks"});
  make({{10, 2}});
  refused(path, {"rows [10, 11)", "1 of its 12 chunks"});
}

BOOST_AUTO_TEST_CASE(links_that_lead_nowhere_are_named) {
  const TemporaryDirectory folder;
  const std::string path = (folder / "s.h5").string();
  {
    const h5::File file = new_file(path);
    TRIREME_H5(H5Lcreate_external("other.h5", "/x", file, "x", H5P_DEFAULT, H5P_DEFAULT), path);
    TRIREME_H5(H5Lcreate_soft("/z", file, "soft", H5P_DEFAULT, H5P_DEFAULT), path);
  }
  refused(path, {path, "'/x' is an external link to '/x' in file 'other.h5'", "the file does not exist", "HDF5_EXT_PREFIX"});
  refused(path, {path, "'/soft' is a soft link to '/z'"}, {.features = "/soft", .labels = ""});
  make_source(folder / "other.h5", 2, 1, "y");
  refused(path, {path, "external link", "does not have this object"});
  make_source(folder / "other.h5", 2, 1);
  BOOST_TEST(read_all(path) == counted(4), boost::test_tools::per_element());
}

// A test that waits for ever on the old program.
BOOST_AUTO_TEST_CASE(fifos_are_not_opened) {
  const TemporaryDirectory folder;
  const std::string fifo = (folder / "fifo.h5").string(), path = (folder / "s.h5").string();
  BOOST_REQUIRE(mkfifo(fifo.c_str(), 0600) == 0);
  refused(fifo, {fifo, "a FIFO, not a file"});
  make_virtual(path, 4, {{"fifo.h5", "x", 0, 0, 4, 4}});
  for (const ShardNames& names : {only_x, fill_values}) refused(path, {fifo, "a FIFO"}, names);
  make_endless(path, {"fifo.h5"}, 3, false);
  refused(path, {fifo, "a FIFO"});
  BOOST_REQUIRE(mkfifo((folder / "p-1.h5").c_str(), 0600) == 0);
  make_source(folder / "p-0.h5", 3);
  make_endless(path, {"p-%b.h5"}, 3, true);
  refused(path, {"p-1.h5", "a FIFO"});
  {
    const h5::File file = new_file(path);
    TRIREME_H5(H5Lcreate_external("fifo.h5", "/x", file, "x", H5P_DEFAULT, H5P_DEFAULT), path);
  }
  refused(path, {fifo, "a FIFO"});
  BOOST_TEST(h5::data_sets(h5::open_file(path, "shard", ExitCode::data)).empty());
}

BOOST_AUTO_TEST_CASE(external_raw_storage) {
  const TemporaryDirectory folder;
  fs::create_directory(folder / "data");
  const std::string path = (folder / "data/s.h5").string();
  const auto make = [&](const fs::path& raw) {
    const h5::File file = new_file(path);
    const h5::Properties creation(H5Pcreate(H5P_DATASET_CREATE));
    TRIREME_H5(H5Pset_external(creation, raw.c_str(), 2, 8), path);
    const h5::Space space = rows_of(4, 0, 4);
    const h5::Dataset made(TRIREME_H5(H5Dcreate2(file, "x", H5T_STD_U8LE, space, H5P_DEFAULT, creation, H5P_DEFAULT), path));
  };
  const auto inside = folder / "data/raw.bin", outside = folder / "raw.bin";
  for (const auto& raw : {inside, outside}) write_bytes(raw, "--abcdefgh");
  make(inside);
  std::vector<double> letters = counted(8, 'a');
  BOOST_TEST(read_all(path) == letters, boost::test_tools::per_element());
  write_bytes(inside, "--abcd");
  refused(path, {path, inside.string(), "6 of 10 bytes"});
  fs::remove(inside);
  refused(path, {path, inside.string(), "does not exist", "HDF5_EXTFILE_PREFIX"});
  BOOST_REQUIRE(mkfifo(inside.c_str(), 0600) == 0);
  refused(path, {inside.string(), "a FIFO"});
  for (const auto& raw : {outside, folder / "data/../raw.bin"}) {
    make(raw);
    refused(path, {path, raw.string(), "outside the folder", "data.allow_external"});
    refused(path, {"outside the folder"}, fill_values);
    BOOST_TEST(read_all(path, {.features = "/x", .labels = "", .allow_external = true}) == letters, boost::test_tools::per_element());
  }
  fs::remove(inside);
  fs::create_symlink(outside, inside);
  make(inside);
  refused(path, {"outside the folder"});
}

BOOST_AUTO_TEST_CASE(files_cut_short_while_they_are_read) {
  const TemporaryDirectory folder;
  const std::string plain = (folder / "plain.h5").string(), chunked = (folder / "chunked.h5").string(), all = (folder / "all.h5").string();
  make_source(plain, 1000, 1);
  {
    const h5::File file = new_file(chunked);
    add_values(file, "x", H5T_IEEE_F32LE, {1000, 2}, counted(2000), {.chunk = {10, 2}});
  }
  make_virtual(all, 1000, {{"plain.h5", "x", 0, 0, 1000, 1000}});
  const std::string linked = (folder / "linked.h5").string();
  {
    const h5::File file = new_file(linked);
    TRIREME_H5(H5Lcreate_external("plain.h5", "/x", file, "x", H5P_DEFAULT, H5P_DEFAULT), linked);
  }
  for (const auto& [path, cut] : {std::pair(plain, plain), {chunked, chunked}, {all, plain}, {linked, plain}}) {
    const std::string whole = bytes_of(cut);
    const ShardInfo info = describe_shard(path, only_x);
    ShardReader reader(info, only_x);
    std::vector<std::byte> rows(2 * 4 * 500);
    BOOST_CHECK_NO_THROW(reader.read_features(0, 500, rows));
    fs::resize_file(cut, whole.size() / 2);
    check_error([&] { reader.read_features(500, 500, rows); }, ExitCode::data, {path, cut, "truncated while it was read", "rows [500, 1000)", "'/x'", "Hint"});
    write_bytes(cut, whole);
  }
}

BOOST_AUTO_TEST_CASE(sizes_that_do_not_fit_are_refused) {
  for (const std::vector<std::int64_t>& extents : {std::vector<std::int64_t>{1, 16, (std::int64_t{1} << 60) + 49}, {-2, 2}, {0, std::int64_t{1} << 61, 8}})
    check_error([&] { detail::bytes_of(extents, 1, "shard 's.h5': data set '/x'"); }, ExitCode::data, {"'/x'", "larger than any file"});
  BOOST_TEST(detail::bytes_of({3, 16, 5}, 4, "") == 960);
}

BOOST_AUTO_TEST_CASE(deep_and_many_groups_are_listed_within_bounds) {
  const TemporaryDirectory folder;
  const std::string path = (folder / "s.h5").string();
  {
    const h5::File file = new_file(path);
    add_values(file, "a/b/z", H5T_STD_U8LE, {1}, {1});
    h5::Group at(H5Gcreate2(file, "deep", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    for (int i = 0; i < 5000; ++i) at = h5::Group(H5Gcreate2(at, "g", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    TRIREME_H5(H5Lcreate_hard(file, "/", file, "deep/loop", H5P_DEFAULT, H5P_DEFAULT), path);
  }
  const auto found = h5::data_sets(h5::open_file(path, "shard", ExitCode::data));
  BOOST_TEST(std::ranges::count(found, "a/b/z") == 1);
  refused(path, {"no data set '/x'"});
}

BOOST_AUTO_TEST_CASE(files_of_other_kinds_say_what_to_do) {
  const TemporaryDirectory folder;
  const std::string path = (folder / "s.nc").string();
  write_bytes(path, std::string("CDF\x01") + std::string(100, '\0'));
  refused(path, {"not an HDF5 file", "nccopy -k nc4"});
  write_bytes(path, "MATLAB 5.0 MAT-file, Platform: GLNXA64");
  refused(path, {"not an HDF5 file", "-v7.3"});
  fs::create_symlink(folder / "gone.h5", folder / "link.h5");
  refused((folder / "link.h5").string(), {"symbolic link", "gone.h5"});
  // As a killed writer leaves it.
  const std::string open = (folder / "open.h5").string();
  const h5::Properties access(H5Pcreate(H5P_FILE_ACCESS));
  H5Pset_libver_bounds(access, H5F_LIBVER_LATEST, H5F_LIBVER_LATEST);
  const h5::File file(H5Fcreate(open.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, access));
  add_values(file, "x", H5T_STD_U8LE, {1, 2}, {1, 2});
  H5Fflush(file, H5F_SCOPE_GLOBAL);
  fs::copy_file(open, folder / "copy.h5");
  refused((folder / "copy.h5").string(), {"copy.h5", "not closed", "h5clear -s"});
}

BOOST_AUTO_TEST_SUITE_END()
