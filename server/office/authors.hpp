// What is known of the author of an arrival, for the lists that it goes to: made when the first one asks.
#pragma once
#include <optional>
#include <string>

#include "protocol/auth/alignment.hpp"
#include "protocol/list/policy.hpp"
#include "server/office/arrival.hpp"
#include "store/directory/directory.hpp"

namespace spoold::server {

class Authors {
 public:
  /// Both must live longer.
  Authors(const mail::Header& header, const Arrival& arrival) : header_(header), arrival_(arrival) {}

  const list::Authenticity& authenticity() {
    if (!alignment_) alignment_.emplace(header_, arrival_.verified);
    return *alignment_;
  }
  /// The name of the member with that Mailbox key, where From names nobody.
  static std::string name_of(const store::Read& read, list::ListId list, const list::Post& post,
                             const std::string& poster) {
    const auto& author = post.author.address;
    if (!author || !author->name.empty()) return {};
    const auto member = store::directory::find_member(read, list, poster);
    return member ? member->name : std::string();
  }

 private:
  const mail::Header& header_;
  const Arrival& arrival_;
  std::optional<auth::Alignment> alignment_;
};

}  // namespace spoold::server
