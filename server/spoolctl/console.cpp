#include "server/spoolctl/console.hpp"

#include <cstdio>

#include "server/spoolctl/print.hpp"

namespace spoold::server::admin {

namespace {
constexpr std::size_t rows_of_a_table = 1000;
}  // namespace

Exit Console::fail(const Json& failure) const {
  if (json) put(dump(failure) + "\n");
  std::fprintf(stderr, "spoolctl: %s\n", printable(failure.value("error", "failed")).c_str());
  return static_cast<Exit>(failure.value("exit", 1));
}

Exit Console::nothing_matched() const {
  std::fputs("spoolctl: nothing matched\n", stderr);
  return Exit::nothing_matched;
}

Exit Console::print(const Json& object) const {
  put(json ? dump(object) + "\n" : fields_text(object));
  return Exit::done;
}

Json Console::ask(const Json& request) const {
  try {
    return access.change(request);
  } catch (const store::Broken& broken) {
    return failure(broken.error);
  }
}

Exit Console::change(const Json& request) const {
  const Json answer = ask(request);
  put(json ? dump(answer) + "\n" : answer_text(request.value("verb", ""), answer));
  if (!answer.value("ok", false))
    std::fprintf(stderr, "spoolctl: %s\n", printable(answer.value("error", "failed")).c_str());
  return static_cast<Exit>(answer.value("exit", 1));
}

void Rows::operator()(Json row) {
  ++count;
  if (json_) return put((count == 1 ? "[\n" : ",\n") + dump(row));
  page_.push_back(std::move(row));
  if (page_.size() == rows_of_a_table) print();
}

void Rows::finish() {
  if (json_)
    put(count ? "\n]\n" : "[]\n");
  else
    print();
}

void Rows::print() {
  put(table_(page_));
  page_.clear();
}

}  // namespace spoold::server::admin
