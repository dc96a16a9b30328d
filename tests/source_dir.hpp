// The folder of the tree that the tests read samples and corpora from. It is a function and no macro, so that
// two checkouts compile the same objects (scripts/build: ccache).
#pragma once
#include <string>

std::string source_dir();
