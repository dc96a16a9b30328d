#include "conf/table_file.hpp"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace spoold::conf {

tl::expected<std::string, std::vector<Problem>> text_of_table(const std::string& path,
                                                              std::string_view what) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();  // fails where there is nothing: an empty file has no rows
  if (!file || std::filesystem::is_directory(path))
    return tl::unexpected(std::vector<Problem>{
        {path, 1, 1, std::string(what) + " cannot be read: " + std::string(std::strerror(errno))}});
  return text.str();
}

}  // namespace spoold::conf
