// The dialog against a server of the test's own that answers at random (each reply, the cutting of its bytes,
// the end of the connection, what the kernel takes of the last write). The server keeps its own book; the
// observations must agree with it.
#include <doctest/doctest.h>
#include <rapidcheck.h>

#include <deque>
#include <map>

#include "protocol/smtp/client_dialog.hpp"

using namespace spoold;
using namespace spoold::smtp;

namespace {

struct Dice {
  const std::vector<std::uint16_t>& seeds;
  std::size_t at = 0;
  unsigned roll(unsigned sides) {
    if (seeds.empty()) return 0;
    const unsigned value = seeds[at % seeds.size()] + static_cast<unsigned>(at / seeds.size()) * 7919u;
    ++at;
    return value % sides;
  }
};

// What the server knows of one transaction, by the commands it read and the replies it wrote.
struct Book {
  std::optional<int> mail, data;
  std::vector<std::pair<std::string, std::optional<int>>> rcpts;
  std::vector<int> dots;
  std::size_t dots_owed = 0;
  bool content = false;
};

class Server {
 public:
  Server(Dice& dice, bool lmtp, bool pipelining, bool chunking)
      : dice_(dice), lmtp_(lmtp), pipelining_(pipelining), chunking_(chunking) {}

  // Commands in; the replies to all of them come out one by one from answer().
  void take(std::string_view bytes) {
    in_ += bytes;
    for (std::size_t end; (end = in_.find("\r\n")) != std::string::npos;) {
      commands_.push_back(in_.substr(0, end));
      in_.erase(0, end + 2);
    }
  }
  bool owes() const { return greeting_ || owed_dots_ > 0 || !commands_.empty(); }

  std::string answer() {
    if (greeting_) {
      greeting_ = false;
      return "220 hi\r\n";
    }
    if (owed_dots_ > 0) return dot();
    const std::string command = commands_.front();
    commands_.pop_front();
    if (data_mode_) {
      if (command.starts_with("<")) {
        books.back().content = true;
        const std::string end = commands_.front();  // the test writes content and dot as two lines
        commands_.pop_front();
        RC_ASSERT(end == ".");
      } else {
        RC_ASSERT(command == ".");
        RC_ASSERT(accepted_ == 0 || *books.back().mail >= 400);
      }
      data_mode_ = mail_open_ = false;
      owed_dots_ = lmtp_ ? std::max<std::size_t>(accepted_, 1) : 1;
      books.back().dots_owed = owed_dots_;
      return dot();
    }
    if (command == "EHLO me" || command == "LHLO me")
      return std::string("250-hi\r\n") + (pipelining_ ? "250-PIPELINING\r\n" : "") +
             (chunking_ ? "250-CHUNKING\r\n" : "") + "250 SIZE\r\n";
    if (command.starts_with("RSET")) {
      mail_open_ = false;
      return "250 ok\r\n";
    }
    if (command.starts_with("BDAT")) {
      RC_ASSERT(command == "BDAT 5 LAST" && chunking_ && !lmtp_);
      if (commands_.empty()) return "";  // cut off: it never ends
      RC_ASSERT(commands_.front().starts_with("<"));
      commands_.pop_front();
      Book& book = books.back();
      book.content = true;
      // Nobody accepted: the transaction may stay open at this server, or not.
      if (accepted_ == 0) {
        book.dots.push_back(pick({503, 554}));
        mail_open_ = mail_open_ && dice_.roll(2) == 0;
        return reply(book.dots.back());
      }
      mail_open_ = false;
      accepted_ = 0;
      book.dots.push_back(pick({250, 250, 250, 452, 554}));
      return reply(book.dots.back());
    }
    if (command.starts_with("QUIT")) return "221 bye\r\n";
    if (command.starts_with("MAIL")) {
      RC_ASSERT(!mail_open_);
      books.emplace_back().mail = pick({250, 250, 250, 250, 451, 550});
      mail_open_ = *books.back().mail == 250;
      accepted_ = 0;
      return reply(*books.back().mail);
    }
    if (command.starts_with("RCPT")) {
      const int code = *books.back().mail >= 400 ? 503 : pick({250, 250, 250, 450, 550, 552});
      if (code == 250) ++accepted_;
      books.back().rcpts.emplace_back(command, code);
      return reply(code);
    }
    RC_ASSERT(command == "DATA");
    Book& book = books.back();
    // A server may say 354 with nobody accepted; one that says it after a refused MAIL has to take a lone dot
    // too.
    const int code = accepted_ == 0 ? pick({503, 554, 354}) : pick({354, 354, 354, 354, 451, 550});
    book.data = code;
    data_mode_ = code == 354;
    return reply(code);
  }

  std::vector<Book> books;

 private:
  std::string dot() {
    --owed_dots_;
    const int code = pick({250, 250, 250, 452, 554});
    books.back().dots.push_back(code);
    return reply(code);
  }
  int pick(std::initializer_list<int> codes) {
    return codes.begin()[dice_.roll(static_cast<unsigned>(codes.size()))];
  }
  std::string reply(int code) {
    const std::string text = std::to_string(code);
    return dice_.roll(4) == 0 ? text + "-more\r\n" + text + " said\r\n" : text + " said\r\n";
  }

  Dice& dice_;
  bool lmtp_, pipelining_, chunking_, greeting_ = true, data_mode_ = false, mail_open_ = false;
  std::string in_;
  std::deque<std::string> commands_;
  std::size_t accepted_ = 0, owed_dots_ = 0;
};

// Each content is "<M>" and its line's end, 5 octets.
std::string bytes_of(const ClientDialog::Output& out, std::size_t commands, std::size_t contents) {
  std::string all;
  std::size_t from = 0;
  for (std::size_t i = 0; i < contents; ++i) {
    const auto& content = out.contents[i];
    all += out.commands.substr(from, content.at - from) + "<" + std::to_string(content.message) + ">\r\n";
    if (!content.chunk) all += ".\r\n";
    from = content.at;
  }
  return all + out.commands.substr(from, commands - from);
}

int code_of(const std::optional<Reply>& reply) {
  return reply ? reply->code : 0;
}

void compare(const Observation& seen, const Book& book) {
  RC_ASSERT(code_of(seen.mail) == book.mail.value_or(0));
  std::size_t at = 0;
  for (std::size_t i = 0; i < seen.recipients.size(); ++i) {
    const bool skipped =
        std::find(seen.skipped.begin(), seen.skipped.end(), seen.recipients[i]) != seen.skipped.end();
    if (skipped || !seen.rcpt[i]) {
      RC_ASSERT(!seen.rcpt[i].has_value());
      continue;
    }
    RC_ASSERT(at < book.rcpts.size());
    RC_ASSERT(book.rcpts[at].first == "RCPT TO:<r" + std::to_string(seen.recipients[i]) + "@y>");
    RC_ASSERT(seen.rcpt[i]->code == *book.rcpts[at].second);
    ++at;
  }
  RC_ASSERT(code_of(seen.data) == book.data.value_or(0));
  std::size_t heard = 0;
  for (const auto& dot : seen.dot)
    if (dot) RC_ASSERT(dot->code == book.dots[heard++]);
  RC_ASSERT(heard == book.dots.size());
}

void run(const std::vector<std::uint16_t>& seeds) {
  Dice dice{seeds};
  const bool lmtp = dice.roll(2) == 1;
  ClientDialog::Options options{lmtp, "me", static_cast<ClientDialog::Pipelining>(dice.roll(3)), {}};
  ClientDialog dialog(options);
  const bool pipelining = dice.roll(4) != 0;
  Server server(dice, lmtp, pipelining, dice.roll(3) != 0);
  const unsigned transactions = dice.roll(6) + 1;
  const unsigned cut_after = dice.roll(2) == 0 ? 1000 : dice.roll(60);
  std::vector<std::vector<std::uint32_t>> begun;
  std::vector<Observation> finished;
  std::uint32_t number = 0;
  bool cut = false;

  const ClientDialog::Sending sending = [&](smtp::MessageId, std::uint32_t) { return dice.roll(12) != 0; };
  for (unsigned round = 0; round < 500 && !dialog.finished() && !cut; ++round) {
    while (dialog.wants_next() && begun.size() < transactions) {
      ClientDialog::Mail mail;
      mail.plan.message = begun.size();
      mail.plan.window = dice.roll(4);
      mail.plan.overlap = dice.roll(3) != 0;
      mail.plan.chunked = dice.roll(4) != 0;
      mail.size = 5;
      mail.plan.rejects_allowed = dice.roll(3) == 0 ? 1 : 100;
      const unsigned count = dice.roll(5) + 1;
      for (unsigned i = 0; i < count; ++i) {
        mail.plan.recipients.push_back(number);
        mail.addresses.push_back("r" + std::to_string(number++) + "@y");
      }
      begun.push_back(mail.plan.recipients);
      dialog.begin(std::move(mail));
    }
    if (begun.size() == transactions && dialog.idle()) dialog.quit();
    ClientDialog::Output out;
    if (dialog.output(out, sending)) {
      if (round >= cut_after && dice.roll(2) == 0) {  // the connection breaks in this write
        const std::size_t contents = dice.roll(static_cast<unsigned>(out.contents.size()) + 1);
        const std::size_t least = contents == 0 ? 0 : out.contents[contents - 1].at;
        const std::size_t most =
            contents == out.contents.size() ? out.commands.size() : out.contents[contents].at;
        const std::size_t commands = least + dice.roll(static_cast<unsigned>(most - least) + 1);
        server.take(bytes_of(out, commands, contents));
        dialog.partly_written(commands, contents);
        cut = true;
      } else {
        server.take(bytes_of(out, out.commands.size(), out.contents.size()));
        dialog.written();
      }
    }
    // Some of the replies arrive, cut anywhere.
    std::string bytes;
    for (unsigned n = dice.roll(6) + 1; n > 0 && server.owes(); --n) bytes += server.answer();
    for (std::string_view rest = bytes; !rest.empty();) {
      const std::string_view piece = rest.substr(0, dice.roll(40) + 1);
      dialog.received(piece);
      rest.remove_prefix(piece.size());
    }
    RC_ASSERT(!dialog.failed());
    for (Observation& seen : dialog.take_finished()) finished.push_back(std::move(seen));
    if (round >= cut_after && !cut) cut = dice.roll(2) == 0;
  }
  if (!cut) RC_ASSERT(dialog.finished());
  dialog.end(Drop::How::closed);
  // A cut behind our QUIT is still a leaving in order; anything unanswered or unfinished is not.
  if (!cut) RC_ASSERT(dialog.left_in_order());
  if (dialog.left_in_order())
    RC_ASSERT(dialog.drop().oldest == Stage::none && finished.size() == begun.size());

  std::vector<Observation> all = finished;
  for (Observation& seen : dialog.take_open()) all.push_back(std::move(seen));
  RC_ASSERT(all.size() == begun.size());
  std::size_t book = 0;
  for (std::size_t i = 0; i < all.size(); ++i) {
    RC_ASSERT(all[i].message == i);
    RC_ASSERT(all[i].recipients == begun[i]);
    if (!all[i].mail_sent) continue;
    if (!all[i].mail && book >= server.books.size()) continue;  // sent, and never read by the server
    compare(all[i], server.books[book++]);
  }
  RC_ASSERT(book == server.books.size());
}

}  // namespace

TEST_CASE("whatever the server does, the observations say what it did") {
  CHECK(rc::check([] { run(*rc::gen::resize(400, rc::gen::arbitrary<std::vector<std::uint16_t>>())); }));
}
