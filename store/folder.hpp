// The folder of a store: made when it is missing, refused where LMDB cannot work, its new entries flushed.
// Failures: io, invalid; each text says what to do.
#pragma once
#include <string>

#include "store/error.hpp"

namespace spoold::store {

/// Makes the folder and what is missing above it. The mode is given at once: a folder that is there keeps its own.
Result<void> make_folder(const std::string& path);
/// Memory maps and locks of network file systems are not those of a disk: invalid.
Result<void> local_file_system(const std::string& path);
/// Flushes the entries of new files in this folder, and those of the folders above it, as far as they can be opened.
Result<void> sync_folders(const std::string& path);

}  // namespace spoold::store
