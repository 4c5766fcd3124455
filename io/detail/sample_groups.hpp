// Datasets of one sample each, in groups such as /sample_0, /sample_1, ...
#pragma once

#include <string>
#include <vector>

#include "io/h5.hpp"

namespace trireme::detail {

struct SampleDataset {
  std::string name, key;  // path; what each * of the pattern stands for
};

/// The datasets whose path has the form of `pattern`, in which * stands for any characters but '/'. Numbers in names are ordered by their value: sample_2
/// before sample_10.
/// `what`: for messages. Throws a data error if one of them cannot be opened.
std::vector<SampleDataset> datasets_matching(const h5::File& file, const std::string& pattern, const std::string& what);

}  // namespace trireme::detail
