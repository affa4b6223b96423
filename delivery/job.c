/* SPDX-License-Identifier: ISC */
#include "delivery/job.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "delivery/conn.h"
#include "delivery/destination.h"
#include "delivery/gate.h"
#include "delivery/setup.h"
#include "delivery/signer.h"
#include "delivery/suspect.h"
#include "lib/mail/ids.h"
#include "lib/proc/channel.h"
#include "lib/util/mem.h"
#include "lib/util/time.h"

enum {
	WAIT_LIMIT_MS = 10 * 60 * 1000, /* for a connection: longer than one host's greeting */
	TOTAL_LIMIT_MS = 60 * 60 * 1000, /* a server that takes an octet a minute gets no more */
	OUTCOME_MAX = 1536 * 1024,
	REPLY_HEAD = 15, /* "550 5.255.255 " and the line's end */
	SUSPECT_TEXT = 1024,
	SUSPECT_MS = 10 * 1000, /* one in so long is told; the supervisor knows how often is enough */
};

static size_t
texts_size(const struct wire_lease *l)
{
	return l->lane.n + l->envelope.n + l->body.n;
}

static struct str
keep(char **at, struct str s)
{
	struct str kept = {*at, s.n};

	if (s.n > 0)
		memcpy(*at, s.p, s.n);
	*at += s.n;
	return kept;
}

static void
job_free(struct job *j)
{
	struct worker *w = j->worker;

	signer_cancel(j->signing);
	published_leave(w->published, &j->gate);
	list_remove(&w->jobs, &j->all);
	w->held_bytes -= j->memory_n;
	mail_free(&j->mail);
	envelope_free(&j->env);
	buf_free(&j->fields);
	buf_free(&j->dkim);
	buf_free(&j->facts);
	buf_free(&j->mta);
	setup_unref(j->setup);
	free(j->memory);
	free(j);
	if (w->job_gone != NULL)
		w->job_gone(w);
}

static void
count(struct worker *w, const struct mail *m)
{
	for (size_t i = 0; i < m->n; i++) {
		unsigned class = m->targets[i].code / 100;

		w->count.delivered += class == 2;
		w->count.deferred += class == 4;
		w->count.refused += class == 5;
	}
}

/*
 * With very many recipients the texts are cut, so that no reply is left out: who has
 * none is tried again, though he may have the message.
 */
static void
add_replies(struct buf *out, const struct mail *m)
{
	size_t share = m->n > 0 ? OUTCOME_MAX / m->n : 0;

	for (size_t i = 0; i < m->n; i++) {
		struct reply r = mail_reply(m, i);

		r.text = str_sub(r.text, 0, share > REPLY_HEAD ? share - REPLY_HEAD : 0);
		if (i > 0)
			buf_addc(out, '\n');
		reply_format(out, r);
	}
}

static struct str
sender_domain(const struct envelope *env)
{
	size_t n = env->from.n;

	while (n > 0 && env->from.p[n - 1] != '@')
		n--;
	return env->header_from.n > 0 ? env->header_from : str_skip(env->from, n);
}

/* Has somebody refused it for what our checks look at? One such reply of a mail is enough. */
static void
look_for_suspects(struct job *j)
{
	struct worker *w = j->worker;
	const char    *checks = NULL;
	struct reply   r = {0};
	struct buf     id = BUF(ID_TEXT + 3);
	int64_t        now = time_mono_ms();

	if (w->tell == NULL || j->mta.n == 0 || now < w->suspect_ms)
		return;
	for (size_t i = 0; i < j->mail.n && checks == NULL; i++)
		checks = suspect_checks(r = mail_reply(&j->mail, i));
	if (checks == NULL)
		return;
	w->suspect_ms = now + SUSPECT_MS;
	id_format(&id, j->id);
	w->tell(w, WIRE_SUSPECT,
	        &(struct wire_suspect){.only = str_of(checks),
	                               .domain = sender_domain(&j->env),
	                               .id = buf_str(&id),
	                               .mx = buf_str(&j->mta),
	                               .reply = str_sub(r.text, 0, SUSPECT_TEXT)});
	buf_free(&id);
}

void
job_done(struct job *j)
{
	struct buf          replies = BUF(OUTCOME_MAX);
	struct wire_outcome o = {.id = j->id, .part = j->part, .token = j->token};

	add_replies(&replies, &j->mail);
	o.scope = (uint8_t)j->mail.scope;
	o.relayed_dsn = j->mail.dsn;
	o.replies = buf_str(&replies);
	o.mta = buf_str(&j->mta);
	o.facts = buf_str(&j->facts);
	o.dkim = buf_str(&j->dkim);
	count(j->worker, &j->mail);
	look_for_suspects(j);
	if (j->worker->queue != NULL)
		channel_send(j->worker->queue, WIRE_OUTCOME, &o, -1);
	buf_free(&replies);
	job_free(j);
}

void
job_fail(struct job *j, struct reply r, unsigned scope)
{
	mail_settle_all(&j->mail, r, scope);
	job_done(j);
}

unsigned
job_scope(const struct job *j)
{
	return j->only_ipv6 ? SCOPE_GATE : j->cut ? SCOPE_MESSAGE : SCOPE_LANE;
}

/* Out of whatever it is in. */
static void
detach(struct job *j)
{
	if (j->conn != NULL)
		conn_abort(j->conn, j);
	else if (j->destination != NULL)
		destination_remove(j->destination, j);
}

void
job_drop(struct job *j)
{
	detach(j);
	job_free(j);
}

static void
signed_(void *arg, const struct signature *sig)
{
	struct job *j = arg;

	j->signing = NULL;
	if (!sig->ok) {
		struct buf text = BUF(REPLY_TEXT_MAX);

		buf_addz(&text, sig->waits ? "held: " : "");
		buf_addz(&text, "the message could not be signed: ");
		buf_add(&text, sig->why);
		j->worker->count.held += sig->waits;
		job_fail(j, (struct reply){.code = 451, .status = {4, 3, 0}, .text = buf_str(&text)},
		         sig->waits ? SCOPE_GATE : SCOPE_MESSAGE);
		buf_free(&text);
		return;
	}
	buf_add(&j->fields, sig->fields);
	buf_add(&j->dkim, sig->dkim);
	j->mail.signature = buf_str(&j->fields);
	j->waiting_ms = time_mono_ms();
	j->destination = destination_find(j->worker, j->setup, j->lane, j->only_ipv6);
	destination_add(j->destination, j);
}

/* Which of the envelope's recipients are meant; false if the list is not one. */
static bool
parse_targets(struct job *j, struct str list)
{
	struct str rest = list, word;
	size_t     room = 0;
	uint64_t   at;

	while (str_word(&rest).n > 0)
		room++;
	if (room == 0 || room > j->env.n_rcpts)
		return false;
	j->mail.targets = mem_array(room, sizeof *j->mail.targets);
	while ((word = str_word(&list)).n > 0) {
		if (!str_number(word, j->env.n_rcpts - 1, &at))
			return false;
		j->mail.targets[j->mail.n++].rcpt = &j->env.rcpts[at];
	}
	return true;
}

static struct job *
create(struct worker *w, const struct wire_lease *l)
{
	struct job *j = mem_zero(sizeof *j);
	char       *at;

	j->worker = w;
	j->setup = setup_ref(w->setup);
	j->id = l->id;
	j->part = l->part;
	j->token = l->token;
	j->started_ms = time_mono_ms();
	j->memory_n = texts_size(l);
	j->memory = at = mem_resize(NULL, j->memory_n + 1, 1);
	j->lane = keep(&at, l->lane);
	mail_init(&j->mail, &j->env);
	j->fields = BUF(64 * 1024);
	j->dkim = BUF(2048);
	j->facts = BUF(2048);
	j->mta = BUF(512);
	w->held_bytes += j->memory_n;
	list_push(&w->jobs, &j->all);
	if (!envelope_parse(&j->env, keep(&at, l->envelope)))
		j->env = (struct envelope){0};
	j->mail.body = keep(&at, l->body);
	j->mail.size = l->size;
	return j;
}

/* The queue asks for something that cannot be: as many replies as it wanted, all the same. */
static void
refuse(struct job *j, struct str list)
{
	struct reply r = REPLY(451, 4, 3, 0, "the message cannot be handed over as it is stored");
	size_t       n = 0;

	while (str_word(&list).n > 0)
		n++;
	free(j->mail.targets);
	j->mail.targets = mem_array(n + 1, sizeof *j->mail.targets);
	j->mail.n = n;
	job_fail(j, r, SCOPE_MESSAGE);
}

static void
sign(struct job *j, const struct gate_pass *pass)
{
	struct signer_request r = {.id = j->id,
	                           .config = j->setup->config,
	                           .env = &j->env,
	                           .body = j->mail.body,
	                           .fd = j->mail.fd,
	                           .size = j->mail.size,
	                           .keys = pass->keys,
	                           .unsigned_why = pass->unsigned_why,
	                           .again = j->mail.n < j->env.n_rcpts};

	j->signing = signer_start(j->worker->signer, &r, signed_, j);
}

/* Comes again when keys have been looked up; each key is asked for within seconds. */
static void
pass_gate(void *arg)
{
	struct job      *j = arg;
	struct worker   *w = j->worker;
	struct route     route = route_find(j->setup->config, j->lane);
	struct gate_pass pass;

	switch (gate_try(w->gates, w->published, j->setup->config, &j->env, &route, &pass)) {
	case GATE_OPEN:
		j->only_ipv6 = pass.only_ipv6;
		sign(j, &pass);
		break;
	case GATE_WAIT:
		j->gate = (struct published_wait){.fn = pass_gate, .arg = j};
		published_wait(w->published, &j->gate);
		break;
	case GATE_HOLD:
		w->count.held++;
		job_fail(j, pass.reply, SCOPE_GATE);
		break;
	}
	gate_pass_free(&pass);
}

void
job_start(struct worker *w, const struct wire_lease *l, int fd)
{
	struct job *j = create(w, l);

	j->mail.fd = fd;
	if (j->env.n_rcpts == 0 || !parse_targets(j, l->rcpts) || (fd < 0 && j->mail.body.n != l->size)) {
		refuse(j, l->rcpts);
		return;
	}
	pass_gate(j);
}

static void
expire(struct job *j)
{
	detach(j);
	job_fail(j, REPLY(451, 4, 4, 2, "took too long: given up for now"), SCOPE_LANE);
}

void
job_tick(struct worker *w)
{
	int64_t     now = time_mono_ms();
	struct job *j;
	bool        again = true;

	/* Ending one may end its neighbour on the same connection: so one at a time. */
	while (again) {
		again = false;
		LIST_EACH(&w->jobs, j, struct job, all) {
			int64_t age = now - j->started_ms;

			if (age < WAIT_LIMIT_MS)
				return;
			if (age < TOTAL_LIMIT_MS && j->conn != NULL)
				continue;
			expire(j);
			again = true;
			break;
		}
	}
}
