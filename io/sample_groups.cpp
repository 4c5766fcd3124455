#include "io/detail/sample_groups.hpp"

#include <algorithm>
#include <cctype>
#include <string_view>

#include "base/error.hpp"

namespace trireme::detail {

namespace {

/// Names with numbers in numerical order: sample_2 before sample_10.
bool natural_less(const std::string& a, const std::string& b) {
  std::size_t i = 0, j = 0;
  const auto digit = [](char c) { return std::isdigit(static_cast<unsigned char>(c)) != 0; };
  while (i < a.size() && j < b.size()) {
    if (!digit(a[i]) || !digit(b[j])) {
      if (a[i] != b[j]) return a[i] < b[j];
      ++i, ++j;
      continue;
    }
    const auto number = [&](const std::string& s, std::size_t& at) {
      while (at < s.size() && s[at] == '0') ++at;
      const std::size_t first = at;
      while (at < s.size() && digit(s[at])) ++at;
      return s.substr(first, at - first);
    };
    const std::string x = number(a, i), y = number(b, j);
    if (x.size() != y.size()) return x.size() < y.size();
    if (x != y) return x < y;
  }
  return a.size() - i < b.size() - j || (a.size() - i == b.size() - j && a < b);
}

/// Whether `text` has the form of `pattern`, in which * stands for any characters but '/'.
/// `stars`: what each * stands for, followed by '/'.
bool matches(std::string_view pattern, std::string_view text, std::string* stars = nullptr) {
  if (pattern.empty()) return text.empty();
  if (pattern.front() != '*') return !text.empty() && pattern.front() == text.front() && matches(pattern.substr(1), text.substr(1), stars);
  for (std::size_t n = 0;; ++n) {
    if (matches(pattern.substr(1), text.substr(n))) {
      if (stars == nullptr) return true;
      *stars += std::string(text.substr(0, n)) + "/";
      return matches(pattern.substr(1), text.substr(n), stars);
    }
    if (n == text.size() || text[n] == '/') return false;
  }
}

}  // namespace

std::vector<SampleDataset> datasets_matching(const h5::File& file, const std::string& pattern, const std::string& what) {
  constexpr std::size_t most = 20'000'000;  // names
  const std::string wanted = pattern.starts_with('/') ? pattern : "/" + pattern;
  const h5::DatasetList list = h5::list_data_sets(file, most);
  if (!list.whole) throw data_error("{}: the file has more than {} names. Hint: store samples as rows of one dataset, or in several files", what, most);
  // A sample that cannot be opened must not be left out without a word.
  for (const std::string& name : list.unreadable) {
    const std::string path = "/" + name;
    std::size_t end = 0;
    for (auto depth = std::ranges::count(path, '/'); depth > 0 && end != wanted.npos; --depth) end = wanted.find('/', end + 1);
    if (matches(std::string_view(wanted).substr(0, end), path))
      throw data_error(
          "{}: '{}' has a name of this form, but cannot be opened: it is a link that leads nowhere, or damaged. Hint: copy the file again, or remove "
          "this name",
          what, path);
  }
  std::vector<SampleDataset> found;
  for (const std::string& name : list.data_sets) {
    SampleDataset sample{.name = "/" + name, .key = {}};
    if (matches(wanted, sample.name, &sample.key)) found.push_back(std::move(sample));
  }
  // By what the stars stand for, so that the image and the label of a sample have the same place in their lists.
  std::ranges::sort(found, natural_less, &SampleDataset::key);
  return found;
}

}  // namespace trireme::detail
