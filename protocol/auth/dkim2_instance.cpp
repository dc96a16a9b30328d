// DKIM2: what a message was before a hop changed it, and the hash of its fields.
#include "protocol/auth/dkim2.hpp"

#include <algorithm>
#include <map>

#include "protocol/mail/ascii.hpp"

namespace spoold::auth {
namespace {

constexpr std::size_t most_octets = 256 << 20;  // of a restored body

std::string name_in(std::string_view field) {
  return mail::lower(mail::trim(field.substr(0, field.find(':'))));
}

/// With their line ends; the last one may have none.
std::vector<std::string_view> lines_of(std::string_view body) {
  std::vector<std::string_view> lines;
  while (!body.empty()) {
    const auto end = body.find("\r\n");
    const std::size_t size = end == body.npos ? body.size() : end + 2;
    lines.push_back(body.substr(0, size));
    body.remove_prefix(size);
  }
  return lines;
}

/// The fields of one name before a change, in place of those that are there: a copy stays where it is, a text stands in front of the
/// field that was emitted before it.
tl::expected<void, std::string> undo_name(std::vector<std::string>& fields, const std::string& name,
                                          const Recipe& recipe) {
  std::vector<std::size_t> at;  // of the fields of this name, the lowest first
  for (std::size_t i = fields.size(); i-- > 0;)
    if (name_in(fields[i]) == name) at.push_back(i);
  std::vector<bool> kept(fields.size(), false);
  std::multimap<std::size_t, std::string>
      before;  // texts by the field that they stand in front of; the end: its size
  std::size_t place = fields.size();
  for (const RecipeStep& step : recipe) {
    for (const std::string& value : step.data) before.emplace(place, name + ":" + value + "\r\n");
    if (!step.data.empty()) continue;
    if (step.last > at.size())
      return tl::unexpected("names field " + std::to_string(step.last) + " of " + name +
                            ", which is not there");
    for (std::uint64_t i = step.first; i <= step.last; ++i) kept[place = at[i - 1]] = true;
  }
  std::vector<std::string> out;
  const auto put_before = [&](std::size_t i) {
    const auto [begin, end] = before.equal_range(i);
    for (auto text = std::make_reverse_iterator(end); text != std::make_reverse_iterator(begin); ++text)
      out.push_back(text->second);
  };
  for (std::size_t i = 0; i < fields.size(); ++i) {
    put_before(i);
    if (kept[i] || name_in(fields[i]) != name) out.push_back(std::move(fields[i]));
  }
  put_before(fields.size());
  fields = std::move(out);
  return {};
}

}  // namespace

std::string Instance::text() const {
  std::string all;
  for (const std::string& field : fields) all += field;
  return all + "\r\n" + body;
}

tl::expected<Instance, std::string> undone(const Instance& instance, const Recipes& recipes) {
  Instance before = instance;
  for (const auto& [name, recipe] : recipes.header)
    if (auto done = undo_name(before.fields, name, recipe); !done)
      return tl::unexpected(std::move(done.error()));
  if (!recipes.body) return before;
  const auto lines = lines_of(instance.body);
  before.body.clear();
  for (const RecipeStep& step : *recipes.body) {
    for (const std::string& line : step.data) before.body.append(line).append("\r\n");
    if (!step.data.empty()) continue;
    if (step.last > lines.size())
      return tl::unexpected("names line " + std::to_string(step.last) + ", which is not there");
    for (std::uint64_t i = step.first; i <= step.last; ++i) before.body += lines[i - 1];
    if (before.body.size() > most_octets)
      return tl::unexpected(std::string("restores more than is accepted"));
  }
  return before;
}

tl::expected<Instance, std::string> instance_of(const mail::Header& header, std::string_view body,
                                                std::uint64_t number) {
  Instance instance;
  instance.body = body;
  std::map<std::uint64_t, Recipes> recipes;  // of later instances
  bool there = number == 0;
  for (const mail::Field& field : header.fields()) {
    if (is_instance(field)) {
      auto read = MessageInstance::parse(field);
      if (!read) return tl::unexpected(std::move(read.error()));
      there = there || read->number == number;
      if (read->number > number) {
        if (!recipes.emplace(read->number, read->recipes.value_or(Recipes())).second)
          return tl::unexpected("Message-Instance m=" + std::to_string(read->number) + " is there twice");
        continue;
      }
    } else if (is_signature(field)) {
      const auto read = Dkim2Signature::parse(field);
      if (!read) return tl::unexpected(read.error());
      if (read->instance > number) continue;
    }
    instance.fields.emplace_back(field.raw);
  }
  if (!there) return tl::unexpected("Message-Instance m=" + std::to_string(number) + " missing");
  for (auto one = recipes.rbegin(); one != recipes.rend(); ++one) {
    const std::string name = "Message-Instance m=" + std::to_string(one->first);
    if (one->second.body_lost) return tl::unexpected(name + " says that the body before cannot be restored");
    auto before = undone(instance, one->second);
    if (!before) return tl::unexpected(name + " " + before.error());
    instance = std::move(*before);
  }
  return instance;
}

std::string header_hash(const std::vector<std::string>& fields, const NewDigest& digest) {
  std::multimap<std::string, std::string>
      sorted;  // equal names in the order in which they are put: the lowest first
  for (auto field = fields.rbegin(); field != fields.rend(); ++field) {
    const auto read = mail::Header::scan(*field);
    if (!read || read->fields().empty() || dkim2_ignores(read->fields().front().name)) continue;
    sorted.emplace(name_in(*field), canonical_field(read->fields().front(), true));
  }
  const auto hash = digest();
  for (const auto& [name, text] : sorted) hash->update(text);
  return hash->finish();
}

}  // namespace spoold::auth
