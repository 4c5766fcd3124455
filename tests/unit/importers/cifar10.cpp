#include "io/importers/cifar10.hpp"

#include <archive.h>
#include <archive_entry.h>

#include <boost/test/unit_test.hpp>
#include <map>

#include "support.hpp"
#include "support/temporary_directory.hpp"

using namespace trireme;
using namespace trireme::test;

namespace {

constexpr std::int64_t records = 300;
constexpr std::size_t record_bytes = 3073;

using Files = std::vector<std::pair<std::string, std::string>>;

// Six files of random records in the published order.
Files random_files(std::uint64_t seed) {
  RandomStream random(seed);
  Files files;
  for (const char* name : {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin", "test_batch.bin"}) {
    std::string bytes;
    for (std::int64_t i = 0; i < records; ++i) {
      bytes += static_cast<char>(random.below(10));
      for (std::size_t p = 1; p < record_bytes; ++p) bytes += static_cast<char>(p % 61 == 0 ? random.bits() : p);
    }
    files.emplace_back(name, bytes);
  }
  return files;
}

void write_folder(const std::filesystem::path& folder, const Files& files) {
  std::filesystem::create_directories(folder);
  for (const auto& [name, bytes] : files) write_file(folder / name, bytes);
}

void write_archive(const std::filesystem::path& path, const Files& files, int (*filter)(archive*)) {
  archive* const out = archive_write_new();
  filter(out);
  archive_write_set_format_pax_restricted(out);
  BOOST_REQUIRE(archive_write_open_filename(out, path.c_str()) == ARCHIVE_OK);
  for (const auto& [name, bytes] : files) {
    archive_entry* const entry = archive_entry_new();
    archive_entry_set_pathname(entry, ("cifar-10-batches-bin/" + name).c_str());
    archive_entry_set_size(entry, static_cast<la_int64_t>(bytes.size()));
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    archive_write_header(out, entry);
    archive_write_data(out, bytes.data(), bytes.size());
    archive_entry_free(entry);
  }
  archive_write_free(out);
}

// The records of some files, parted into labels and pixels.
std::pair<std::vector<std::int64_t>, std::string> parted(const Files& files, bool test) {
  std::pair<std::vector<std::int64_t>, std::string> result;
  for (const auto& [name, bytes] : files) {
    if ((name == "test_batch.bin") != test || !name.ends_with(".bin")) continue;
    for (std::size_t at = 0; at < bytes.size(); at += record_bytes) {
      result.first.push_back(bytes[at]);
      result.second += bytes.substr(at + 1, record_bytes - 1);
    }
  }
  return result;
}

void require_same(const Cifar10Source& source, const Files& files) {
  const Collected all = collect(source);
  for (const Part part : all_parts) {
    const auto [labels, pixels] = parted(files, part == Part::test);
    BOOST_TEST((values_of<std::int64_t>(all.labels[part]) == labels));
    const auto found = values_of<char>(all.features[part]);
    BOOST_TEST((std::string(found.begin(), found.end()) == pixels));
  }
}

std::string message(const std::filesystem::path& source) {
  return message_of([&] { collect(Cifar10Source(source, records)); });
}

}  // namespace

BOOST_AUTO_TEST_SUITE(cifar10)

BOOST_AUTO_TEST_CASE(a_folder_comes_as_it_was_written) {
  const TemporaryDirectory folder;
  RandomStream random(1);
  const Files files = random_files(1);
  write_folder(folder / "cifar-10-batches-bin", files);
  require_same(Cifar10Source(folder / "cifar-10-batches-bin", records), files);
  const Cifar10Source above(folder.path(), records);
  require_same(above, files);
  BOOST_TEST(above.layout().sample.tuple() == "(3, 32, 32)");
  BOOST_TEST(pieces_agree(above, random));
}

BOOST_AUTO_TEST_CASE(an_archive_comes_in_its_own_order) {
  const TemporaryDirectory folder;
  RandomStream random(2);
  const std::vector<std::pair<std::string, int (*)(archive*)>> packings{{"c.tar", archive_write_add_filter_none},
                                                                        {"c.tar.gz", archive_write_add_filter_gzip},
                                                                        {"c.tgz", archive_write_add_filter_gzip},
                                                                        {"c.tar.xz", archive_write_add_filter_xz}};
  for (const auto& [name, filter] : packings) {
    Files files = random_files(random.bits());
    files.insert(files.begin() + 2, {"batches.meta.txt", "airplane\n"});
    for (std::size_t i = files.size() - 1; i > 0; --i) std::swap(files[i], files[random.below(i + 1)]);
    write_archive(folder / name, files, filter);
    const Cifar10Source source(folder / name, records);
    require_same(source, files);
    BOOST_TEST(pieces_agree(source, random));
  }
}

BOOST_AUTO_TEST_CASE(a_folder_with_the_archive_will_do) {
  const TemporaryDirectory folder;
  const Files files = random_files(5);
  write_archive(folder / "cifar-10-binary.tar.gz", files, archive_write_add_filter_gzip);
  write_file(folder / "README", "the binary version");
  require_same(Cifar10Source(folder.path(), records), files);
  write_archive(folder / "copy.tar", files, archive_write_add_filter_none);
  BOOST_TEST(says(message(folder.path()), {"no file 'data_batch_1.bin'", "binary version"}));
}

BOOST_AUTO_TEST_CASE(bad_records_are_named) {
  const TemporaryDirectory folder;
  const Files good = random_files(3);
  const std::map<std::string, std::function<void(std::string&)>> faults{
      {"ends after", [](std::string& bytes) { bytes.pop_back(); }},
      {"ends after 918827 bytes", [](std::string& bytes) { bytes.resize(bytes.size() - record_bytes); }},
      {"continues after", [](std::string& bytes) { bytes += 'x'; }},
      {"record 17 has the label 11", [](std::string& bytes) { bytes[17 * record_bytes] = 11; }}};
  for (const auto& [words, fault] : faults)
    for (const std::size_t which : {std::size_t{0}, std::size_t{3}, std::size_t{5}}) {
      Files bad = good;
      fault(bad[which].second);
      write_folder(folder / "folder", bad);
      write_archive(folder / "a.tar", bad, archive_write_add_filter_none);
      BOOST_TEST(says(message(folder / "folder"), {bad[which].first, words, "Hint"}), words);
      BOOST_TEST(says(message(folder / "a.tar"), {"a.tar: cifar-10-batches-bin/" + bad[which].first, words, "Hint"}), words);
    }
}

BOOST_AUTO_TEST_CASE(missing_and_foreign_files_are_named) {
  const TemporaryDirectory folder;
  Files files = random_files(4);
  files.pop_back();
  files.emplace_back("data_batch_6", "pickled");
  write_folder(folder / "folder", files);
  write_archive(folder / "a.tar", files, archive_write_add_filter_none);
  BOOST_TEST(says(message(folder / "folder"), {"folder", "'test_batch.bin'", "binary version"}));
  BOOST_TEST(says(message(folder / "a.tar"), {"a.tar", "5 train and 0 test", "data_batch_6", "binary version"}));
  files.push_back(files[1]);
  files.back().first = "data_batch_2.bin";
  write_archive(folder / "twice.tar", files, archive_write_add_filter_none);
  BOOST_TEST(says(message(folder / "twice.tar"), {"data_batch_2.bin", "more than once"}));
  write_file(folder / "text.tar", "this is no archive");
  BOOST_TEST(says(message(folder / "text.tar"), {"text.tar", "cannot", "Hint"}));
  const std::string whole = read_file(folder / "a.tar");
  write_file(folder / "cut.tar", whole.substr(0, whole.size() / 2));
  BOOST_TEST(says(message(folder / "cut.tar"), {"cut.tar"}));
}

BOOST_AUTO_TEST_SUITE_END()
