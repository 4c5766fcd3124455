// Records of a delimited text file. Fields may be quoted ("a ""b"", c"). A record is one line, or more if a quoted field contains line ends. Blank
// lines and lines that begin with '#' are skipped. Compressed files are decompressed.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "io/importers/byte_stream.hpp"

namespace trireme {

class CsvRecords {
 public:
  /// The separator is the first of , ; tab outside quotes in the first record; otherwise blanks separate fields.
  explicit CsvRecords(const std::filesystem::path& path);

  /// Goes to the next record; false after the last one. Throws a data error if a quoted field is not closed.
  bool next();
  /// Fields without surrounding blanks and quotes; valid until the next call of next().
  const std::vector<std::string_view>& fields() const { return fields_; }
  /// Line number in the file at which the record begins, from 1.
  std::int64_t line() const { return first_line_; }
  const std::string& name() const { return stream_.name(); }
  /// For messages: "','", "a tab"...
  std::string separator_text() const;

 private:
  bool read_line(std::string& line);
  bool split();  // false: the record ends inside quotes

  ByteStream stream_;
  std::vector<std::byte> buffer_;
  std::size_t at_ = 0, have_ = 0;
  std::int64_t lines_read_ = 0, first_line_ = 0;
  char separator_ = 0;  // ' ' means runs of blanks; 0 means not known yet
  std::string record_;
  std::string unquoted_;  // characters of the quoted fields
  std::vector<std::string_view> fields_;
};

}  // namespace trireme
