/* SPDX-License-Identifier: ISC */
/* report - reads the original back, builds the bounce, and puts it into the store as a message of our own. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/util/log.h"
#include "lib/util/mem.h"
#include "lib/util/time.h"
#include "queue/bounce.h"
#include "queue/core.h"

enum {
	RETURN_MAX = 64 * 1024, /* of the original: a larger one comes back as its header */
	REPORT_MAX = 1024 * 1024,
	RCPTS_MAX = 1000, /* told of by name */
};

_Static_assert((int)BOUNCE_FAILED == (int)REPORT_FAILED &&
                       (int)BOUNCE_RELAYED == (int)REPORT_RELAYED,
               "two names for the same kinds");

struct report {
	struct link         link;
	struct queue       *q;
	enum report_kind    kind;
	uint64_t            parent, id;
	struct report_rcpt *rcpts;
	size_t              n;
	struct buf          texts;
	void (*done)(void *arg, bool ok);
	void *arg;
};

static void
destroy(struct report *r)
{
	list_remove(&r->q->reports, &r->link);
	free(r->rcpts);
	buf_free(&r->texts);
	free(r);
}

static void
finish(struct report *r, bool ok)
{
	void (*done)(void *, bool) = r->done;
	void *arg = r->arg;

	destroy(r);
	done(arg, ok);
}

static void
stored(void *arg, enum store_result result, const struct store_lease *leases, size_t n)
{
	struct report *r = arg;
	struct queue  *q = r->q;

	if (result != STORE_OK)
		log_warn(ev("bounce-not-stored"), kv("code", (int)result));
	for (size_t i = 0; i < n; i++)
		dispatch_offer(q->dispatch, &leases[i]);
	finish(r, result == STORE_OK);
}

static void
make_envelope(const struct report *r, const struct envelope *original, struct str domain,
              struct str text, bool eightbit, struct buf *out)
{
	char            parent_room[ID_TEXT + 3];
	struct buf      parent = BUF(sizeof parent_room);
	struct rcpt     to = {.to = original->from, .notify = NOTIFY_NEVER};
	struct envelope e = {
		.rcpts = &to,
		.n_rcpts = 1,
		.accepted_ms = time_wall_ms(),
		.size = text.n,
		.smtputf8 = original->smtputf8,
		.eightbit = eightbit,
		.header_from = domain,
	};

	id_format(&parent, r->parent);
	e.parent = buf_str(&parent);
	if (config_is_capture(r->q->config)) {
		e.hold = true;
		e.hold_why = STR("capture: no domain configured");
	}
	envelope_format(out, &e);
	buf_free(&parent);
}

static void
put(struct report *r, const struct envelope *original, struct str domain, struct str text,
    bool eightbit)
{
	struct store_put *p = store_put(r->q->store, r->id, NULL);
	struct buf        envelope = BUF(64 * 1024);

	make_envelope(r, original, domain, text, eightbit, &envelope);
	if (p == NULL || !store_write(p, text) ||
	    !intake_put(r->q, p,
	                &(struct intake_mail){
				.envelope = buf_str(&envelope), .size = text.n, .derived = true},
	                stored, r)) {
		store_abort(p);
		buf_free(&envelope);
		finish(r, false);
		return;
	}
	buf_free(&envelope);
}

static void
build(struct report *r, struct str envelope, struct str message, bool whole)
{
	const struct config *c = r->q->config;
	struct envelope      original;
	struct bounce_rcpt  *rcpts;
	struct buf    text = BUF(REPORT_MAX), id = BUF(ID_TEXT + 3), parent = BUF(ID_TEXT + 3);
	struct bounce b = {.kind = (enum bounce_kind)r->kind,
	                   .hostname = c->hostname,
	                   .message = message,
	                   .whole = whole};
	bool          eightbit;

	if (!envelope_parse(&original, envelope)) {
		finish(r, true); /* nobody to tell: the damage itself has been reported */
		return;
	}
	id_format(&id, r->id);
	id_format(&parent, r->parent);
	rcpts = mem_array(r->n, sizeof *rcpts);
	for (size_t i = 0; i < r->n && b.n_rcpts < RCPTS_MAX; i++)
		if (r->rcpts[i].index < original.n_rcpts)
			rcpts[b.n_rcpts++] = (struct bounce_rcpt){
				.rcpt = &original.rcpts[r->rcpts[i].index],
				.reply = r->rcpts[i].reply,
				.mta = r->rcpts[i].mta,
			};
	b.id = buf_str(&id);
	b.parent = buf_str(&parent);
	b.original = &original;
	b.rcpts = rcpts;
	b.now_ms = time_wall_ms();
	b.expire_ms = original.accepted_ms + c->expire_ms;
	b.domain = bounce_domain(&original, c->domains.v, c->domains.n, c->hostname);
	bounce_format(&text, &b, &eightbit);
	put(r, &original, b.domain, buf_str(&text), eightbit);
	free(rcpts);
	envelope_free(&original);
	buf_free(&text);
	buf_free(&id);
	buf_free(&parent);
}

static void
got_original(void *arg, const struct store_chunk *chunk)
{
	struct report *r = arg;
	char          *part;
	ssize_t        n;

	if (chunk == NULL || r->q->store == NULL) {
		if (chunk != NULL && chunk->fd >= 0)
			close(chunk->fd);
		finish(r, true);
		return;
	}
	if (chunk->fd < 0) {
		build(r, chunk->envelope, chunk->body, chunk->body.n == chunk->size);
		return;
	}
	part = mem_array(1, RETURN_MAX);
	n = pread(chunk->fd, part, RETURN_MAX, 0);
	close(chunk->fd);
	build(r, chunk->envelope, (struct str){part, n < 0 ? 0 : (size_t)n}, false);
	free(part);
}

static struct str
keep(struct buf *texts, struct str s)
{
	size_t at = texts->n;

	buf_add(texts, s);
	return (struct str){texts->p == NULL ? "" : texts->p + at, texts->n - at};
}

/*
 * The same recipients, the same report. After a crash the next attempt may end otherwise: a report
 * of other recipients must not pass for the one that is there.
 */
static uint64_t
make_id(uint64_t parent, enum report_kind kind, const struct report_rcpt *rcpts, size_t n)
{
	uint64_t id = parent;

	for (size_t i = 0; i < n; i++)
		id = id_derive(id, rcpts[i].index, (unsigned)kind);
	return id;
}

void
report_send(struct queue *q, const struct attempt *a, enum report_kind kind,
            const struct report_rcpt *rcpts, size_t n, void (*done)(void *arg, bool ok), void *arg)
{
	struct report *r = mem_zero(sizeof *r);
	size_t         room = 1;

	for (size_t i = 0; i < n; i++)
		room += rcpts[i].reply.text.n + rcpts[i].mta.n;
	r->q = q;
	list_push(&q->reports, &r->link);
	r->kind = kind;
	r->parent = a->id;
	r->id = make_id(a->id, kind, rcpts, n);
	r->n = n;
	r->rcpts = mem_array(n, sizeof *r->rcpts);
	r->texts = BUF(room);
	(void)buf_room(&r->texts, room);
	for (size_t i = 0; i < n; i++) {
		r->rcpts[i] = rcpts[i];
		r->rcpts[i].reply.text = keep(&r->texts, rcpts[i].reply.text);
		r->rcpts[i].mta = keep(&r->texts, rcpts[i].mta);
	}
	r->done = done;
	r->arg = arg;
	store_body(q->store, a->id, 0, RETURN_MAX, got_original, r);
}

void
reports_end(struct queue *q)
{
	struct link *k;

	while ((k = list_first(&q->reports)) != NULL)
		destroy(CONTAINER(k, struct report, link));
}
