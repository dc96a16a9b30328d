// dkim sign, create, rotate, list and show: signatures of our own, and their keys. dkim2 verify and undo.
#pragma once
#include "server/spoolctl/verbs.hpp"

namespace spoold::server::admin {

/// `dkim`: the verbs of two words that begin so.
void declare_dkim_verbs(const Verbs& dkim);
void declare_dkim2_verbs(const Verbs&);

}  // namespace spoold::server::admin
