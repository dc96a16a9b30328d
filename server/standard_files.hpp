// Descriptors 0, 1 and 2 are open before anything else is: to be called first in main().
#pragma once

namespace spoold::server {

/// Opens /dev/null for each of 0, 1 and 2 that is closed. Otherwise the next file that the program opens (a lock,
/// a socket, the store) would be its standard output, and text would be written into it.
void open_standard_files();

}  // namespace spoold::server
