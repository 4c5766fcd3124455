// The small files of a run directory (deck.ini, metrics.jsonl, owner.json...): each is read completely or not at all, and replaced atomically.
// Nothing is written through a symbolic link, or to a device or folder with the name of a record.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "io/retry.hpp"

namespace trireme {

/// All bytes of a file; empty if it does not exist (ENOENT, the only error with this meaning). Other errors are retried `retries` times, then throw a
/// checkpoint error, so that a temporarily unreadable record is never taken for a missing one.
std::optional<std::string> read_record(const std::filesystem::path& file, int retries = usual_retries);

/// Replaces the file by a new one with `text`: writes ".NAME.TAG.partial" next to it, flushes it to disk, and renames it. A symbolic link with the
/// name is replaced. Retries temporary errors.
void replace_record(const std::filesystem::path& file, const std::string& tag, std::string_view text, int retries = usual_retries);

/// Whether the file name is that of a temporary file of replace_record(), of the watchdog or of an earlier version.
bool is_unfinished_record(const std::string& name);

}  // namespace trireme
