// What is known of the author of an arrival, for the lists that it goes to: made when the first one asks.
#pragma once
#include <optional>
#include <string>

#include "protocol/auth/alignment.hpp"
#include "protocol/auth/results.hpp"
#include "protocol/list/policy.hpp"
#include "server/office/arrival.hpp"
#include "server/office/signing.hpp"
#include "store/directory/directory.hpp"

namespace spoold::server {

class AddressBook;

/// What the lists among the recipients ask about the author, all together: before the content is there.
list::AsksOfAuthor asks_of_author(const store::Read& read, const AddressBook& addresses,
                                  const smtp::Transaction& transaction);

class Authors {
 public:
  /// All must live longer.
  Authors(const conf::Settings& settings, const mail::Header& header, const Arrival& arrival)
      : settings_(settings), header_(header), arrival_(arrival) {}

  const list::Authenticity& authenticity() {
    if (!alignment_)
      alignment_.emplace(header_, arrival_.holds != nullptr ? arrival_.holds : arrival_.verified,
                         !signing_domain().empty());
    return *alignment_;
  }
  /// The author's domain, where copies with its From are signed by its keys; else empty.
  const std::string& signing_domain() {
    if (!signing_domain_) {
      signing_domain_.emplace();
      if (std::string domain = arrival_.vouched ? auth::author_domain(header_) : std::string();
          has_keys(settings_, domain))
        *signing_domain_ = std::move(domain);
    }
    return *signing_domain_;
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
  const conf::Settings& settings_;
  const mail::Header& header_;
  const Arrival& arrival_;
  std::optional<std::string> signing_domain_;
  std::optional<auth::Alignment> alignment_;
};

}  // namespace spoold::server
