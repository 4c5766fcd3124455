// A data set looked at shard by shard: what each holds and what is wrong with it, where a run would stop at the first
// problem.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "comm/communicator.hpp"
#include "io/shard.hpp"

namespace trireme {

/// Numbers of one data set of all shards: a histogram while they are integers of few values, and their range.
class NumberSummary {
 public:
  static constexpr std::size_t most_values = 1000;

  explicit NumberSummary(bool histogram = true) : few_(histogram) {}
  /// `gaps`: NaN stands for a missing number.
  void add(ElementType type, const std::byte* values, std::int64_t count, bool gaps = false);
  void merge(const NumberSummary& other);
  /// But for missing ones.
  std::int64_t not_finite() const { return not_finite_ - missing_; }
  /// {"count", "min", "max", "mean", "std"}, with "histogram" {"value": count} where there is one; without finite
  /// numbers only "count"; with "missing" and "not_finite" where there are such.
  nlohmann::json json() const;

  /// For the journey between ranks.
  nlohmann::json pack() const;
  static NumberSummary unpack(const nlohmann::json& packed);

 private:
  template <class T>
  void add_all(const T* values, std::int64_t count, bool gaps);
  void count_value(std::int64_t value, std::int64_t times);

  std::int64_t count_ = 0, not_finite_ = 0, missing_ = 0;  // missing_: of those that are not finite
  double low_ = 0, high_ = 0, mean_ = 0,
         squares_ = 0;  // of the finite ones; squares_: sum of squared distances from the mean
  bool few_;
  std::map<std::int64_t, std::int64_t> histogram_;
};

struct SurveyedShard {
  std::string path;
  std::string problem;  // empty: none. Else what follows may be empty
  std::int64_t rows = 0, bytes = 0;
  bool has_checksums = false;  // beside each data set that was read
  Shape sample, label;
  std::string feature_type, label_type;  // label_type is empty where there are no labels
};

struct ShardSurvey {
  std::vector<SurveyedShard> shards;
  NumberSummary labels, features{false};
  std::vector<NumberSummary> channels;  // of the features, where asked for
  std::vector<std::string> problems;    // one message each
};

struct SurveyOptions {
  ShardNames names;
  bool labels_required = false;  // else shards without the data set of the labels are fine, if no shard has it
  Shape sample;                  // of one sample, where known: for files that are one sample each
  bool read_features = false;
  bool statistics = false;  // also of each channel: the first extent of `sample` where that is known, else of a row
};

/// Looks at all shards, dealt to the ranks; the result is complete on rank 0. Collective.
ShardSurvey survey_shards(const Communicator& comm, const std::vector<std::string>& paths,
                          const SurveyOptions& options);

}  // namespace trireme
