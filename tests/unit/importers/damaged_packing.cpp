// A packed source that is damaged anywhere is refused, or gives the very bytes that were packed: nothing in between.
#include <archive.h>
#include <archive_entry.h>

#include <boost/test/unit_test.hpp>

#include "io/importers/byte_stream.hpp"
#include "support.hpp"
#include "support/temporary_directory.hpp"

using namespace trireme;
using namespace trireme::test;
namespace fs = std::filesystem;

namespace {

using AddFilter = int (*)(archive*);

struct Packing {
  std::string name;
  AddFilter filter;
};

const std::vector<Packing> packings{{"gz", archive_write_add_filter_gzip}, {"bz2", archive_write_add_filter_bzip2}, {"xz", archive_write_add_filter_xz}};

// Numbers that repeat enough to be packed, and hardly enough to be told from each other.
std::string random_content(RandomStream& random, std::size_t size) {
  std::string content;
  for (std::size_t i = 0; i < size; ++i) content += static_cast<char>(i % 3 == 0 ? random.below(20) : i % 7);
  return content;
}

using Members = std::vector<std::pair<std::string, std::string>>;

void write_archive(const fs::path& path, const Members& members, AddFilter filter, int (*format)(archive*)) {
  archive* const out = archive_write_new();
  filter(out);
  format(out);
  BOOST_REQUIRE(archive_write_open_filename(out, path.c_str()) == ARCHIVE_OK);
  for (const auto& [name, bytes] : members) {
    archive_entry* const entry = archive_entry_new();
    archive_entry_set_pathname(entry, name.c_str());
    archive_entry_set_size(entry, static_cast<la_int64_t>(bytes.size()));
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    archive_write_header(out, entry);
    archive_write_data(out, bytes.data(), bytes.size());
    archive_entry_free(entry);
  }
  archive_write_free(out);
}

std::string packed(const fs::path& scratch, const std::string& content, AddFilter filter) {
  write_archive(scratch, {{"x", content}}, filter, archive_write_set_format_raw);
  return read_file(scratch);
}

std::string rest_of(ByteStream& stream) {
  std::string all;
  std::vector<std::byte> block(1000);
  while (const std::size_t got = stream.read(block)) all.append(reinterpret_cast<const char*>(block.data()), got);
  return all;
}

std::string content_of(const fs::path& path) {
  ByteStream stream = ByteStream::of_file(path);
  return rest_of(stream);
}

Members members_of(const fs::path& path) {
  ByteStream stream = ByteStream::of_archive(path);
  Members members;
  while (stream.next_member()) {
    const std::string name = stream.member();
    members.emplace_back(name, rest_of(stream));
  }
  stream.finish();
  return members;
}

std::string with_flipped_bit(std::string bytes, RandomStream& random) {
  bytes[random.below(bytes.size())] ^= static_cast<char>(1u << random.below(8));
  return bytes;
}

// How many of `tries` single flipped bits in `bytes` were refused. What is accepted must satisfy `same`.
template <class Same>
int refused_flips(const fs::path& path, const std::string& bytes, int tries, RandomStream& random, Same same) {
  int refused = 0;
  for (int i = 0; i < tries; ++i) {
    write_file(path, with_flipped_bit(bytes, random));
    try {
      BOOST_TEST_REQUIRE(same());
    } catch (const Error& error) {
      BOOST_TEST((error.code() == ExitCode::data));
      BOOST_TEST(says(error.what(), {path.string(), "Hint"}), error.what());
      ++refused;
    }
  }
  return refused;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(damaged_packing)

BOOST_AUTO_TEST_CASE(a_flipped_bit_never_changes_the_content) {
  const TemporaryDirectory folder;
  RandomStream random(31);
  const std::string content = random_content(random, 20'000);
  for (const auto& [name, filter] : packings) {
    const fs::path path = folder / ("content." + name);
    const std::string bytes = packed(path, content, filter);
    // Accepted with the content as it was: bits that mean nothing, as gzip's time stamp. A file whose magic number
    // changed is not packed, and comes as it is.
    const auto same = [&] {
      const std::string found = content_of(path);
      return found == content || found == read_file(path);
    };
    BOOST_TEST(refused_flips(path, bytes, 300, random, same) > 280, name);
  }
}

BOOST_AUTO_TEST_CASE(a_flipped_bit_never_changes_members_of_a_packed_archive) {
  const TemporaryDirectory folder;
  RandomStream random(32);
  const Members members{{"a.bin", random_content(random, 9000)}, {"b.bin", random_content(random, 7000)}};
  for (const auto& [name, filter] : packings) {
    const fs::path path = folder / ("a.tar." + name);
    write_archive(path, members, filter, archive_write_set_format_pax_restricted);
    BOOST_REQUIRE((members_of(path) == members));
    BOOST_TEST(refused_flips(path, read_file(path), 200, random, [&] { return members_of(path) == members; }) > 180, name);
  }
}

BOOST_AUTO_TEST_CASE(a_flipped_bit_never_changes_data_of_a_zip_archive) {
  const TemporaryDirectory folder;
  RandomStream random(33);
  const Members members{{"a.bin", random_content(random, 9000)}, {"b.bin", random_content(random, 7000)}};
  const fs::path path = folder / "a.zip";
  write_archive(path, members, archive_write_add_filter_none, archive_write_set_format_zip);
  BOOST_REQUIRE((members_of(path) == members));
  // Names have no checksum in a zip archive; the data have one.
  const auto data_is_whole = [&] {
    for (const auto& [name, bytes] : members_of(path))
      if (bytes != members[0].second && bytes != members[1].second) return false;
    return true;
  };
  BOOST_TEST(refused_flips(path, read_file(path), 200, random, data_is_whole) > 150);
}

BOOST_AUTO_TEST_CASE(streams_follow_each_other) {
  const TemporaryDirectory folder;
  RandomStream random(34);
  const std::string first = random_content(random, 5000), second = random_content(random, 6000);
  for (const auto& [name, filter] : packings) {
    const fs::path path = folder / ("content." + name);
    const std::string a = packed(path, first, filter), b = packed(path, second, filter);
    write_file(path, a + b);
    BOOST_TEST((content_of(path) == first + second), name);
    write_file(path, a + b + std::string(512, '\0'));  // as tapes and some copies leave them
    BOOST_TEST((content_of(path) == first + second), name);
    for (const std::string& rest : {std::string("garbage"), std::string("\0\0\0x", 4)}) {
      write_file(path, a + rest);
      BOOST_TEST(says(message_of([&] { content_of(path); }), {path.string(), "Hint"}), name);
    }
    // The second stream begins with something else: its content must not be lost without a word.
    for (std::size_t at = 0; at < 2; ++at) {
      std::string damaged = b;
      damaged[at] ^= 1;
      write_file(path, a + damaged);
      BOOST_TEST(says(message_of([&] { content_of(path); }), {path.string(), "Hint"}), name);
    }
  }
}

BOOST_AUTO_TEST_CASE(a_file_cut_short_is_refused) {
  const TemporaryDirectory folder;
  RandomStream random(35);
  const std::string content = random_content(random, 20'000);
  for (const auto& [name, filter] : packings) {
    const fs::path path = folder / ("content." + name);
    const std::string bytes = packed(path, content, filter);
    for (int i = 0; i < 40; ++i) {
      write_file(path, bytes.substr(0, 20 + random.below(bytes.size() - 20)));
      BOOST_TEST(says(message_of([&] { content_of(path); }), {path.string(), "Hint"}), name);
    }
    write_file(path, bytes.substr(0, bytes.size() - 1));
    BOOST_TEST(says(message_of([&] { content_of(path); }), {path.string(), "Hint"}), name);
  }
}

BOOST_AUTO_TEST_SUITE_END()
