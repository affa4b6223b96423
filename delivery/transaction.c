/* SPDX-License-Identifier: ISC */
#include <assert.h>

#include "delivery/client_inner.h"
#include "lib/proc/wire.h"
#include "lib/util/encode.h"

enum {
	RCPTS_MAX = 100,          /* what every server must take (RFC 5321 section 4.5.3.1.8) */
	BODY_LIMIT_MS = 180 * 1000, /* for each piece: RFC 5321 section 4.5.3.2.5 */
};

static bool
is_ascii(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] > 126)
			return false;
	return true;
}

static void
write_mail(struct client *c, const struct mail *m)
{
	const struct envelope *e = m->env;
	struct buf            *out = &c->out;

	buf_addz(out, "MAIL FROM:<");
	buf_add(out, e->from);
	buf_addc(out, '>');
	if (c->hello.size) {
		buf_addz(out, " SIZE=");
		buf_addn(out, m->size + m->signature.n);
	}
	if (e->eightbit && c->hello.eightbit)
		buf_addz(out, " BODY=8BITMIME");
	if (e->smtputf8)
		buf_addz(out, " SMTPUTF8");
	if (c->hello.dsn && e->ret != RET_NONE)
		buf_addz(out, e->ret == RET_FULL ? " RET=FULL" : " RET=HDRS");
	if (c->hello.dsn && e->envid.n > 0) {
		buf_addz(out, " ENVID=");
		xtext_encode(out, e->envid);
	}
	buf_addz(out, "\r\n");
	client_ask(c, STEP_MAIL);
}

/* The type stays as it is, the address behind it is xtext again (RFC 3461 section 4.2). */
static void
write_orcpt(struct buf *out, struct str orcpt)
{
	struct str type;

	if (!str_cut(&orcpt, ';', &type) || !is_ascii(type) || !is_ascii(orcpt))
		return;
	buf_addz(out, " ORCPT=");
	buf_add(out, type);
	buf_addc(out, ';');
	xtext_encode(out, orcpt);
}

/* In capitals, as everybody writes it: not every server folds the case. */
static void
write_notify(struct buf *out, unsigned bits)
{
	struct buf text = BUF(64);

	notify_format(&text, bits);
	buf_addz(out, " NOTIFY=");
	for (size_t i = 0; i < text.n; i++)
		buf_addc(out, text.p[i] >= 'a' && text.p[i] <= 'z' ? (char)(text.p[i] - 32) : text.p[i]);
	buf_free(&text);
}

static void
write_rcpt(struct client *c, const struct rcpt *r)
{
	struct buf *out = &c->out;

	buf_addz(out, "RCPT TO:<");
	buf_add(out, r->to);
	buf_addc(out, '>');
	if (c->hello.dsn && r->notify != 0)
		write_notify(out, r->notify);
	if (c->hello.dsn && r->orcpt.n > 0)
		write_orcpt(out, r->orcpt);
	buf_addz(out, "\r\n");
	client_ask(c, STEP_RCPT);
}

static unsigned
rcpts_max(const struct client *c)
{
	return c->hello.rcpt_max > 0 && c->hello.rcpt_max < RCPTS_MAX ? c->hello.rcpt_max : RCPTS_MAX;
}

/* Ask for the next pending target, if there is one and the transaction has room. */
static bool
ask_rcpt(struct client *c, struct transaction *t)
{
	struct mail *m = t->mail;

	for (; t->asked < m->n && t->n_sent < rcpts_max(c); t->asked++) {
		struct target *to = &m->targets[t->asked];

		if (to->state != TARGET_PENDING)
			continue;
		to->state = TARGET_SENT;
		t->n_sent++;
		t->asked++;
		write_rcpt(c, to->rcpt);
		return true;
	}
	return false;
}

static void
ask_data(struct client *c)
{
	buf_addz(&c->out, "DATA\r\n");
	client_ask(c, STEP_DATA);
}

static bool
has_delivered(const struct mail *m)
{
	for (size_t i = 0; i < m->n; i++)
		if (m->targets[i].state == TARGET_DONE && m->targets[i].code / 100 == 2)
			return true;
	return false;
}

static void
begin(struct client *c, struct transaction *t, struct mail *m)
{
	*t = (struct transaction){.mail = m};
	/* Only if all that is delivered went to such hosts: better two notices than none. */
	m->dsn = c->hello.dsn && (m->dsn || !has_delivered(m));
	m->begun = m->sent = false; /* an earlier transaction's dot has had its reply */
	if (c->rset) {
		buf_addz(&c->out, "RSET\r\n");
		client_ask(c, STEP_RSET);
		c->rset = false;
		if (!c->hello.pipelining) { /* MAIL goes out when RSET is answered */
			client_flush(c);
			return;
		}
	}
	write_mail(c, m);
	if (c->hello.pipelining) {
		while (ask_rcpt(c, t))
			;
		ask_data(c);
	}
	client_flush(c);
}

bool
client_fits(const struct client *c, struct mail *m)
{
	const struct hello *h = &c->hello;
	struct buf          text = BUF(REPLY_TEXT_MAX);
	struct reply        r = {0};

	if (h->size_max > 0 && m->size + m->signature.n > h->size_max) {
		buf_addf(&text, "message of %llu octets is over the limit of %llu octets of %.*s",
		         (unsigned long long)(m->size + m->signature.n), (unsigned long long)h->size_max,
		         (int)c->conf.name.n, c->conf.name.p);
		r = (struct reply){.code = 552, .status = {5, 3, 4}};
	} else if (m->env->smtputf8 && !h->smtputf8) {
		buf_addf(&text, "%.*s does not take internationalized mail (SMTPUTF8)",
		         (int)c->conf.name.n, c->conf.name.p);
		r = (struct reply){.code = 553, .status = {5, 6, 7}};
	} else if (m->env->eightbit && !h->eightbit) {
		buf_addf(&text, "%.*s takes no 8-bit text (8BITMIME), and signed mail is not converted",
		         (int)c->conf.name.n, c->conf.name.p);
		r = (struct reply){.code = 554, .status = {5, 6, 3}};
	}
	r.text = buf_str(&text);
	if (r.code != 0)
		mail_settle_all(m, r, SCOPE_MESSAGE);
	buf_free(&text);
	return r.code == 0;
}

bool
client_has_room(const struct client *c)
{
	if (c->state != CLIENT_READY || c->last)
		return false;
	if (c->now.mail == NULL)
		return true;
	return c->next.mail == NULL && c->hello.pipelining && c->now.state == TX_DOT &&
	       mail_count(c->now.mail, TARGET_PENDING) == 0;
}

void
client_send(struct client *c, struct mail *m)
{
	assert(client_has_room(c));
	begin(c, c->now.mail == NULL ? &c->now : &c->next, m);
}

/*
 * The transaction is over. What a "too many recipients" has left is asked for in a
 * further one; otherwise the mail goes back to its owner.
 */
static void
finish(struct client *c)
{
	struct mail *m = c->now.mail;

	body_free(&c->body);
	if (mail_count(m, TARGET_PENDING) > 0 && !c->last) {
		begin(c, &c->now, m);
		return;
	}
	mail_settle_state(m, TARGET_PENDING, REPLY(451, 4, 3, 2, "not tried: the server is closing"));
	c->now = c->next;
	c->next = (struct transaction){0};
	c->hooks->settled(c->arg, m);
}

static void
refuse(struct client *c, struct reply r)
{
	mail_settle_all(c->now.mail, r, SCOPE_MESSAGE);
}

/* A reply of a class that the command cannot have: who answers so cannot be trusted with mail. */
static bool
is_odd(struct client *c, struct reply r, const char *command)
{
	if (reply_is_ok(r) || reply_is_temporary(r) || reply_is_permanent(r))
		return false;
	client_failf(c, STAGE_MAIL, "%.*s answers %u to %s", (int)c->conf.name.n, c->conf.name.p, r.code,
	             command);
	return true;
}

void
got_rset(struct client *c, struct reply r)
{
	if (!reply_is_ok(r)) {
		client_failf(c, STAGE_MAIL, "%.*s refuses RSET", (int)c->conf.name.n, c->conf.name.p);
	} else if (!c->hello.pipelining) {
		write_mail(c, c->now.mail);
		client_flush(c);
	}
}

void
got_mail(struct client *c, struct reply r)
{
	struct transaction *t = &c->now;

	if (is_odd(c, r, "MAIL"))
		return;
	t->mail_ok = reply_is_ok(r);
	if (!t->mail_ok)
		refuse(c, r);
	if (c->hello.pipelining)
		return;
	if (!t->mail_ok) {
		finish(c);
		return;
	}
	ask_rcpt(c, t);
	client_flush(c);
}

/* The n-th reply to RCPT is for the n-th target that was sent. */
static struct target *
answered_target(struct transaction *t)
{
	struct mail *m = t->mail;

	while (t->answered < t->asked && m->targets[t->answered].state != TARGET_SENT)
		t->answered++;
	return t->answered < t->asked ? &m->targets[t->answered++] : NULL;
}

/*
 * 452, or as of old 552, after some were taken: "too many recipients", the others may
 * come in the next transaction (section 4.5.3.1.10).
 */
static bool
is_too_many(const struct transaction *t, struct reply r)
{
	return (r.code == 452 || r.code == 552) && t->n_accepted > 0 &&
	       (r.status[0] == 0 || r.status[1] == 5);
}

static void
rcpt_reply(struct transaction *t, struct reply r)
{
	struct target *to = answered_target(t);

	if (to == NULL)
		return; /* the mail was refused, nobody waits for this */
	if (reply_is_ok(r)) {
		to->state = TARGET_ACCEPTED;
		t->n_accepted++;
	} else if (is_too_many(t, r)) {
		to->state = TARGET_PENDING;
	} else {
		mail_settle(t->mail, to, r);
	}
}

void
got_rcpt(struct client *c, struct reply r)
{
	struct transaction *t = &c->now;

	if (is_odd(c, r, "RCPT"))
		return;
	rcpt_reply(t, r);
	if (c->hello.pipelining)
		return;
	if (!ask_rcpt(c, t)) {
		if (t->n_accepted == 0) {
			c->rset = true;
			finish(c);
			return;
		}
		ask_data(c);
	}
	client_flush(c);
}

static void
write_body(struct client *c)
{
	switch (body_write(&c->body, c->stream)) {
	case BODY_MORE:
		stream_timeout(c->stream, BODY_LIMIT_MS);
		return;
	case BODY_UNREADABLE: /* our fault, not the host's; without a dot it drops what it has */
		refuse(c, REPLY(451, 4, 3, 0, "the stored message cannot be read"));
		c->last = true;
		finish(c);
		return;
	case BODY_END:
		break;
	}
	c->now.state = TX_DOT;
	c->now.mail->sent = true;
	client_limit(c);
	if (client_has_room(c))
		c->hooks->more(c->arg);
}

static void
start_body(struct client *c)
{
	struct mail *m = c->now.mail;

	if (m->fd >= 0)
		body_init_fd(&c->body, m->signature, m->fd, m->size);
	else
		body_init(&c->body, m->signature, m->body);
	m->begun = true;
	c->now.state = TX_BODY;
	client_ask(c, STEP_DOT);
	write_body(c);
}

void
transaction_drained(struct client *c)
{
	if (c->state == CLIENT_READY && c->now.mail != NULL && c->now.state == TX_BODY)
		write_body(c);
}

/*
 * 354 although no recipient was taken, as DATA was in the pipe: an empty message ends
 * it, its reply is of no interest (RFC 2920 section 3.1).
 */
static void
start_nothing(struct client *c)
{
	c->now.empty = true;
	c->now.state = TX_DOT;
	buf_addz(&c->out, ".\r\n");
	client_ask(c, STEP_DOT);
	client_flush(c);
}

void
got_data(struct client *c, struct reply r)
{
	struct transaction *t = &c->now;
	bool                go = t->mail_ok && t->n_accepted > 0;

	if (r.code == 354) {
		if (go)
			start_body(c);
		else
			start_nothing(c);
		return;
	}
	if (!reply_is_temporary(r) && !reply_is_permanent(r)) {
		client_failf(c, STAGE_MAIL, "%.*s answers %u to DATA", (int)c->conf.name.n,
		             c->conf.name.p, r.code);
		return;
	}
	if (go)
		refuse(c, r);
	c->rset = t->mail_ok;
	finish(c);
}

void
got_dot(struct client *c, struct reply r)
{
	struct transaction *t = &c->now;
	bool                early = t->state == TX_BODY;

	if (early && reply_is_ok(r)) {
		client_failf(c, STAGE_MAIL, "%.*s accepts a message before its end", (int)c->conf.name.n,
		             c->conf.name.p);
		return;
	}
	if (is_odd(c, r, "the message"))
		return;
	/* After a refusal in the middle nobody can say what the server takes for a command. */
	if (early || r.code == 421)
		c->last = true;
	if (reply_is_ok(r))
		mail_settle_state(t->mail, TARGET_ACCEPTED, r);
	else if (!t->empty)
		refuse(c, r);
	finish(c);
}
