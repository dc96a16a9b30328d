#include "protocol/list/settings.hpp"

namespace spoold::list {

Envelope envelope_for(const Settings& settings, std::uint32_t post_number) {
  const bool individual = settings.personalize != Personalize::none;
  switch (settings.verp) {
    case Verp::never:
      return individual ? Envelope::each_plain : Envelope::bulk;
    case Verp::personalized:
      return individual ? Envelope::each_verp : Envelope::bulk;
    case Verp::every:
      if (individual) return Envelope::each_verp;
      return settings.verp_every != 0 && post_number % settings.verp_every == 0 ? Envelope::each_verp
                                                                                : Envelope::bulk;
    case Verp::always:
      return Envelope::each_verp;
  }
  return Envelope::bulk;
}

}  // namespace spoold::list
