#define TOML_IMPLEMENTATION
#include "conf/toml.hpp"
