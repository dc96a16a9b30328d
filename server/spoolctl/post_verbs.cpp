// judge, cook: what a list would do with a mail, and what its members would get. By the very code that decides on arrival;
// nothing is stored.
#include <cstdio>
#include <stdexcept>

#include "protocol/auth/alignment.hpp"
#include "protocol/list/cook.hpp"
#include "protocol/list/decorate.hpp"
#include "protocol/list/filter.hpp"
#include "protocol/list/personal.hpp"
#include "protocol/list/policy.hpp"
#include "protocol/list/verp.hpp"
#include "protocol/mail/address_list.hpp"
#include "protocol/mail/draft.hpp"
#include "protocol/mail/header.hpp"
#include "protocol/mail/mailbox.hpp"
#include "server/idna.hpp"
#include "server/spoolctl/circumstances.hpp"
#include "server/spoolctl/mail_input.hpp"
#include "server/spoolctl/verbs.hpp"
#include "server/spoolctl/verified_mail.hpp"

namespace spoold::server::admin {

namespace {

/// '' and '<>' are the null path; throws Usage when it is no path.
std::string reverse_path_of(const std::string& written) {
  const std::string text = without_brackets(written);
  if (text.empty()) return text;
  const auto mailbox = Mailbox::parse(ascii_domains(text), Mailbox::Allow::utf8);
  if (!mailbox) throw Usage{"--mail-from: '" + text + "' is not an address: " + mailbox.error()};
  return mailbox->text();
}

Json judgement_json(const list::Judgement& judgement) {
  const auto& refusal = judgement.refusal;
  return {{"outcome", list::text(judgement.outcome)},
          {"rule", judgement.rule},
          {"reason", text_or_null(judgement.reason)},
          {"reply", text_or_null(refusal ? refusal->oneline() : std::string())},
          {"poster", text_or_null(judgement.poster)},
          {"member", judgement.member}};
}

/// What is known of the author: asked of the DNS only where something follows from it.
std::optional<auth::Verified> verified(const std::string& mail, const list::List& list,
                                       const Circumstances& how, const Console& console) {
  const mail::Header header = header_of(mail);
  const list::AlignRules& rules = list.settings.align;
  const bool by_policy = rules.when == list::DmarcWhen::reject || rules.when == list::DmarcWhen::quarantine;
  if (rules.dmarc == list::Dmarc::accept || (!by_policy && header.count("DKIM-Signature") == 0)) return {};
  const auto asker = how.asker(console);
  auth::Verified found;
  found.dkim = verified_signatures(mail, header, how.now(), *asker);
  judge_author(found, header, *asker);
  return found;
}

/// A post as it would be cooked now, and one member's copy of it.
class Cooked {
 public:
  Cooked(const std::string& mail, const list::List& list, const std::optional<auth::Verified>& verified,
         const std::string& poster_name, TimePoint now)
      : mail_(mail), header_(header_of(mail)), scanned_(mail::scan(mail)), draft_(header_, scanned_) {
    const auth::Alignment alignment(header_, verified ? &*verified : nullptr);
    std::optional<list::Filtered> filter;
    if (list.settings.filter.active()) filter = list::filtered(list, mail, mime::parts_of(mail));
    const auto tail = list::tail_of(std::string_view(mail).substr(0, filter ? filter->end : mail.size()));
    const std::string own_id = "<made-on-arrival@" + list.domain + ">";
    const std::string date = rfc5322_date(now);
    result_ = list::cook(draft_, list,
                         {.message_id = own_id,
                          .date = date,
                          .post = list.last_post + 1,
                          .tail = tail,
                          .unique = "ID",
                          .authenticity = &alignment,
                          .poster_name = poster_name,
                          .filtered = filter ? &*filter : nullptr});
    // What it leaves nothing of goes out as it came when a moderator accepts it.
    if (filter && filter->nothing) {
      list::Judgement judgement;
      list::judge(judgement, list, *filter);
      if (!result_.refusal) result_.refusal = judgement.refusal;
      result_.steps.push_back(
          {judgement.rule, std::string(list::text(judgement.outcome)) + ": " + judgement.reason});
    }
    outgoing_ = draft_.outgoing();
  }

  const std::vector<list::Step>& steps() const { return result_.steps; }
  const std::optional<smtp::Reply>& refusal() const { return result_.refusal; }

  /// `reader`: nothing stands in the blanks without one.
  std::string copy(const std::optional<list::Reader>& reader) const {
    std::string out = outgoing_.head;
    for (const mail::Splice& piece : outgoing_.body) {
      out.append(mail_, piece.offset, piece.length).append(piece.own);
      if (reader && piece.blank != 0) out += list::written(piece.blank, *reader);
    }
    return out;
  }
  /// The mail again, from what members get and the way back.
  std::string restored() const {
    const std::string copied = copy(std::nullopt);
    std::string out;
    for (const mail::Restored& one : draft_.way_back(mail_))
      out.append(copied, one.offset, one.length).append(one.removed);
    return out;
  }

 private:
  const std::string& mail_;
  const mail::Header header_;
  const mail::Scanned scanned_;
  mail::Draft draft_;
  list::Cooked result_;
  mail::Outgoing outgoing_;
};

/// Of the member, where From names nobody.
std::string poster_name(const std::string& mail, const Reads& reads, const list::List& list) {
  const mail::Header header = header_of(mail);
  const mail::Author author = mail::author(header);
  if (!author.address || !author.address->name.empty()) return {};
  const auto member = reads.member(list, author.address->mailbox.text());
  return member ? member->name : std::string();
}

Json explanation(const Cooked& cooked, const Reads& reads, const list::List& list, const list::Member* member,
                 std::size_t size) {
  Json steps = Json::array();
  for (const list::Step& step : cooked.steps())
    steps.push_back({{"setting", step.setting}, {"what", step.what}});
  return {{"envelope_sender", member == nullptr ? list::bounces_address(list)
                                                : reads.envelope_sender(list, list.last_post + 1, *member)},
          {"recipient", member == nullptr ? Json() : Json(member->address)},
          {"size", size},
          {"steps", std::move(steps)}};
}

void declare_cook(const Verbs& verbs) {
  Verb cook =
      verbs.add("cook", "print what members would get of the mail on standard input, but our Received field");
  const auto whose = cook.list();
  const auto address = cook.optional_word("--member", "the copy of this member", "ADDR");
  const auto explain =
      cook.flag("--explain", "print what is done, and by which setting, instead of the mail");
  const auto restore = cook.flag("--restore", "restore the mail from the cooked one, and compare");
  const Circumstances how(cook);
  cook.runs([=](const Console& console) {
    const std::string mail = mail_from_input();
    return console.reading_list(*whose, [&](const Reads& reads, const list::List& list) {
      std::optional<list::Member> member;
      if (!address->empty()) {
        member = reads.member(list, *address);
        if (!member) throw std::runtime_error(*address + " is not a member of " + list.address());
      }
      const Cooked cooked(mail, list, verified(mail, list, how, console), poster_name(mail, reads, list),
                          how.now());
      if (cooked.refusal() && !*explain)
        throw std::runtime_error("the post is refused: " + cooked.refusal()->oneline());
      if (*restore) {
        const bool identical = cooked.restored() == mail;
        console.print(Json{{"identical", identical}});
        return identical ? Exit::done : Exit::failed;
      }
      const std::string leave_url = member ? reads.leave_url(list, *member) : std::string();
      std::optional<list::Reader> reader;
      if (member)
        reader = {.address = member->address,
                  .name = member->name,
                  .delivered_to = member->address,
                  .leave_url = leave_url};
      const std::string copy = cooked.copy(reader);
      if (*explain || console.json)
        return console.print(explanation(cooked, reads, list, member ? &*member : nullptr, copy.size()));
      std::fwrite(copy.data(), 1, copy.size(), stdout);
      return Exit::done;
    });
  });
}

}  // namespace

void declare_post_verbs(const Verbs& verbs) {
  Verb judge = verbs.add("judge", "show whether a list takes the mail on standard input, and by which rule");
  const auto whose = judge.list();
  const auto sender = judge.optional_word("--mail-from", "the reverse path; '<>' is the null path", "ADDR");
  judge.options()->get_option("--mail-from")->required();
  (void)judge.optional_word("--client", "the client's address; no rule asks for it yet", "IP");
  const Circumstances how(judge);
  judge.runs([=](const Console& console) {
    const std::string mail = mail_from_input();
    const mail::Header header = header_of(mail);
    return console.reading_list(*whose, [&](const Reads& reads, const list::List& list) {
      list::Judgement judgement = reads.judge(list, header, reverse_path_of(*sender), mail.size());
      if (list.settings.filter.active() && judgement.outcome == list::Outcome::accept)
        list::judge(judgement, list, list::filtered(list, mail, mime::parts_of(mail)));
      // A list that refuses mail for its author's domain finds that out when the post is cooked.
      if (judgement.outcome == list::Outcome::accept && list.settings.align.dmarc == list::Dmarc::reject) {
        const Cooked cooked(mail, list, verified(mail, list, how, console), {}, how.now());
        if (cooked.refusal()) {
          judgement.outcome = list::Outcome::reject;
          judgement.rule = "dmarc";
          judgement.reason = cooked.refusal()->text;
          judgement.refusal = cooked.refusal();
        }
      }
      return console.print(judgement_json(judgement));
    });
  });
  declare_cook(verbs);
}

}  // namespace spoold::server::admin
