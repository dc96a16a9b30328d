#include "protocol/list/import_file.hpp"

#include <chrono>

#include <doctest/doctest.h>
#include <rapidcheck.h>

using namespace spoold::list;

namespace {

/// "name|address|delivery" a member, or "!number:text:reason" a bad line.
std::string read(std::string_view text) {
  auto file = read_import_file(text);
  std::string out;
  if (!file)
    for (const auto& bad : file.error())
      out += "!" + std::to_string(bad.number) + ":" + bad.text + ":" + bad.reason + "\n";
  else
    for (const auto& member : file->members)
      out += member.name + "|" + member.address + "|" + spoold::list::text(member.delivery) + "\n";
  return out;
}

}  // namespace

TEST_CASE("import file: one address a line") {
  CHECK(read("") == "");
  CHECK(read("\n  \n# nobody\n") == "");
  CHECK(read("\xef\xbb\xbf"
             "anna@a.example\r\n\r\n# comment\r\nBert Beta <Bert@B.example>\r\n  carl@c.example  ") ==
        "|anna@a.example|regular\nBert Beta|Bert@b.example|regular\n|carl@c.example|regular\n");
  CHECK(read("\"Beta, Bert\" <bert@b.example>\n\"two words\"@x.example\nanna@a.example "
             "(Anna)\n<dora@d.example>\n") ==
        "Beta, Bert|bert@b.example|regular\n|\"two "
        "words\"@x.example|regular\n|anna@a.example|regular\n|dora@d.example|regular\n");
  CHECK(read("<#a@x.example>\n#b@x.example\n") == "|#a@x.example|regular\n");
  CHECK(read("T\xc3\xa9st <t@x.example>\n") == "T\xc3\xa9st|t@x.example|regular\n");
}

TEST_CASE("import file: an address that comes twice counts once") {
  auto file = read_import_file("Anna@a.example\nanna@A.example\nbert@b.example\n");
  REQUIRE(file);
  CHECK(file->members.size() == 2);
  CHECK(file->repeated == 1);
  CHECK(file->members[0].address == "Anna@a.example");
}

TEST_CASE("import file: every bad line with its number and reason, and no member") {
  CHECK(read("anna@a.example\nnobody\n\na b@c.example\nx@y~z\nbert@b.example\nfoo@a, bar@b\n<a@b\n") ==
        "!2:nobody:the address has no @\n"
        "!4:a b@c.example:the local part has a character that must be quoted\n"
        "!5:x@y~z:the domain has a character other than letters, digits, hyphens and dots\n"
        "!7:foo@a, bar@b:more than one address\n"
        "!8:<a@b:an address has unpaired quotes or angle brackets\n");
  CHECK(read("T\xe9st <t@x.example>\n") ==
        "!1:T\xe9st <t@x.example>:the name is not one line of UTF-8 text\n");
  CHECK(read(std::string(200, 'x') + "\n") == "!1:" + std::string(80, 'x') + ":the address has no @\n");
}

TEST_CASE("import file: CSV with a header line") {
  CHECK(read("Email,Name,Delivery,Joined\nanna@a.example,\"Poster, "
             "\"\"Anna\"\"\",digest,2020\nbert@b.example\n") ==
        "Poster, \"Anna\"|anna@a.example|digest\n|bert@b.example|regular\n");
  CHECK(read("\xef\xbb\xbf\"name\";\"E-Mail\"\r\nAnna;anna@a.example\r\n\r\n;bert@b.example\r\n") ==
        "Anna|anna@a.example|regular\n|bert@b.example|regular\n");
  CHECK(read("address\nanna@a.example\n") == "|anna@a.example|regular\n");
  CHECK(read("# exported\nname\tmember\nAnna\tanna@a.example\n") == "Anna|anna@a.example|regular\n");
  CHECK(read("email,delivery\na@a.example,nomail\nb@b.example,NoMail_By_User\nc@c.example,\n") ==
        "|a@a.example|nomail_by_admin\n|b@b.example|nomail_by_user\n|c@c.example|regular\n");
}

TEST_CASE("import file: bad CSV lines; a record over several lines counts its first") {
  CHECK(read("name,email\n\"Anna\nPoster\",anna@a.example\nBert,nobody\nCarl\n") ==
        "!2:\"Anna:the name is not one line of UTF-8 text\n!4:Bert,nobody:the address has no @\n"
        "!5:Carl:the line has no column for the address\n");
  CHECK(read("email,delivery\na@a.example,often\n") ==
        "!2:a@a.example,often:delivery is none of: regular, digest, digest_mime, digest_plain, nomail, "
        "nomail_by_user, nomail_by_admin, "
        "nomail_by_bounce\n");
  CHECK(read("email,name\na@a.example,\"open\nb@b.example,x\n") ==
        "!2:a@a.example,\"open:a quote is not closed\n");
}

TEST_CASE("import file: property: any text gives members or bad lines, never both, and never hangs") {
  CHECK(rc::check([] {
    auto text = *rc::gen::container<std::string>(
        rc::gen::element('a', '@', '.', ',', ';', '"', '\n', '\r', '<', '>', ' ', '#'));
    if (*rc::gen::arbitrary<bool>()) text = "email,name\n" + text;
    auto file = read_import_file(text);
    if (!file) RC_ASSERT(!file.error().empty());
  }));
}

TEST_CASE("import file: 100,000 lines are read in a moment") {
  std::string text;
  for (int i = 0; i < 100000; ++i)
    text += "member" + std::to_string(i) + "@d" + std::to_string(i % 1000) + ".example\n";
  const auto begin = std::chrono::steady_clock::now();
  auto file = read_import_file(text);
  const auto took =
      std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - begin);
  REQUIRE(file);
  CHECK(file->members.size() == 100000);
  MESSAGE("100,000 lines read in " << took.count() << " ms");
}
