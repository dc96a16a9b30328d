// The roster of the directory, for the spool's acceptances (spool/roster.hpp): the regular members of a list.
#pragma once
#include "store/spool/roster.hpp"

namespace spoold::store {

const spool::Roster& directory_roster();

}  // namespace spoold::store
