#include "base/sha256.hpp"

#include <boost/test/unit_test.hpp>
#include <string>

namespace {
std::string digest(const std::string& text, std::size_t piece = std::string::npos) {
  trireme::Sha256 sha;
  const auto bytes = std::as_bytes(std::span(text));
  for (std::size_t at = 0; at < bytes.size(); at += std::min(piece, bytes.size() - at)) sha.update(bytes.subspan(at, std::min(piece, bytes.size() - at)));
  return sha.hex();
}
}  // namespace

BOOST_AUTO_TEST_SUITE(sha256)

BOOST_AUTO_TEST_CASE(known_digests) {  // NIST's examples for FIPS 180-4
  BOOST_TEST(digest("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  BOOST_TEST(digest("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  BOOST_TEST(digest("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") == "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  BOOST_TEST(digest(std::string(1000000, 'a')) == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

BOOST_AUTO_TEST_CASE(pieces_do_not_matter) {
  std::string text;
  for (int i = 0; i < 1000; ++i) text += static_cast<char>(i * 7);
  for (std::size_t piece : {1, 3, 55, 56, 63, 64, 65, 128, 999}) BOOST_TEST(digest(text, piece) == digest(text));
}

BOOST_AUTO_TEST_SUITE_END()
