// Atomic creation of files: a file gets its name only when it is complete and on disk.
#pragma once

#include <filesystem>
#include <system_error>

namespace trireme::detail {

/// Temporary name ".NAME.partial" next to `file`, which readers ignore.
std::filesystem::path partial_name(const std::filesystem::path& file);
/// Flushes a file (or a folder) to disk.
std::error_code sync_to_disk(const std::filesystem::path& path);
/// Renames `partial`, already flushed, to `file` and flushes the folder, so that the name survives a power failure.
std::error_code publish(const std::filesystem::path& partial, const std::filesystem::path& file);

}  // namespace trireme::detail
