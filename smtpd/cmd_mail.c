/* SPDX-License-Identifier: ISC */
#include "lib/proc/config.h"
#include "smtpd/command.h"
#include "smtpd/handover.h"
#include "smtpd/session.h"
#include "smtpd/transaction.h"

enum { SCRATCH_MAX = 4096 };

#define FULL REPLY(452, 4, 5, 3, "too many recipients: send the rest in another mail")

/* An address without a domain is one of ours: cron writes to root. */
static bool
complete(const struct session *s, enum address_error *error, struct address *a)
{
	if (*error != ADDRESS_NO_DOMAIN)
		return false;
	a->domain = s->site->own_domain;
	*error = ADDRESS_OK;
	return true;
}

/* The verdict's text is in a buffer of the caller's, so the answer leaves from here. */
static struct reply
refuse(struct session *s, const char *stage, struct verdict v, struct address a)
{
	struct buf to = BUF(ADDRESS_MAX + 1);

	address_format(&to, a);
	session_log_reject(s, stage, v.why, v.reply, buf_str(&to));
	buf_free(&to);
	if (!s->trusted && s->login.n == 0)
		command_mistake(s, v.reply);
	else
		session_say(s, v.reply);
	return REPLY_LATER;
}

/* What does not depend on who the sender is. */
static struct reply
check_mail(struct session *s, struct address a, const struct mail_params *p)
{
	struct reply r;

	if (a.utf8 && !p->smtputf8)
		return REPLY(553, 5, 6, 7, "this address needs SMTPUTF8 behind it");
	if (p->size > s->site->config->max_size) {
		r = REPLY(552, 5, 3, 4, "the message is larger than max-size allows");
		session_log_reject(s, "mail", "too-big", r, STR_NONE);
		return r;
	}
	if (server_is_short(s->server)) {
		r = REPLY(452, 4, 3, 1, "memory is short here now: try again in a moment");
		session_log_reject(s, "mail", "no-memory", r, STR_NONE);
		return r;
	}
	if (!handover_is_open(s->server->handover, &r)) {
		session_log_reject(s, "mail", "no-intake", r, STR_NONE);
		return r;
	}
	return REPLY(250, 2, 1, 0, "sender ok");
}

static struct reply
begin(struct session *s, struct address a, const struct mail_params *p, bool completed)
{
	struct transaction *t = transaction_create(s);

	s->tx = t;
	t->params = *p;
	t->completed = completed;
	if (!transaction_set_from(t, a, p->envid)) {
		session_reset(s);
		return REPLY(452, 4, 3, 1, "out of memory for addresses");
	}
	s->mails++;
	session_enter(s, PHASE_MAIL);
	return REPLY(250, 2, 1, 0, "sender ok");
}

static struct reply
take_sender(struct session *s, struct str args, struct buf *scratch)
{
	struct address     a;
	enum address_error error = address_parse_path(&args, &a);
	bool               completed = complete(s, &error, &a);
	struct buf         text = BUF(POLICY_TEXT_MAX);
	struct mail_params params;
	struct policy      policy = session_policy(s);
	struct verdict     v = policy_sender(&policy, error, a, &text);
	struct reply       r;

	/* Behind an address that cannot be parsed there is no place where parameters begin. */
	if (!policy_is_ok(v) && v.reply.code == 501)
		r = v.reply;
	else if ((r = params_mail(args, &params, scratch)).code == 250)
		r = check_mail(s, a, &params);
	if (r.code == 250)
		r = policy_is_ok(v) ? begin(s, a, &params, completed) : refuse(s, "mail", v, a);
	else if (r.text.p == text.p && text.n > 0) {
		command_mistake(s, r);
		r = REPLY_LATER;
	}
	buf_free(&text);
	return r;
}

struct reply
run_mail(struct session *s, struct str args)
{
	struct buf   scratch = BUF(SCRATCH_MAX);
	struct reply r;

	if (!str_istarts(args, STR("FROM:")))
		return REPLY(501, 5, 5, 4, "write MAIL FROM:<local@domain>");
	if (s->mails >= SESSION_MAILS_MAX) {
		session_end(s,
		            REPLY(421, 4, 5, 3, "enough mails for one connection: connect again"));
		return REPLY_LATER;
	}
	r = take_sender(s, str_skip(args, 5), &scratch);
	buf_free(&scratch);
	return r;
}

static struct reply
add(struct session *s, struct address a, const struct rcpt_params *p)
{
	if (a.utf8 && !s->tx->params.smtputf8)
		return REPLY(553, 5, 6, 7, "this address needs SMTPUTF8 behind MAIL");
	if (s->tx->n_rcpts >= s->tx->max_rcpts || server_is_short(s->server) || !transaction_add(s->tx, a, p))
		return FULL;
	if (s->phase == PHASE_MAIL)
		session_enter(s, PHASE_RCPT);
	return REPLY(250, 2, 1, 5, "recipient ok");
}

static struct reply
take_recipient(struct session *s, struct str args, struct buf *scratch)
{
	struct address     a;
	enum address_error error = address_parse_path(&args, &a);
	bool               completed = complete(s, &error, &a);
	struct buf         text = BUF(POLICY_TEXT_MAX);
	struct rcpt_params params;
	struct verdict     v = policy_recipient(&s->tx->policy, error, a, &text);
	struct reply       r;

	if (!policy_is_ok(v))
		r = refuse(s, "rcpt", v, a);
	else if ((r = params_rcpt(args, &params, scratch)).code == 250)
		r = add(s, a, &params);
	if (r.code == 250 && completed)
		s->tx->completed = true;
	buf_free(&text);
	return r;
}

struct reply
run_rcpt(struct session *s, struct str args)
{
	struct buf   scratch = BUF(SCRATCH_MAX);
	struct reply r;

	if (!str_istarts(args, STR("TO:")))
		return REPLY(501, 5, 5, 4, "write RCPT TO:<local@domain>");
	r = take_recipient(s, str_skip(args, 3), &scratch);
	buf_free(&scratch);
	return r;
}
