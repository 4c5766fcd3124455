// A file appears under its name only when it is whole and on the disk.
#pragma once

#include <filesystem>
#include <system_error>

namespace trireme::detail {

/// ".NAME.partial" beside `file`: what readers never look at.
std::filesystem::path partial_name(const std::filesystem::path& file);
/// Brings a file's (or a folder's) written data to the disk.
std::error_code sync_to_disk(const std::filesystem::path& path);
/// Renames `partial`, already synced, to `file` and syncs the folder, so that the name survives a power failure too.
std::error_code publish(const std::filesystem::path& partial, const std::filesystem::path& file);

}  // namespace trireme::detail
