/* SPDX-License-Identifier: ISC */
#include "smtpd/transaction.h"

#include <stdlib.h>

#include "lib/mail/date.h"
#include "lib/proc/config.h"
#include "lib/util/log.h"
#include "lib/util/mem.h"
#include "lib/util/time.h"
#include "smtpd/session.h"
#include "smtpd/signing.h"

enum {
	TEXT_MAX = 512 * 1024, /* all addresses: about 2,000 of the longest, 20,000 of the usual */
	RECEIVED_MAX = 2048,
	KEEP_ENVELOPE = 64 * 1024,
};

struct transaction *
transaction_create(struct session *s)
{
	struct transaction *t = mem_zero(sizeof *t);
	uint64_t            quota;

	t->session = s;
	t->begun_ms = time_mono_ms();
	t->policy = session_policy(s);
	t->max_rcpts = s->site->config->max_recipients;
	/* More than the quota would never pass: better said where the client can send the rest later. */
	if ((quota = policy_quota(&t->policy)) > 0 && quota < t->max_rcpts)
		t->max_rcpts = quota;
	buf_init(&t->text, TEXT_MAX);
	buf_init(&t->received, RECEIVED_MAX);
	return t;
}

void
transaction_destroy(struct transaction *t)
{
	if (t == NULL)
		return;
	handover_cancel(t->session->server->handover, &t->job);
	message_destroy(&t->session->server->messages, t->message);
	buf_free(&t->text);
	buf_free(&t->received);
	free(t->rcpts);
	free(t);
}

uint64_t
transaction_held(const struct transaction *t)
{
	return sizeof *t + t->text.cap + t->received.cap + t->cap_rcpts * sizeof *t->rcpts +
	       (t->message != NULL ? message_held(t->message) : 0);
}

struct str
transaction_text(const struct transaction *t, struct place p)
{
	return str_sub(buf_str(&t->text), p.at, p.n);
}

static struct place
place_since(const struct buf *b, size_t from)
{
	return (struct place){(uint32_t)from, (uint32_t)(b->n - from)};
}

static struct place
keep(struct transaction *t, struct str s)
{
	size_t from = t->text.n;

	buf_add(&t->text, s);
	return place_since(&t->text, from);
}

static struct place
keep_address(struct transaction *t, struct address a)
{
	size_t from = t->text.n;

	address_format(&t->text, a);
	t->utf8 |= a.utf8;
	return place_since(&t->text, from);
}

bool
transaction_set_from(struct transaction *t, struct address a, struct str envid)
{
	t->from = keep_address(t, a);
	t->envid = keep(t, envid);
	return !t->text.over;
}

bool
transaction_add(struct transaction *t, struct address a, const struct rcpt_params *p)
{
	struct recipient *r;
	size_t            before = t->text.n;

	if (t->n_rcpts == t->cap_rcpts) {
		t->cap_rcpts = t->cap_rcpts == 0 ? 4 : t->cap_rcpts * 2;
		t->rcpts = mem_resize(t->rcpts, t->cap_rcpts, sizeof *t->rcpts);
	}
	r = &t->rcpts[t->n_rcpts];
	r->to = keep_address(t, a);
	r->orcpt = keep(t, p->orcpt);
	r->notify = p->notify;
	if (t->text.over) {
		buf_truncate(&t->text, before);
		t->text.over = false;
		return false;
	}
	t->n_rcpts++;
	return true;
}

/* RFC 3848 and RFC 6531 section 4.3. */
static const char *
protocol(const struct session *s, bool utf8)
{
	static const char *const names[2][2][2] = {
		{{"ESMTP", "ESMTPA"}, {"ESMTPS", "ESMTPSA"}},
		{{"UTF8SMTP", "UTF8SMTPA"}, {"UTF8SMTPS", "UTF8SMTPSA"}},
	};

	if (!s->esmtp)
		return "SMTP";
	return names[utf8][s->secure][s->login.n > 0];
}

/* What the client called itself, so that it cannot end the comment or look like another field. */
static void
add_helo(struct buf *out, struct str helo)
{
	for (size_t i = 0; i < helo.n; i++) {
		unsigned char c = (unsigned char)helo.p[i];
		bool          plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		             (c >= '0' && c <= '9') || c == '.' || c == '-' || c == ':' ||
		             c == '_' || c == '[' || c == ']';

		buf_addc(out, plain ? (char)c : '?');
	}
	if (helo.n == 0)
		buf_addz(out, "unknown");
}

/*
 * A login's own address and name are left out by default: they are often somebody's home, and
 * receivers score them.
 */
static bool
shows_client(const struct session *s)
{
	switch ((enum received_client)s->site->config->received_client) {
	case RECEIVED_SHORT:
		return s->login.n == 0;
	case RECEIVED_FULL:
		return true;
	case RECEIVED_NONE:
		break;
	}
	return false;
}

/* RFC 5321 section 4.4. */
static void
write_received(struct transaction *t)
{
	const struct session  *s = t->session;
	const struct tls_info *tls = s->stream != NULL ? stream_tls(s->stream) : NULL;
	struct buf            *b = &t->received;

	buf_addz(b, "Received: ");
	if (shows_client(s)) {
		buf_addz(b, "from ");
		add_helo(b, s->helo);
		buf_addz(b, s->client.family == 6 ? " ([IPv6:" : " ([");
		addr_format(b, s->client);
		buf_addz(b, "])\r\n\t");
	}
	buf_addz(b, "by ");
	buf_add(b, s->site->config->hostname);
	buf_addz(b, " (postern) with ");
	buf_addz(b, protocol(s, t->params.smtputf8));
	if (tls != NULL) {
		buf_addz(b, "\r\n\t(TLS");
		buf_addz(b, tls->version);
		buf_addc(b, ' ');
		buf_addz(b, tls->cipher);
		buf_addc(b, ')');
	}
	buf_addz(b, "\r\n\tid ");
	id_format(b, t->id);
	buf_addz(b, "; ");
	date_format(b, t->plan.now_ms);
	buf_addz(b, "\r\n");
}

/* He has sent more within an hour than people write by hand. */
static bool
is_mail_to_many(const struct transaction *t)
{
	struct session *s = t->session;
	struct limits  *ls = &s->server->limits;
	unsigned        most = s->site->config->bulk_after;

	if (most == 0)
		return false;
	return limit_send(s->login.n > 0 ? limits_login(ls, s->login, t->begun_ms)
	                                 : limits_client(ls, s->client, t->begun_ms),
	                  t->begun_ms) > most;
}

void
transaction_begin(struct transaction *t, enum data_kind kind)
{
	struct session      *s = t->session;
	const struct config *c = s->site->config;

	t->id = t->job.id = ids_next(&s->server->ids);
	t->plan = (struct fixup){.policy = &t->policy,
	                         .own_domain = s->site->own_domain,
	                         .sender = transaction_text(t, t->from),
	                         .id = t->id,
	                         .now_ms = time_wall_ms(),
	                         .lint = s->on->lint,
	                         .says_utf8 = t->params.smtputf8,
	                         .says_eightbit = t->params.eightbit};
	senders_see(&s->server->senders, s->login, s->client);
	t->plan.many = is_mail_to_many(t);
	write_received(t);
	t->plan.received = buf_str(&t->received);
	t->message = message_create(&s->server->messages, &t->plan, c->max_size);
	message_expect(t->message, kind,
	               s->on->lint != LISTEN_LINT_STRICT && policy_is_local(&t->policy));
}

static void
fill(const struct transaction *t, struct envelope *e, struct buf *scratch)
{
	const struct session *s = t->session;
	const struct message *m = t->message;

	e->from = transaction_text(t, t->from);
	e->accepted_ms = t->plan.now_ms;
	e->size = message_size(m);
	e->helo = s->helo;
	e->login = s->login;
	e->proto = str_of(protocol(s, t->params.smtputf8));
	e->envid = transaction_text(t, t->envid);
	e->ret = t->params.ret;
	/* Asked for is not needed: an all-ASCII message can go through any next hop. */
	e->smtputf8 = t->utf8 || (t->params.smtputf8 && m->fix.facts.head_eightbit);
	e->eightbit = m->eightbit;
	e->hold = config_is_capture(s->site->config);
	if (e->hold)
		e->hold_why = STR("capture: no domain configured");
	e->hops = m->fix.facts.hops;
	e->header_from = m->fix.header_from;
	e->msgid = m->fix.msgid;
	e->bh_canon = canon_name(m->canon);
	addr_format(scratch, s->client);
	e->client = buf_str(scratch);
}

static void
fill_rcpts(const struct transaction *t, struct envelope *e)
{
	e->rcpts = mem_array(t->n_rcpts, sizeof *e->rcpts);
	e->n_rcpts = t->n_rcpts;
	for (size_t i = 0; i < t->n_rcpts; i++)
		e->rcpts[i] = (struct rcpt){transaction_text(t, t->rcpts[i].to),
		                            transaction_text(t, t->rcpts[i].orcpt),
		                            t->rcpts[i].notify};
}

bool
transaction_put(struct transaction *t)
{
	struct server        *sv = t->session->server;
	struct message       *m = t->message;
	struct buf client = BUF(64), bh = BUF(BODYHASH_TEXT), pace = BUF(PACE_TEXT_MAX);
	struct envelope       e = {0};
	struct handover_message out;
	bool                  fits;

	fill(t, &e, &client);
	fill_rcpts(t, &e);
	message_hash(m, &bh);
	e.bh = buf_str(&bh);
	policy_pace(&t->policy, &pace);
	e.pace = buf_str(&pace);
	buf_clear(&sv->envelope);
	envelope_format(&sv->envelope, &e);
	fits = !sv->envelope.over;
	out = (struct handover_message){buf_str(&sv->envelope),
	                              m->fd >= 0 ? STR_NONE : buf_str(&m->text), message_size(m)};
	if (fits)
		handover_put(sv->handover, &t->job, &out);
	if (sv->envelope.cap > KEEP_ENVELOPE)
		buf_free(&sv->envelope);
	envelope_free(&e);
	buf_free(&client);
	buf_free(&bh);
	buf_free(&pace);
	return fits;
}

void
transaction_log(struct transaction *t)
{
	const struct session *s = t->session;
	const struct message *m = t->message;
	struct buf            id = BUF(ID_TEXT), ip = BUF(64), dkim = BUF(1024), fixed = BUF(200),
	                      lint = BUF(1024);
	const char           *why;

	id_format(&id, t->id);
	addr_format(&ip, s->client);
	signing_format(&dkim, s->site->config, m->fix.header_from, &why);
	fixup_format(&fixed, m->fix.facts.fixed | (t->completed ? (unsigned)FIXED_ADDRESS : 0));
	lint_format(&lint, m->fix.verdict.warned);
	log_info(ev("accept"), kv("id", buf_str(&id)),
	         kv("from", t->from.n > 0 ? transaction_text(t, t->from) : STR("<>")),
	         kv("rcpts", t->n_rcpts), kv("size", message_size(m)), kv("client", buf_str(&ip)),
	         kv("helo", s->helo), kv("user", s->login),
	         kv("proto", protocol(s, t->params.smtputf8)),
	         kv("tls", s->secure && s->stream != NULL ? stream_tls(s->stream)->version : NULL),
	         kv("dkim", buf_str(&dkim)), kv("why", why), kv("fixed", buf_str(&fixed)),
	         kv("lint", buf_str(&lint)),
	         kv("ms", time_mono_ms() - t->begun_ms));
	buf_free(&id);
	buf_free(&ip);
	buf_free(&dkim);
	buf_free(&fixed);
	buf_free(&lint);
}
