#include "io/importers/csv.hpp"

#include <boost/test/unit_test.hpp>
#include <cmath>

#include "support.hpp"
#include "support/temporary_directory.hpp"

using namespace trireme;
using namespace trireme::test;

namespace {

using Table = std::vector<std::vector<double>>;

CsvOptions all_to_train() {
  CsvOptions options;
  options.test_fraction = 0;
  return options;
}

Table random_table(std::size_t rows, std::size_t columns, RandomStream& random) {
  Table table(rows, std::vector<double>(columns));
  for (auto& row : table)
    for (double& value : row) value = std::ldexp(random.normal(), static_cast<int>(random.below(40)) - 20);
  return table;
}

std::string text_of(const Table& table, const std::string& separator, const std::string& end = "\n") {
  std::string text;
  for (const auto& row : table)
    for (std::size_t i = 0; i < row.size(); ++i) text += fmt::format("{}{}", row[i], i + 1 < row.size() ? separator : end);
  return text;
}

// What the source makes of all rows, features then targets, in double precision.
Table table_of(const CsvSource& source, Part part = Part::train) {
  const Collected all = collect(source);
  const auto x = values_of<double>(all.features[part]), y = values_of<double>(all.labels[part]);
  const auto features = static_cast<std::size_t>(source.layout().sample.size()), targets = static_cast<std::size_t>(source.layout().label.size());
  Table table;
  for (std::size_t row = 0; row < x.size() / features; ++row) {
    table.emplace_back(x.begin() + static_cast<std::ptrdiff_t>(row * features), x.begin() + static_cast<std::ptrdiff_t>((row + 1) * features));
    for (std::size_t i = 0; i < targets; ++i) table.back().push_back(y[row * targets + i]);
  }
  return table;
}

Table read(const std::string& text, CsvOptions options = all_to_train()) {
  const TemporaryDirectory folder;
  write_file(folder / "t.csv", text);
  options.float64 = true;
  return table_of(CsvSource(folder / "t.csv", options));
}

std::string message(const std::string& text, const CsvOptions& options = all_to_train()) {
  const TemporaryDirectory folder;
  write_file(folder / "t.csv", text);
  return message_of([&] { CsvSource(folder / "t.csv", options); });
}

}  // namespace

BOOST_AUTO_TEST_SUITE(csv)

BOOST_AUTO_TEST_CASE(every_separator_and_line_end) {
  RandomStream random(1);
  for (const char* separator : {",", ";", "\t", " ", "   ", " , ", " \t"})
    for (const char* end : {"\n", "\r\n", "\n\n"}) {
      const Table table = random_table(1 + random.below(3000), 2 + random.below(6), random);
      BOOST_TEST((read(text_of(table, separator, end)) == table), "separator '" << separator << "'");
    }
}

BOOST_AUTO_TEST_CASE(the_last_line_need_not_end) {
  BOOST_TEST((read("1,2\n3,4") == Table{{1, 2}, {3, 4}}));
  BOOST_TEST((read("1 2 \n  3 4 ") == Table{{1, 2}, {3, 4}}));
}

BOOST_AUTO_TEST_CASE(packed_files_are_unpacked) {
  RandomStream random(2);
  const TemporaryDirectory folder;
  const Table table = random_table(20000, 5, random);
  write_gzip(folder / "t.csv.gz", text_of(table, ","));
  CsvOptions options = all_to_train();
  options.float64 = true;
  BOOST_TEST((table_of(CsvSource(folder / "t.csv.gz", options)) == table));
}

BOOST_AUTO_TEST_CASE(quotes_comments_blank_lines_and_byte_order_marks) {
  const Table expected{{1, 2, 3}, {4, 5, -6e-3}};
  BOOST_TEST((read("\xEF\xBB\xBF# made by hand\n\n\"1\",\"2\",3\n 4 , \" +5 \" ,\"-6e-3\"\n\n") == expected));
  BOOST_TEST((read("\"a, \"\"b\"\"\",\"two\nlines\",c\n1,2,3\n4,5,-6e-3\n") == expected));
}

BOOST_AUTO_TEST_CASE(headers_are_found) {
  const Table expected{{1, 2}, {3, 4}};
  CsvOptions options = all_to_train();
  BOOST_TEST((read("a,b\n1,2\n3,4\n") == expected));
  BOOST_TEST((read("1,2\n3,4\n") == expected));
  options.header = CsvOptions::Header::yes;
  BOOST_TEST((read("2019,2020\n1,2\n3,4\n", options) == expected));
  options.header = CsvOptions::Header::no;
  BOOST_TEST(says(message("a,b\n1,2\n", options), {"line 1, column 1", "'a'"}));
}

BOOST_AUTO_TEST_CASE(rows_go_to_train_or_test_by_seed_and_row_alone) {
  RandomStream random(3);
  const TemporaryDirectory folder;
  const Table table = random_table(20000, 3, random);
  write_file(folder / "t.csv", text_of(table, ","));
  CsvOptions options;
  options.float64 = true;
  for (const double fraction : {0.0, 0.1, 0.5, 0.9}) {
    options.test_fraction = fraction;
    const CsvSource source(folder / "t.csv", options);
    const double share = static_cast<double>(source.count(Part::test)) / 20000;
    BOOST_TEST(std::abs(share - fraction) < 0.02);
    PerPart<Table> expected;
    for (std::size_t row = 0; row < table.size(); ++row) expected[source.part_of(static_cast<std::int64_t>(row))].push_back(table[row]);
    for (const Part part : all_parts) BOOST_TEST((table_of(source, part) == expected[part]));
    BOOST_TEST(pieces_agree(source, random));
  }
  const CsvSource first(folder / "t.csv", options), again(folder / "t.csv", options);
  options.seed = 2;
  const CsvSource other(folder / "t.csv", options);
  BOOST_TEST((table_of(first) == table_of(again)));
  BOOST_TEST((table_of(first) != table_of(other)));
}

BOOST_AUTO_TEST_CASE(targets_classes_and_precision) {
  const TemporaryDirectory folder;
  write_file(folder / "t.csv", "1,2,3,4\n5,6,7,8\n");
  CsvOptions options = all_to_train();
  options.targets = 2;
  const CsvSource targets(folder / "t.csv", options);
  BOOST_TEST(targets.layout().sample.tuple() == "(2)");
  BOOST_TEST(targets.layout().label.tuple() == "(2)");
  BOOST_TEST((values_of<float>(collect(targets).labels[Part::train]) == std::vector<float>{3, 4, 7, 8}));
  options.classes = true;
  const CsvSource classes(folder / "t.csv", options);
  BOOST_TEST(classes.layout().label.rank() == 0);
  BOOST_TEST((values_of<std::int64_t>(collect(classes).labels[Part::train]) == std::vector<std::int64_t>{4, 8}));
  BOOST_TEST((values_of<float>(collect(classes).features[Part::train]) == std::vector<float>{1, 2, 3, 5, 6, 7}));
}

BOOST_AUTO_TEST_CASE(standardised_columns_have_mean_0_and_deviation_1_over_the_train_part) {
  RandomStream random(4);
  const TemporaryDirectory folder;
  Table table = random_table(3000, 4, random);
  for (auto& row : table) row[1] = 7, row[2] = 1e6 + row[2];  // a constant column, and one far from 0
  write_file(folder / "t.csv", text_of(table, ","));
  CsvOptions options;
  options.float64 = options.standardize = options.standardize_targets = true;
  const CsvSource source(folder / "t.csv", options);
  ColumnStatistics statistics(4);
  for (const auto& row : table_of(source)) statistics.add(row);
  for (std::size_t i = 0; i < 4; ++i) {
    BOOST_TEST(std::abs(statistics.mean()[i]) < 1e-8);
    BOOST_TEST(std::abs(statistics.deviation()[i] - 1) < 1e-6);
  }
  // The attributes bring the numbers of the file back, in the test part too.
  const auto attributes = source.attributes();
  BOOST_REQUIRE(attributes.size() >= 4u);
  std::vector<double> mean, deviation;
  for (const auto& attribute : attributes) {
    if (attribute.name != "mean" && attribute.name != "deviation") continue;
    auto& all = attribute.name == "mean" ? mean : deviation;
    all.insert(all.end(), attribute.values.begin(), attribute.values.end());
  }
  const Table test = table_of(source, Part::test);
  std::size_t at = 0;
  for (std::size_t row = 0; row < table.size(); ++row) {
    if (source.part_of(static_cast<std::int64_t>(row)) == Part::train) continue;
    for (std::size_t i = 0; i < 4; ++i) {
      const double back = test[at][i] * deviation[i] + mean[i];
      BOOST_TEST(std::abs(back - table[row][i]) <= 1e-9 * (std::abs(table[row][i]) + deviation[i]));
    }
    ++at;
  }
  options.standardize_targets = false;
  BOOST_TEST(CsvSource(folder / "t.csv", options).attributes().size() == 3u);
}

// Wherever a bad field stands, its line, column and text are in the message.
BOOST_AUTO_TEST_CASE(bad_fields_are_named_wherever_they_stand) {
  RandomStream random(5);
  const std::vector<std::string> bad{"", "NA", "nan", "inf", "-inf", "1.5x", "0x10", "1e", "--1", "1 2", "1e999", "\"\"", "\"1\"2", "yes", "+-1"};
  for (int trial = 0; trial < 100; ++trial) {
    const std::size_t rows = 2 + random.below(20), columns = 2 + random.below(5);
    const std::size_t row = random.below(rows), column = random.below(columns);
    const std::string field = bad[random.below(bad.size())];
    std::string text = "# a comment\n\n";
    for (std::size_t i = 0; i < rows; ++i)
      for (std::size_t j = 0; j < columns; ++j) text += (i == row && j == column ? field : fmt::format("{}", i * j)) + (j + 1 < columns ? ";" : "\n");
    const std::string found = message(text);
    const std::string shown = field.empty() || field == "\"\"" ? "empty" : "'" + field + "'";
    BOOST_TEST(says(found, {"t.csv", fmt::format("line {}, column {}", row + 3, column + 1), shown, "Hint"}), text << " gave " << found);
  }
}

BOOST_AUTO_TEST_CASE(all_columns_with_bad_fields_are_told) {
  const std::string found = message("size,color,price\n1,red,3\n,blue,4\n5,green,NA\n");
  BOOST_TEST(says(found, {"line 2, column 2 'color'", "'red'", "column 1 'size' (1 times)", "'color' (3 times)", "'price' (1 times)"}));
}

BOOST_AUTO_TEST_CASE(bad_classes_and_large_numbers) {
  CsvOptions options = all_to_train();
  options.classes = true;
  BOOST_TEST(message("1,0\n2,1.0\n", options) == "");
  for (const char* label : {"-1", "0.5", "1e300"})
    BOOST_TEST(says(message(fmt::format("1,0\n2,{}\n", label), options), {"line 2, column 2", label, "a class"}));
  BOOST_TEST(says(message("1,2\n1e60,3\n"), {"line 2, column 1", "1e60", "--float64"}));
  options = all_to_train();
  options.float64 = true;
  BOOST_TEST(message("1,2\n1e60,3\n", options) == "");
}

BOOST_AUTO_TEST_CASE(ragged_and_broken_tables) {
  BOOST_TEST(says(message("1,2,3\n4,5\n"), {"line 2", "2 fields", "has 3", "','"}));
  BOOST_TEST(says(message("1,2\n4,5,\n"), {"line 2", "3 fields", "has 2"}));
  BOOST_TEST(says(message("1,2\n\"3,4\n5,6\n"), {"line 2", "not closed"}));
  BOOST_TEST(says(message("1\n2\n"), {"line 1", "1 column", "blanks"}));
  BOOST_TEST(says(message(""), {"no rows"}));
  BOOST_TEST(says(message("\n# nothing\n\n"), {"no rows"}));
  BOOST_TEST(says(message("a,b\n"), {"0 rows"}));
  BOOST_TEST(says(message(std::string("1,2\n3,\0\1\2\n", 10)), {"line 2, column 2", "\\x00\\x01"}));
  CsvOptions options = all_to_train();
  options.targets = 3;
  BOOST_TEST(says(message("1,2,3\n", options), {"3 column", "3 of labels"}));
}

BOOST_AUTO_TEST_SUITE_END()
