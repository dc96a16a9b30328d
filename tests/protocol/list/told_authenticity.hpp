// What is known of an author, as a test tells it.
#pragma once
#include <algorithm>
#include <string>
#include <vector>

#include "protocol/list/align.hpp"
#include "protocol/mail/ascii.hpp"

namespace spoold::tests {

struct Told final : list::Authenticity {
  bool is_aligned = false;
  Policy published = Policy::reject;
  std::string domain = "a.example";
  std::vector<mail::Field> broken_ones = {};
  std::vector<std::string> forbidden = {}, covered = {};

  Told() = default;
  explicit Told(bool aligned_one, Policy policy_one = Policy::reject)
      : is_aligned(aligned_one), published(policy_one) {}

  const std::string& author_domain() const override { return domain; }
  Policy policy() const override { return published; }
  bool aligned(const mail::Draft&) const override { return is_aligned; }
  std::vector<mail::Field> broken(const mail::Draft&) const override { return broken_ones; }
  bool over_signed(std::string_view name) const override { return among(forbidden, name); }
  bool is_signed(std::string_view name) const override { return among(covered, name); }

 private:
  static bool among(const std::vector<std::string>& names, std::string_view name) {
    return std::ranges::any_of(names, [&](const std::string& one) { return mail::same(one, name); });
  }
};

/// Nobody vouches for the author.
inline const Told nobody;

}  // namespace spoold::tests
