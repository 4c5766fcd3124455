// Tables of numbers as text: a row is a sample; the last columns are its targets or its class.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "io/importers/csv_records.hpp"
#include "io/importers/sample_source.hpp"

namespace trireme {

struct CsvOptions {
  enum class Header { automatic, yes, no };
  std::int64_t targets = 1;    // number of last columns that are float targets
  bool classes = false;        // the last column is a class instead: 0, 1, ...
  double test_fraction = 0.2;  // fraction of rows in the test part, chosen by a hash of (seed, row)
  std::uint64_t seed = 1;
  Header header = Header::automatic;  // automatic: the first record is a header if none of its fields is a number
  bool float64 = false;               // otherwise float32
  bool standardize = false;           // scale features to mean 0 and standard deviation 1 over the train part
  bool standardize_targets = false;
};

/// Mean and standard deviation of columns, updated row by row (Welford 1962).
class ColumnStatistics {
 public:
  explicit ColumnStatistics(std::size_t columns = 0) : mean_(columns, 0.0), squares_(columns, 0.0) {}
  void add(const std::vector<double>& row);
  const std::vector<double>& mean() const { return mean_; }
  /// Population standard deviation; 1 for a constant column, whose standardized values are then 0.
  std::vector<double> deviation() const;

 private:
  double count_ = 0;
  std::vector<double> mean_, squares_;
};

class CsvSource : public SampleSource {
 public:
  /// Reads the whole file once: counts rows, checks every field, computes mean and standard deviation. Throws a data error with file, line, column
  /// and the text found.
  CsvSource(std::filesystem::path path, const CsvOptions& options);
  const SampleLayout& layout() const override { return layout_; }
  std::int64_t count(Part part) const override { return counts_[part]; }
  std::vector<SourceAttribute> attributes() const override;
  void stream(const PerPart<SampleRange>& wanted, const SampleSink& sink) const override;

  /// The part of row `row` (from 0, without the header).
  Part part_of(std::int64_t row) const;

 private:
  struct BadFields;
  void scan();
  void begin(CsvRecords& records);
  void check(const CsvRecords& records, std::vector<double>& row, BadFields& bad) const;
  std::string column_text(std::size_t column) const;

  std::filesystem::path path_;
  CsvOptions options_;
  bool has_header_ = false;
  std::vector<std::string> names_;  // empty without a header
  std::size_t columns_ = 0, features_ = 0;
  PerPart<std::int64_t> counts_{0, 0};
  std::vector<double> mean_, deviation_;  // of all columns; 0 and 1 if not standardized
  SampleLayout layout_;
};

}  // namespace trireme
