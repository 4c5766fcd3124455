// Importers: the registry of formats that `trireme shard NAME` reads. A file of this folder registers one with TRIREME_IMPORTER(name).
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "io/importers/sample_source.hpp"

namespace trireme {

/// An option of `trireme shard NAME`, as --name VALUE, or --name alone (flag).
struct ImporterOption {
  enum class Type { flag, integer, real, text };
  std::string name;
  Type type;
  std::string fallback;            // default, as text; of a flag: empty
  std::string help;                // what it does, its unit
  std::int64_t low = 0, high = 0;  // of integers, both included
};

/// The values of an importer's options, defaults filled in.
class ImporterOptions {
 public:
  ImporterOptions(const std::vector<ImporterOption>& options, std::map<std::string, std::string> given);

  bool flag(const std::string& name) const { return given(name); }
  bool given(const std::string& name) const { return given_.contains(name); }
  /// A usage error that names the option where the number is out of range, or is none.
  std::int64_t integer(const std::string& name) const;
  double real(const std::string& name) const;
  const std::string& text(const std::string& name) const;

 private:
  const ImporterOption& option(const std::string& name) const;

  std::vector<ImporterOption> options_;
  std::map<std::string, std::string> given_;
};

struct ImporterKind {
  std::string name = {};  // the word behind `trireme shard`; the registry sets it
  std::string source;     // what SOURCE is; empty: there is none
  std::string help;       // what it reads, in a few words
  std::vector<ImporterOption> options = {};
  /// Opens the source. Throws usage errors for options and data errors for files. Not collective; every rank does it.
  std::function<std::unique_ptr<SampleSource>(const std::filesystem::path& source, const ImporterOptions& options)> open;
};

/// All importers, in the order of their files.
const std::vector<ImporterKind>& importer_kinds();

#define TRIREME_IMPORTER(kind) ImporterKind importer_kind_##kind()

// Options that several importers have.
inline constexpr std::int64_t most_made_samples = 1'000'000'000'000;  // numbers of test samples begin behind those of train samples
inline ImporterOption seed_option(const char* help) { return {"seed", ImporterOption::Type::integer, "1", help, 0, 9'000'000'000'000'000'000}; }
inline ImporterOption train_option(const char* fallback) {
  return {"train", ImporterOption::Type::integer, fallback, "number of training samples", 1, most_made_samples};
}
inline ImporterOption test_option(const char* fallback) {
  return {"test", ImporterOption::Type::integer, fallback, "number of test samples", 0, most_made_samples};
}

}  // namespace trireme
