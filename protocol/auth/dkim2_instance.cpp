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
    for (const std::string& value : step.data)
      before.emplace(place, std::string(name).append(":").append(value).append("\r\n"));
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

std::string hashed_fields(const std::vector<mail::Field>& fields) {
  std::vector<std::pair<std::string, const mail::Field*>> sorted;
  sorted.reserve(fields.size());
  for (auto field = fields.rbegin(); field != fields.rend(); ++field)
    if (!field->name.empty() && !dkim2_ignores(field->name))
      sorted.emplace_back(mail::lower(mail::trim(field->name)), &*field);
  // Of one name the lowest first.
  std::ranges::stable_sort(sorted, {}, [](const auto& one) -> const std::string& { return one.first; });
  std::string octets;
  for (const auto& [name, field] : sorted) append_canonical(octets, *field, true);
  return octets;
}

std::string header_hash(const std::vector<std::string>& fields, const NewDigest& digest) {
  std::vector<mail::Field> read;
  read.reserve(fields.size());
  for (const std::string& field : fields)
    if (const auto one = mail::Header::scan(field); one && !one->fields().empty())
      read.push_back(one->fields().front());
  const auto hash = digest();
  hash->update(hashed_fields(read));
  return hash->finish();
}

void BodiesBefore::add(const Recipe* recipe, std::map<std::string, BodyHash> hashes) {
  if (recipe != nullptr || bodies_.empty()) bodies_.push_back({.recipe = recipe, .hashes = {}});
  of_.push_back(bodies_.size() - 1);
  bodies_.back().hashes.merge(std::move(hashes));
}

void BodiesBefore::put(std::size_t body, std::string_view octets) {
  if (body >= bodies_.size() || octets.empty()) return;
  for (auto& [name, hash] : bodies_[body].hashes) hash.update(octets);
  const std::size_t before = body + 1;
  if (before >= bodies_.size()) return;
  if (bodies_[before].recipe == nullptr)
    put(before, octets);
  else
    transform(before, octets);
}

/// Texts that stand before the line that comes in, and whether that line is copied.
void BodiesBefore::begin_line(std::size_t body) {
  Body& one = bodies_[body];
  one.begins = one.copies = false;
  for (; one.step < one.recipe->size(); ++one.step) {
    const RecipeStep& step = (*one.recipe)[one.step];
    if (step.data.empty() && one.line <= step.last) {
      one.copies = one.line >= step.first;
      return;
    }
    for (const std::string& text : step.data) {
      put(body, text);
      put(body, "\r\n");
    }
  }
}

/// Lines as lines_of() has them: they end with CRLF.
void BodiesBefore::transform(std::size_t body, std::string_view octets) {
  while (!octets.empty()) {
    Body& one = bodies_[body];
    if (one.begins) begin_line(body);
    std::size_t size = 0;
    if (one.cr && octets.front() == '\n') {
      size = 1;
      one.begins = true;
    } else if (const std::size_t end = octets.find("\r\n"); end != octets.npos) {
      size = end + 2;
      one.begins = true;
    } else {
      size = octets.size();
    }
    const std::string_view part = octets.substr(0, size);
    one.cr = part.back() == '\r';
    if (one.begins) ++one.line;
    octets.remove_prefix(size);
    if (one.copies) put(body, part);
  }
}

std::vector<BodiesBefore::Hashes> BodiesBefore::finish() {
  std::vector<Hashes> all(bodies_.size()), asked;
  for (std::size_t i = 0; i < bodies_.size(); ++i) {
    Body& one = bodies_[i];
    if (one.recipe != nullptr) {
      // What is left of the recipe stands behind the last line.
      const std::uint64_t lines = one.line - (one.begins ? 1 : 0);
      if (one.begins) begin_line(i);
      if (one.step < one.recipe->size()) {
        const std::uint64_t last = (*one.recipe)[one.step].last;
        if (last > lines) one.missing = last;
        for (++one.step; one.missing == 0 && one.step < one.recipe->size(); ++one.step) {
          const RecipeStep& step = (*one.recipe)[one.step];
          if (step.data.empty()) one.missing = step.last;
          for (const std::string& text : step.data) {
            put(i, text);
            put(i, "\r\n");
          }
        }
      }
    }
    for (auto& [name, hash] : one.hashes) all[i][name] = hash.finish().value_or(std::string());
  }
  for (const std::size_t body : of_) asked.push_back(all[body]);
  return asked;
}

}  // namespace spoold::auth
