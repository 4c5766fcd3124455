// Data that is not there: HDF5 reads it as fill values. Refused when a shard is described, and when it goes while it is read.
#include <sys/stat.h>

#include <array>
#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <numeric>

#include "h5_files.hpp"
#include "io/detail/storage.hpp"
#include "support/temporary_directory.hpp"

using namespace trireme;
using namespace trireme::test;
namespace fs = std::filesystem;

namespace {

const ShardNames only_x{.features = "/x", .labels = ""};
const ShardNames fill_values{.features = "/x", .labels = "", .allow_unwritten = true};

void refused(const std::string& path, const std::vector<std::string>& words, const ShardNames& names = only_x) {
  BOOST_TEST_CONTEXT("shard " << path) { check_error([&] { describe_shard(path, names); }, ExitCode::data, words); }
}

/// All numbers of a shard's /x.
std::vector<double> read_all(const std::string& path, const ShardNames& names = only_x) {
  const ShardInfo info = describe_shard(path, names);
  ShardReader reader(info, names);
  std::vector<std::byte> bytes(static_cast<std::size_t>(info.rows * info.sample.size()) * size_of(info.feature_type));
  reader.read_features(0, info.rows, bytes);
  return to_doubles(bytes, info.feature_type);
}

std::vector<double> counted(std::size_t n, double from = 1) {
  std::vector<double> values(n);
  std::iota(values.begin(), values.end(), from);
  return values;
}

/// /x of (rows, 2): from, from + 1, ...
void make_source(const fs::path& path, hsize_t rows, double from = 1, const std::string& name = "x") {
  const h5::File file = new_file(path);
  add_values(file, name, H5T_IEEE_F32LE, {rows, 2}, counted(rows * 2, from));
}

/// Rows [to, to + count) of the virtual set are rows [from, from + count) of a source of `source_rows`.
struct Piece {
  std::string file, data_set;
  hsize_t to, from, count, source_rows;
};

h5::Space rows_of(hsize_t rows, hsize_t first, hsize_t count, hsize_t most = 0) {
  const hsize_t extents[] = {rows, 2}, limits[] = {most == 0 ? rows : most, 2}, start[] = {first, 0}, size[] = {count, 2};
  h5::Space space(TRIREME_H5(H5Screate_simple(2, extents, limits), "space"));
  TRIREME_H5(H5Sselect_hyperslab(space, H5S_SELECT_SET, start, nullptr, size, nullptr), "space");
  return space;
}

void make_virtual(const fs::path& path, hsize_t rows, const std::vector<Piece>& pieces) {
  const h5::File file = new_file(path);
  const h5::Properties creation(TRIREME_H5(H5Pcreate(H5P_DATASET_CREATE), "x"));
  for (const Piece& piece : pieces)
    TRIREME_H5(H5Pset_virtual(creation, rows_of(rows, piece.to, piece.count), piece.file.c_str(), piece.data_set.c_str(),
                              rows_of(piece.source_rows, piece.from, piece.count)),
               "x");
  const h5::Space space = rows_of(rows, 0, rows);
  const h5::Dataset made(TRIREME_H5(H5Dcreate2(file, "x", H5T_IEEE_F32LE, space, H5P_DEFAULT, creation, H5P_DEFAULT), "x"));
}

/// A virtual set without end: blocks of `rows` rows of files that are numbered, or every k-th row of files that grow.
void make_endless(const fs::path& path, const std::vector<std::string>& files, hsize_t rows, bool numbered) {
  const h5::File file = new_file(path);
  const h5::Properties creation(TRIREME_H5(H5Pcreate(H5P_DATASET_CREATE), "x"));
  for (std::size_t k = 0; k < files.size(); ++k) {
    h5::Space to = rows_of(rows, 0, rows, H5S_UNLIMITED), from = rows_of(rows, 0, rows, numbered ? 0 : H5S_UNLIMITED);
    const hsize_t start[] = {k, 0}, stride[] = {numbered ? rows : files.size(), 1}, count[] = {H5S_UNLIMITED, 1}, block[] = {numbered ? rows : 1, 2};
    TRIREME_H5(H5Sselect_hyperslab(to, H5S_SELECT_SET, start, stride, count, block), "x");
    const hsize_t source_start[] = {0, 0}, ones[] = {1, 1}, row[] = {1, 2};
    if (!numbered) TRIREME_H5(H5Sselect_hyperslab(from, H5S_SELECT_SET, source_start, ones, count, row), "x");
    TRIREME_H5(H5Pset_virtual(creation, to, files[k].c_str(), "x", from), "x");
  }
  const h5::Space space = rows_of(rows, 0, rows, H5S_UNLIMITED);
  const h5::Dataset made(TRIREME_H5(H5Dcreate2(file, "x", H5T_IEEE_F32LE, space, H5P_DEFAULT, creation, H5P_DEFAULT), "x"));
}

}  // namespace

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
    refused(path, {path, "'/x'", "never written", "all of its rows", "read as 0", "data.allow_unwritten"});
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

BOOST_AUTO_TEST_CASE(what_no_source_gives_is_refused) {
  const TemporaryDirectory folder;
  make_source(folder / "a.h5", 5, 1);
  const std::string path = (folder / "all.h5").string();
  make_virtual(path, 8, {{"a.h5", "x", 0, 0, 3, 5}, {"a.h5", "x", 6, 3, 2, 5}});
  refused(path, {path, "rows [3, 6)", "no source"});
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
  for (const ShardNames& names : {only_x, fill_values}) refused(path, {path, "is its own source"}, names);
  make_virtual(path, 4, {{".", "x", 0, 0, 4, 4}});
  for (const ShardNames& names : {only_x, fill_values}) refused(path, {path, "its own source"}, names);
}

BOOST_AUTO_TEST_CASE(numbered_and_growing_sources) {
  const TemporaryDirectory folder;
  const std::string path = (folder / "all.h5").string();
  make_endless(path, {"p-%b.h5"}, 3, true);
  refused(path, {"p-%b.h5", "'p-0.h5:x', is not there"});
  for (int i = 0; i < 4; ++i) make_source(folder / fmt::format("p-{}.h5", i), 3, 1 + 6 * i);
  BOOST_TEST(read_all(path) == counted(24), boost::test_tools::per_element());
  fs::remove(folder / "p-2.h5");
  refused(path, {"rows [6, 9)", "'p-2.h5:x', is not there", "'p-3.h5:x' is"});
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

BOOST_AUTO_TEST_CASE(links_that_lead_nowhere_are_named) {
  const TemporaryDirectory folder;
  const std::string path = (folder / "s.h5").string();
  {
    const h5::File file = new_file(path);
    TRIREME_H5(H5Lcreate_external("other.h5", "/x", file, "x", H5P_DEFAULT, H5P_DEFAULT), path);
    TRIREME_H5(H5Lcreate_soft("/z", file, "soft", H5P_DEFAULT, H5P_DEFAULT), path);
  }
  refused(path, {path, "'/x' is an external link to '/x' in file 'other.h5'", "no such file", "HDF5_EXT_PREFIX"});
  refused(path, {path, "'/soft' is a soft link to '/z'"}, {.features = "/soft", .labels = ""});
  make_source(folder / "other.h5", 2, 1, "y");
  refused(path, {path, "external link", "does not hold it"});
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
  refused(path, {path, inside.string(), "6 bytes of 10"});
  fs::remove(inside);
  refused(path, {path, inside.string(), "not there", "HDF5_EXTFILE_PREFIX"});
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
    check_error([&] { reader.read_features(500, 500, rows); }, ExitCode::data, {path, cut, "cut short while it was read", "rows [500, 1000)", "'/x'", "Hint"});
    write_bytes(cut, whole);
  }
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

BOOST_AUTO_TEST_CASE(sizes_that_do_not_fit_are_refused) {
  for (const std::vector<std::int64_t>& extents : {std::vector<std::int64_t>{1, 16, (std::int64_t{1} << 60) + 49}, {-2, 2}, {0, std::int64_t{1} << 61, 8}})
    check_error([&] { detail::bytes_of(extents, 1, "shard 's.h5': data set '/x'"); }, ExitCode::data, {"'/x'", "more than any file holds"});
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
