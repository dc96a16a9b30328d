// judge, cook: what a list would do with a mail, and what its members would get. By the very code that decides on arrival;
// nothing is stored.
#include <cstdio>
#include <stdexcept>

#include "protocol/auth/alignment.hpp"
#include "protocol/auth/dkim2_make.hpp"
#include "protocol/list/cook.hpp"
#include "protocol/list/decorate.hpp"
#include "protocol/list/filter.hpp"
#include "protocol/list/personal.hpp"
#include "protocol/list/policy.hpp"
#include "protocol/list/verp.hpp"
#include "protocol/mail/address_list.hpp"
#include "protocol/mail/ascii.hpp"
#include "protocol/mail/draft.hpp"
#include "protocol/mail/header.hpp"
#include "protocol/mail/mailbox.hpp"
#include "server/auth/signed_mail.hpp"
#include "server/idna.hpp"
#include "server/office/dkim2.hpp"
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
         const std::string& poster_name, TimePoint now, bool dkim2 = false)
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
    unchanged_ = auth::only_adds(draft_);
    if (dkim2)
      instance_ =
          dkim2_instance(draft_, list, mail, filter && !filter->idle(), verified ? &*verified : nullptr, now);
    outgoing_ = draft_.outgoing();
  }

  const std::vector<list::Step>& steps() const { return result_.steps; }
  const std::optional<smtp::Reply>& refusal() const { return result_.refusal; }
  /// Of a post of which an earlier hop asks that it is not changed.
  std::optional<smtp::Reply> forbidden(const list::List& list) const {
    if (unchanged_ || !auth::dkim2_requests(header_.fields()).do_not_modify) return std::nullopt;
    return forbids_changes(draft_, list);
  }
  /// Of dkim2.hpp.
  const std::string& instance() const { return instance_; }

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
  std::string instance_;
  bool unchanged_ = false;  // but for fields that were added
};

/// The copy with our signatures, where the list's domain has keys. DKIM2 signs for one recipient.
std::string signed_copy(const Cooked& cooked, const Console& console, const Reads& reads,
                        const list::List& list, const list::Member* member, TimePoint now, std::string copy) {
  conf::Settings of_domain;
  for (const conf::Dkim& key : console.access.settings().dkim_keys)
    if (mail::same(key.domain, list.domain)) of_domain.dkim_keys.push_back(key);
  if (of_domain.dkim_keys.empty()) return copy;
  const auto keys = SigningKeys::read(of_domain, "[[dkim]]");
  if (!keys) {
    std::fprintf(stderr, "spoolctl: not signed: %s\n", keys.error().front().what.c_str());
    return copy;
  }
  SignMail how{.domain = list.domain, .author = {}, .at = now};
  std::string sender;
  if (member != nullptr) {
    sender = reads.envelope_sender(list, list.last_post + 1, *member);
    how.instance = cooked.instance();
    how.mail_from = sender;
    how.rcpt_to = member->address;
    how.now = now;
  }
  return signed_mail(**keys, how, std::move(copy));
}

/// The fields that our signatures put in front of a copy.
Json signatures_in(std::string_view copy) {
  Json fields = Json::array();
  const auto header = mail::Header::scan(copy, {512 << 10, 8192});
  for (const mail::Field& field : header->fields()) {
    if (!mail::same(field.name, "DKIM-Signature") && !auth::is_signature(field) && !auth::is_instance(field))
      break;
    fields.push_back(std::string(field.name) + ": " + mail::unfolded(field.value));
  }
  return fields;
}

/// Of the member, where From names nobody.
std::string poster_name(const std::string& mail, const Reads& reads, const list::List& list) {
  const mail::Header header = header_of(mail);
  const mail::Author author = mail::author(header);
  if (!author.address || !author.address->name.empty()) return {};
  const auto member = reads.member(list, author.address->mailbox.text());
  return member ? member->name : std::string();
}

Json explanation(const Cooked& cooked, const Reads& reads, const list::List& list, const list::Member* member,
                 std::string_view copy, bool is_signed) {
  Json steps = Json::array();
  for (const list::Step& step : cooked.steps())
    steps.push_back({{"setting", step.setting}, {"what", step.what}});
  return {{"envelope_sender", member == nullptr ? list::bounces_address(list)
                                                : reads.envelope_sender(list, list.last_post + 1, *member)},
          {"recipient", member == nullptr ? Json() : Json(member->address)},
          {"size", copy.size()},
          {"signatures", is_signed ? signatures_in(copy) : Json::array()},
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
      const bool dkim2 =
          has_dkim2(console.access.settings(), list, list::copies_for(list.settings, list.last_post + 1));
      const Cooked cooked(mail, list, verified(mail, list, how, console), poster_name(mail, reads, list),
                          how.now(), dkim2);
      const auto refusal = cooked.refusal() ? cooked.refusal() : cooked.forbidden(list);
      if (refusal && !*explain) throw std::runtime_error("the post is refused: " + refusal->oneline());
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
      const list::Member* const whose_copy = member ? &*member : nullptr;
      const std::string bare = cooked.copy(reader),
                        copy = signed_copy(cooked, console, reads, list, whose_copy, how.now(), bare);
      if (*explain || console.json)
        return console.print(explanation(cooked, reads, list, whose_copy, copy, copy.size() != bare.size()));
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
      // A list that refuses mail for its author's domain, or because it must not change it, finds that out when the post is
      // cooked.
      const bool by_author = list.settings.align.dmarc == list::Dmarc::reject;
      const bool taken =
          judgement.outcome == list::Outcome::accept || judgement.outcome == list::Outcome::hold;
      if (taken && (by_author || auth::dkim2_requests(header.fields()).do_not_modify)) {
        const Cooked cooked(mail, list, verified(mail, list, how, console), {}, how.now());
        const auto refused = [&](const char* rule, const std::optional<smtp::Reply>& refusal) {
          if (!refusal) return;
          judgement.outcome = list::Outcome::reject;
          judgement.rule = rule;
          judgement.reason = refusal->text;
          judgement.refusal = refusal;
        };
        refused("donotmodify", cooked.forbidden(list));
        if (judgement.outcome == list::Outcome::accept) refused("dmarc", cooked.refusal());
      }
      return console.print(judgement_json(judgement));
    });
  });
  declare_cook(verbs);
}

}  // namespace spoold::server::admin
