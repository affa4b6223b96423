/* SPDX-License-Identifier: ISC */
#include "tests/fuzz/queue_play.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/mail/envelope.h"
#include "lib/net/loop.h"
#include "lib/util/time.h"
#include "queue/queue.h"
#include "queue/store.h"
#include "tests/fuzz/queue_disk.h"

enum {
	MAILS = 64,
	FLYING = 64,
	LEASES = 64,
	CALLERS = 4,
	PARTS = 4,
	SPILLED = 300 * 1024,
	EXPIRE_MS = 5 * 24 * 3600 * 1000,
};

/* Far from the numbers that a frame of chance has. */
static const uint64_t first_id = UINT64_C(0x51a9c3d200000000);

/* The low three bits: to whom. */
enum how { HOW_TO = 7, HOW_HELD = 8, HOW_NULL = 16, HOW_PACED = 32, HOW_NOTIFY = 64, HOW_OLD = 128 };

/* The low two bits: the reply; scope from bit 4 on. */
enum result {
	RESULT_REPLY = 3,
	RESULT_SHORT = 4,  /* one recipient is missing */
	RESULT_LONG = 8,   /* one is too many */
	RESULT_TOKEN = 64, /* of another lease */
	RESULT_OTHER = 128, /* from the other delivery */
};

static const struct {
	const char *to[4];
	unsigned    parts;
} recipients[HOW_TO + 1] = {
	{{"b@a.example"}, 1},
	{{"b@a.example", "c@a.example"}, 1},
	{{"b@a.example", "c@b.example"}, 2},
	{{"b@a.example", "c@b.example", "d@a.example", "e@c.example"}, 3},
	{{"b@down.example"}, 1},
	{{"b@[192.0.2.1]", "c@xn--tda.example"}, 2},
	{{"nobody", "b@a.example"}, 2},
	{{"b@down.example", "c@down.example", "d@a.example"}, 2},
};

struct mail {
	bool     acked, unknown; /* `unknown`: an operator, time, or another copy may have ended it */
	bool     spilled;
	unsigned how;
	int64_t  accepted_ms;
	bool     ended[PARTS];
	uint64_t token[PARTS]; /* of the last lease */
};

struct flying {
	bool        used;
	unsigned    mail;
	int         channel;
	struct mail as;
};

struct lease {
	bool     live;
	uint64_t id, token;
	uint32_t part;
	unsigned channel;
	size_t   n_rcpts;
};

struct caller {
	int ours, its; /* `its` is the role's: a number for fake_ready() */
};

static struct {
	struct mail   mails[MAILS];
	struct flying flying[FLYING];
	struct lease  leases[LEASES];
	struct caller callers[CALLERS];
	size_t        n_leases, n_flying, n_callers;
	bool          forgetful; /* an operator has deleted */
	bool          found[MAILS];
} model;

/* ---- what a message looks like ---- */

static size_t
body_size(const struct mail *m)
{
	return m->spilled ? SPILLED : m->how + 10;
}

static void
add_envelope(struct buf *out, const struct mail *m)
{
	const char *const *to = recipients[m->how & HOW_TO].to;

	buf_addf(out, "from: %s\n", (m->how & HOW_NULL) != 0 ? "" : "ann@example.com");
	if ((m->how & HOW_PACED) != 0)
		buf_addz(out, "pace: 2/60000 0/0 login:ann\n");
	buf_addf(out, "accepted-ms: %lld\nsize: %zu\n", (long long)m->accepted_ms, body_size(m));
	if ((m->how & HOW_HELD) != 0)
		buf_addz(out, "hold: 1\nhold-why: because\n");
	for (size_t i = 0; i < ARRAY_LEN(recipients[0].to) && to[i] != NULL; i++)
		buf_addf(out, "to: %s\n%s", to[i], (m->how & HOW_NOTIFY) != 0 ? "notify: success,failure,delay\n" : "");
}

static void
add_body(struct buf *out, const struct mail *m)
{
	size_t n = body_size(m);

	memset(buf_room(out, n), m->spilled ? 'x' : 'a' + (int)(m->how % 26), n);
	buf_commit(out, n);
}

static bool
is_envelope(const struct mail *m, struct str text)
{
	struct buf b = BUF(4096);
	bool       same;

	add_envelope(&b, m);
	same = str_eq(buf_str(&b), text);
	buf_free(&b);
	return same;
}

static bool
is_body(const struct mail *m, struct str text)
{
	struct buf b = BUF(SPILLED);
	bool       same;

	add_body(&b, m);
	same = str_eq(buf_str(&b), text);
	buf_free(&b);
	return same;
}

static struct mail *
mail_of(uint64_t id)
{
	return id >= first_id && id < first_id + MAILS ? &model.mails[id - first_id] : NULL;
}

static bool
is_over(const struct mail *m)
{
	unsigned n = 0;

	for (size_t i = 0; i < PARTS; i++)
		n += m->ended[i];
	return n >= recipients[m->how & HOW_TO].parts;
}

/* ---- smtpd ---- */

static void
smtpd_says(struct role *r, unsigned which, enum wire_id id, const void *msg)
{
	int channel = fake_channel(r->loop, ROLE_SMTPD, which / MAILS & 1);

	if (channel >= 0)
		(void)!fake_message_on(r->loop, (unsigned)channel, id, msg, -1);
}

/*
 * An answer bears the number and nothing else, and a refusal may overtake the 250 of an earlier
 * one: of several under one number nobody knows which is meant. smtpd uses none twice.
 */
static bool
is_ambiguous(unsigned mail, int channel, const struct mail *m)
{
	bool found = false;

	for (size_t i = 0; i < FLYING; i++) {
		struct flying *f = &model.flying[i];

		if (!f->used || f->mail != mail || f->channel != channel ||
		    (f->as.how == m->how && f->as.accepted_ms == m->accepted_ms))
			continue;
		f->as.unknown = found = true;
	}
	return found;
}

static void
put(struct role *r, unsigned which, struct mail m, size_t more)
{
	int            channel = fake_channel(r->loop, ROLE_SMTPD, which / MAILS & 1);
	struct flying *f = &model.flying[model.n_flying++ % FLYING];
	struct buf     envelope = BUF(4096), body = BUF(SPILLED);

	m.accepted_ms = time_wall_ms() - ((m.how & HOW_OLD) != 0 ? EXPIRE_MS + 1 : 0);
	m.unknown = is_ambiguous(which % MAILS, channel, &m);
	*f = (struct flying){.used = true, .mail = which % MAILS, .channel = channel, .as = m};
	add_envelope(&envelope, &m);
	add_body(&body, &m);
	smtpd_says(r, which, WIRE_PUT,
	           &(struct wire_put){.id = first_id + which % MAILS,
	                              .spilled = m.spilled,
	                              .size = body.n + more,
	                              .envelope = buf_str(&envelope),
	                              .body = m.spilled ? STR_NONE : buf_str(&body)});
	buf_free(&envelope);
	buf_free(&body);
}

/* All large bodies are alike. */
static void
fill(const struct fake_frame *f)
{
	const struct wire_spilled *m = f->msg;
	struct buf                 body = BUF(SPILLED);

	must((m->ok != 0) == (f->fd >= 0));
	if (f->fd >= 0) {
		add_body(&body, &(struct mail){.spilled = true});
		must(write(f->fd, body.p, body.n) == (ssize_t)body.n);
	}
	buf_free(&body);
}

/* A number that is in use is refused, or it would be a message that is promised and lost. */
static void
stored(const struct wire_stored *m, int channel)
{
	struct mail *mail = mail_of(m->id);

	for (size_t i = 0; i < FLYING && mail != NULL; i++) {
		struct flying *f = &model.flying[(model.n_flying + i) % FLYING];

		if (!f->used || f->channel != channel || &model.mails[f->mail] != mail)
			continue;
		f->used = false;
		if (m->code != 250)
			return;
		must(!mail->acked || mail->unknown || f->as.unknown || model.forgetful || is_over(mail) ||
		     (mail->how == f->as.how && mail->accepted_ms == f->as.accepted_ms));
		f->as.unknown = f->as.unknown || mail->unknown || (f->as.how & HOW_OLD) != 0;
		*mail = f->as;
		mail->acked = true;
		return;
	}
}

/* ---- delivery ---- */

/* What is leased is what was put, and newer than all leases before. */
static void
leased(const struct wire_lease *m, int fd, unsigned channel)
{
	struct lease *l = &model.leases[model.n_leases++ % LEASES];
	struct mail  *mail = mail_of(m->id);

	*l = (struct lease){.live = true, .id = m->id, .token = m->token, .part = m->part, .channel = channel, .n_rcpts = 1};
	for (size_t i = 0; i < m->rcpts.n; i++)
		l->n_rcpts += m->rcpts.p[i] == ' ';
	must(m->rcpts.n > 0 && m->lane.n > 0 && m->attempt > 0 && (fd < 0 || m->body.n == 0));
	if (mail == NULL || !mail->acked || mail->unknown)
		return;
	must(m->part < recipients[mail->how & HOW_TO].parts && m->token > mail->token[m->part]);
	must(!mail->ended[m->part] && is_envelope(mail, m->envelope));
	must(fd >= 0 || is_body(mail, m->body));
	mail->token[m->part] = m->token;
}

static unsigned
other_delivery(const struct loop *l, unsigned channel)
{
	int first = fake_channel(l, ROLE_DELIVERY, 0), second = fake_channel(l, ROLE_DELIVERY, 1);

	return (unsigned)(first != (int)channel ? first : second);
}

/* Only a whole answer of the one who has the lease, with the right token, is the end of a part. */
static void
outcome(struct role *r, unsigned which, unsigned how)
{
	static const char *const replies[] = {"250 2.0.0 ok", "451 4.4.1 no answer", "550 5.1.1 nobody", "?"};
	struct lease            *l = &model.leases[(model.n_leases + LEASES - 1 - which % LEASES) % LEASES];
	struct mail             *mail = mail_of(l->id);
	struct buf               lines = BUF(4096);
	struct wire_outcome      m = {.id = l->id, .part = l->part, .token = l->token, .scope = how >> 4 & 3,
	                              .mta = STR("mx.a.example"), .facts = STR("mx=mx.a.example ip=192.0.2.7 tls=verified")};
	size_t                   n = l->n_rcpts + ((how & RESULT_LONG) != 0) - ((how & RESULT_SHORT) != 0);
	unsigned                 channel = (how & RESULT_OTHER) != 0 ? other_delivery(r->loop, l->channel) : l->channel;

	if (l->token == 0)
		return;
	for (size_t i = 0; i < n; i++)
		buf_addf(&lines, "%s%s", i > 0 ? "\n" : "", replies[how & RESULT_REPLY]);
	m.replies = buf_str(&lines);
	m.token += (how & RESULT_TOKEN) != 0;
	if (fake_message_on(r->loop, channel, WIRE_OUTCOME, &m, -1) && l->live && (how & (RESULT_TOKEN | RESULT_OTHER)) == 0 &&
	    n <= l->n_rcpts) {
		l->live = false;
		if (mail != NULL && l->part < PARTS && n == l->n_rcpts && (how & 1) == 0)
			mail->ended[l->part] = true;
	}
	buf_free(&lines);
}

static void
answer(struct loop *l UNUSED, const struct fake_frame *f)
{
	if (f->id == WIRE_SPILLED)
		fill(f);
	else if (f->id == WIRE_STORED)
		stored(f->msg, (int)f->channel);
	else if (f->id == WIRE_LEASE)
		leased(f->msg, f->fd, f->channel);
}

/* ---- operators ---- */

static bool
is_harmless(struct str line)
{
	static const char *const words[] = {"pause", "resume", "queue list", "queue show", "queue cat", "queue export",
	                                    "queue watch", "queue retry", "queue hold", "queue release", "queue put"};

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (str_starts(line, str_of(words[i])))
			return true;
	return false;
}

static void
hang_up(struct caller *c)
{
	if (c->ours >= 0)
		close(c->ours);
	c->ours = -1;
}

static void
request(struct role *r, struct str line)
{
	struct caller *c = &model.callers[model.n_callers++ % CALLERS];
	int            ends[2];

	hang_up(c);
	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0);
	*c = (struct caller){.ours = ends[0], .its = ends[1]};
	if (!is_harmless(line))
		model.forgetful = true;
	r->hooks->control(r->self, line, ends[1]);
}

static void
say(struct role *r, struct str octets)
{
	struct caller *c = &model.callers[(model.n_callers + CALLERS - 1) % CALLERS];

	if (c->ours < 0)
		return;
	(void)!send(c->ours, octets.p, octets.n, MSG_NOSIGNAL);
	fake_ready(r->loop, c->its, WATCH_READ);
}

static void
read_all(struct role *r)
{
	char piece[16 * 1024];

	for (size_t i = 0; i < CALLERS; i++) {
		if (model.callers[i].ours < 0)
			continue;
		while (read(model.callers[i].ours, piece, sizeof piece) > 0)
			fake_ready(r->loop, model.callers[i].its, WATCH_WRITE);
	}
}

static void
hang_up_all(struct role *r)
{
	for (size_t i = 0; i < CALLERS; i++)
		if (model.callers[i].ours >= 0) {
			hang_up(&model.callers[i]);
			fake_ready(r->loop, model.callers[i].its, WATCH_READ);
		}
}

/* ---- the play ---- */

static void
begin(struct role *r)
{
	memset(&model, 0, sizeof model);
	for (size_t i = 0; i < CALLERS; i++)
		model.callers[i].ours = -1;
	r->hooks->peer(r->self, ROLE_SMTPD, 1, -1);
	r->hooks->peer(r->self, ROLE_DELIVERY, 1, -1);
}

static void
have_room(struct role *r, unsigned how)
{
	int channel = fake_channel(r->loop, ROLE_DELIVERY, how >> 7);

	if (channel >= 0)
		(void)!fake_message_on(r->loop, (unsigned)channel, WIRE_CAPACITY, &(struct wire_capacity){.leases = how & 127}, -1);
}

/* Acts of other roles: the first octet is in `which`. */
static void
act_role(struct role *r, unsigned what, unsigned which, struct str *rest)
{
	switch (what) {
	case 'm':
		put(r, which, (struct mail){.how = take_octet(rest)}, 0);
		break;
	case 'p':
	case 'P':
		put(r, which, (struct mail){.how = take_octet(rest), .spilled = true}, what == 'P' ? 7 : 0);
		break;
	case 'g':
		smtpd_says(r, which, WIRE_SPILL, &(struct wire_spill){.id = first_id + which % MAILS});
		break;
	case 'f':
		smtpd_says(r, which, WIRE_DROP, &(struct wire_drop){.id = first_id + which % MAILS});
		break;
	case 'u':
		have_room(r, which);
		break;
	case 'r':
		outcome(r, which, take_octet(rest));
	}
}

static void
act(struct role *r, unsigned what, struct str *rest)
{
	switch (what) {
	case 'd':
		queue_disk_order(r->loop, take_octet(rest));
		break;
	case 'q':
		request(r, take_piece(rest));
		break;
	case 'i':
		say(r, take_piece(rest));
		break;
	case 'a':
		read_all(r);
		break;
	case 'h':
		hang_up_all(r);
		break;
	default:
		if (strchr("mpPgfur", (int)what) != NULL)
			act_role(r, what, take_octet(rest), rest);
	}
}

static void
end(struct loop *l)
{
	queue_disk_order(l, 1);
}

/* ---- what is left ---- */

/* A number is free once its message is over: what has it next may be there, though nobody was answered. */
static bool
may_be_another(const struct mail *m)
{
	for (size_t i = 0; i < FLYING; i++)
		if (model.flying[i].used && &model.mails[model.flying[i].mail] == m)
			return is_over(m);
	return false;
}

static bool
look(void *arg UNUSED, const struct store_row *row)
{
	struct mail *m = row == NULL ? NULL : mail_of(row->id);
	size_t       left = 0, expected = recipients[m == NULL ? 0 : m->how & HOW_TO].parts;

	if (m == NULL || !m->acked || m->unknown || may_be_another(m))
		return row != NULL;
	must(!row->damaged && row->size == body_size(m) && is_envelope(m, row->envelope));
	for (size_t i = 0; i < row->n_parts; i++)
		if (!m->ended[row->parts[i].part]) {
			must(row->parts[i].status != STATUS_DONE);
			left++;
		}
	for (size_t i = 0; i < PARTS; i++)
		expected -= m->ended[i];
	must(left == expected);
	model.found[row->id - first_id] = true;
	return true;
}

static void
after(struct loop *l)
{
	for (size_t i = 0; i < CALLERS; i++)
		hang_up(&model.callers[i]);
	if (!model.forgetful)
		queue_disk_list(l, look);
	for (size_t i = 0; i < MAILS && !model.forgetful; i++) {
		const struct mail *m = &model.mails[i];

		must(!m->acked || m->unknown || is_over(m) || model.found[i] || time_wall_ms() - m->accepted_ms >= EXPIRE_MS);
	}
	queue_disk_destroy();
}

const struct play queue_play = {
	.role_main = queue_main,
	.config = "hostname mail.example.com\ndomains example.com\nretry 5m 10m 20m 40m 1h 2h 4h\nexpire 5d\ndelay-notice 4h\nmax-size 1000000\n",
	.spool = queue_disk_create,
	.begin = begin,
	.answer = answer,
	.act = act,
	.end = end,
	.after = after,
};
