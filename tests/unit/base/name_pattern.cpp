// Patterns and rules for names of arrays.
#include "base/name_pattern.hpp"

#include <boost/test/unit_test.hpp>

#include "base/error.hpp"

using namespace trireme;

BOOST_AUTO_TEST_SUITE(name_patterns)

BOOST_AUTO_TEST_CASE(match_whole_names_first_parts_and_stars) {
  const auto matches = [](const char* pattern, const char* name) { return NamePattern(pattern).matches(name); };
  BOOST_TEST(matches("conv1", "conv1.weight"));
  BOOST_TEST(matches("conv1.weight", "conv1.weight"));
  BOOST_TEST(!matches("conv1", "conv10.weight"));
  BOOST_TEST(!matches("conv1.w", "conv1.weight"));
  BOOST_TEST(matches("*.bias", "stage.2.conv.bias"));
  BOOST_TEST(!matches("*.bias", "stage.bias.weight"));
  BOOST_TEST(matches("*", "anything"));
  BOOST_TEST(matches("a*b*c", "abbc"));
  BOOST_TEST(!matches("a*b*c", "acb"));
  BOOST_TEST(matches("norm*", "norm"));
}

BOOST_AUTO_TEST_CASE(rename) {
  const auto renamed = [](const char* rule, const char* name) { return NameRule::parse_list(rule, "key").front().renamed(name).value_or("-"); };
  BOOST_TEST(renamed("body:trunk", "body.weight") == "trunk.weight");
  BOOST_TEST(renamed("body:trunk", "body2.weight") == "-");
  BOOST_TEST(renamed("features.*.weight:conv*.weight", "features.3.weight") == "conv3.weight");
  BOOST_TEST(renamed("*.a.*:*.b.*", "x.a.y") == "x.b.y");
  BOOST_TEST(renamed("w:v.weight", "w") == "v.weight");
}

BOOST_AUTO_TEST_CASE(refuse_what_means_nothing) {
  for (const char* list : {"a", "a:", ":b", "a:b:c", "a*:b", "a:b*", "a:b,,c:d"}) BOOST_CHECK_THROW(NameRule::parse_list(list, "key"), Error);
  BOOST_CHECK_THROW(NamePattern::parse_list("a,,b", "key"), Error);
  const std::vector<std::string> names{"head.weight", "head.bias"};
  BOOST_CHECK_EXCEPTION(require_match(NamePattern("haed"), names, "optimizer.freeze", "the network"), Error,
                        [](const Error& error) { return std::string(error.what()).find("did you mean 'head'?") != std::string::npos; });
  BOOST_CHECK_NO_THROW(require_match(NamePattern("head"), names, "optimizer.freeze", "the network"));
}

BOOST_AUTO_TEST_SUITE_END()
