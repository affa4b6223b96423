/* SPDX-License-Identifier: ISC */
/*
 * import - messages of another host, over the connection of `postern queue import`.
 *
 * When the row "ev=ready" has been read, the client sends "put ID ENVELOPE BODY\n" (the
 * id as people see it, two lengths), then the two texts, and goes on with the next; a last
 * line "end". Each message has a row of its own: id, and what became of it (enum result).
 * What is here already is left as it is, and so is what has been here and gone (imported.c), unless that is asked for
 * again: then it comes under an id of its own, the same each time until it has gone as well. So that an import that was cut short can begin again
 * from the front, nothing is delivered before its end: mail comes in on hold, with a reason that
 * only an import gives, and what has this reason is released together after the last line, when
 * all of it is remembered on the disk.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/proc/control.h"
#include "lib/util/log.h"
#include "lib/util/mem.h"
#include "lib/util/time.h"
#include "queue/core.h"
#include "queue/queue.h"

enum {
	LINE_BYTES = 128,
	ENVELOPE_BYTES = 16 * 1024 * 1024,
	IN_BYTES = ENVELOPE_BYTES + 2 * 64 * 1024,
	OUT_BYTES = 64 * 1024,
	READ_BYTES = 64 * 1024,
	FLYING_MAX = 64,
	IMPORTS_MAX = 8,
	POLL_MS = 10, /* until the store says whether it takes mail */
	RETRY_MS = 100,
	RETRIES = 20,
	SAVE_MS = 5000, /* what an operator releases by hand meanwhile is remembered so soon */
	WEEK_S = 7 * 24 * 3600,
	AGAIN = 0x41, /* id_derive(): no kind of report */
};

enum result { KEPT, THERE, PAST, REFUSED, WRONG };

static const char *const results[] = {
	[KEPT] = "kept", [THERE] = "there", [PAST] = "past", [REFUSED] = "refused", [WRONG] = "wrong"};

enum want { WANT_STORE, WANT_LINE, WANT_ENVELOPE, WANT_ANSWER, WANT_BODY, WANT_NOTHING };

struct import {
	struct link       link;
	struct queue     *q;
	int               fd;
	struct watch     *watch;
	struct timer     *poll;
	struct buf        in, out, envelope;
	enum want         want;
	uint64_t          id, env_n, left; /* of the message that is coming */
	uint64_t          named; /* `id` in the archive */
	unsigned          turn;  /* how often it has been here before */
	uint64_t          size;
	struct store_put *put;    /* NULL: its octets are thrown away */
	int               spill;  /* a large body goes there; or -1 */
	enum result       result; /* of a message without `put` */
	unsigned          tries;
	struct lookup    *lookup; /* WANT_ANSWER: until the store says whether the id is there */
	struct release   *release;
	size_t            n_flying;
	struct list       flying;
	uint64_t         *waiting; /* ids that wait for the end of the import */
	size_t            n_waiting, cap;
	bool              dead, ended;
	bool              again;
	bool              remembers; /* imported_open() was called */
	struct deferred   step;
};

struct lookup {
	struct import      *import; /* NULL: it has ended meanwhile */
	uint64_t            id;
	bool                waits; /* from an import before this one */
	bool                imported; /* the same, or held by its operator */
	struct store_filter filter;
	struct store_cursor cursor;
};

struct release {
	struct import      *import; /* NULL as above */
	uint64_t           *ids;
	struct store_filter filter;
};

/* A message on its way to the disk. */
struct flight {
	struct link         link;
	struct import      *import;
	uint64_t            id;
	bool                held;
	bool                waits;   /* held until the import is over */
	bool                looking; /* the store will answer: it frees this */
	struct store_filter filter;
	struct store_cursor cursor;
};

static void
drop_put(struct import *m)
{
	if (m->spill >= 0)
		close(m->spill);
	m->spill = -1;
	if (m->put != NULL && m->q->store != NULL)
		store_abort(m->put);
	m->put = NULL;
}

static void
destroy(struct import *m)
{
	struct queue *q = m->q;
	struct link  *k;

	drop_put(m);
	if (m->remembers) {
		(void)!imported_save(&q->imported); /* else the next import finds them on hold */
		imported_close(&q->imported);
	}
	if (m->lookup != NULL)
		m->lookup->import = NULL;
	if (m->release != NULL)
		m->release->import = NULL;
	free(m->waiting);
	while ((k = list_pop(&m->flying)) != NULL) {
		struct flight *f = CONTAINER(k, struct flight, link);

		f->import = NULL;
		if (!f->looking)
			free(f);
	}
	list_remove(&q->imports, &m->link);
	loop_defer_cancel(q->loop, &m->step);
	timer_destroy(m->poll);
	watch_close(m->watch);
	close(m->fd);
	buf_free(&m->in);
	buf_free(&m->out);
	buf_free(&m->envelope);
	free(m);
	if (q->role == NULL)
		loop_stop(q->loop);
}

static void
end(struct import *m, int code, const char *text)
{
	drop_put(m);
	m->want = WANT_NOTHING;
	m->ended = true;
	control_end(&m->out, code, str_of(text));
}

static void
say(struct import *m, uint64_t id, enum result result)
{
	char       room[ID_TEXT + 3];
	struct buf text = BUF(sizeof room);

	id_format(&text, id);
	control_cell(&m->out, "id", buf_str(&text));
	control_cell(&m->out, "result", str_of(results[result]));
	control_row_end(&m->out);
	buf_free(&text);
}

static void
add_waiting(struct import *m, uint64_t id)
{
	if (m->n_waiting == m->cap) {
		m->cap = m->cap == 0 ? 256 : m->cap * 2;
		m->waiting = mem_resize(m->waiting, m->cap, sizeof *m->waiting);
	}
	m->waiting[m->n_waiting++] = id;
}

/* ---- one message ---- */

static void
log_kept(const struct import *m, const struct flight *f)
{
	struct buf id = BUF(ID_TEXT + 3);

	if (m->q->role != NULL) {
		id_format(&id, f->id);
		log_info(ev("imported"), kv("id", buf_str(&id)),
		         kv("held", f->held && !f->waits ? STR("yes") : STR("")));
	}
	buf_free(&id);
}

/* It is on the disk. */
static void
remember(struct import *m, uint64_t id)
{
	struct imported *p = &m->q->imported;

	imported_add(p, id);
	if (time_mono_ms() - p->saved_ms >= SAVE_MS)
		(void)!imported_save(p);
}

static void
land(struct flight *f, enum result result)
{
	struct import *m = f->import;

	say(m, f->id, result);
	if (result == KEPT)
		log_kept(m, f);
	if (result == KEPT && f->waits)
		add_waiting(m, f->id);
	if (result == KEPT)
		remember(m, f->id);
	list_remove(&m->flying, &f->link);
	m->n_flying--;
	loop_defer(m->q->loop, &m->step);
	free(f);
}

/* What is on hold comes without a lease, new or not: is it here? */
static bool
seen(void *arg, const struct store_row *row)
{
	struct flight *f = arg;
	bool           here = f->cursor.n > 0;

	if (row != NULL)
		return false;
	store_cursor_free(&f->cursor);
	if (f->import == NULL)
		free(f);
	else
		land(f, here ? KEPT : PAST);
	return false;
}

static void
kept(void *arg, enum store_result result, const struct store_lease *leases, size_t n)
{
	struct flight *f = arg;
	struct queue  *q = f->import->q;

	for (size_t i = 0; i < n; i++) {
		if (q->dispatch != NULL)
			dispatch_offer(q->dispatch, &leases[i]);
		else if (leases[i].fd >= 0)
			close(leases[i].fd);
	}
	if (result != STORE_OK) {
		land(f, result == STORE_BAD ? WRONG : REFUSED);
	} else if (f->held) {
		f->looking = true;
		f->filter = (struct store_filter){.exact = &f->id, .n_exact = 1};
		store_list(q->store, &f->filter, &f->cursor, seen, f);
	} else {
		/* Nothing to lease: the id had been here and is gone. */
		land(f, n > 0 ? KEPT : PAST);
	}
}

static void
see_hold(struct flight *f, struct str envelope)
{
	struct envelope e;

	if (!envelope_parse(&e, envelope))
		return;
	f->held = e.hold;
	f->waits = e.hold && str_eq(e.hold_why, STR(QUEUE_IMPORTING));
	envelope_free(&e);
}

static void
commit(struct import *m)
{
	struct flight *f = mem_zero(sizeof *f);

	f->import = m;
	f->id = m->id;
	see_hold(f, buf_str(&m->envelope));
	list_push(&m->flying, &f->link);
	m->n_flying++;
	if (m->spill >= 0)
		close(m->spill);
	m->spill = -1;
	if (!intake_put(m->q, m->put,
	                &(struct intake_mail){
				.envelope = buf_str(&m->envelope), .size = m->size, .derived = true},
	                kept, f)) {
		list_remove(&m->flying, &f->link);
		m->n_flying--;
		free(f);
		store_abort(m->put);
		say(m, m->id, WRONG);
	}
	m->put = NULL;
}

static void
refuse(struct import *m, enum result result)
{
	drop_put(m);
	m->result = result;
}

static bool
write_spill(int fd, struct str octets, uint64_t at)
{
	while (octets.n > 0) {
		ssize_t n = pwrite(fd, octets.p, octets.n, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		octets = str_skip(octets, (size_t)n);
		at += (uint64_t)n;
	}
	return true;
}

static void
take_body(struct import *m)
{
	struct str piece = str_sub(buf_str(&m->in), 0,
	                           m->left < m->in.n ? (size_t)m->left : m->in.n);

	if (m->put != NULL && m->spill >= 0 && !write_spill(m->spill, piece, m->size - m->left))
		refuse(m, REFUSED);
	else if (m->put != NULL && m->spill < 0 && !store_write(m->put, piece))
		refuse(m, REFUSED);
	m->left -= piece.n;
	buf_drop(&m->in, piece.n);
	if (m->left > 0)
		return;
	if (m->put != NULL)
		commit(m);
	else
		say(m, m->id, m->result);
	m->want = WANT_LINE;
}

static void
pass_over(struct import *m, enum result result)
{
	m->want = WANT_BODY;
	m->result = result;
	m->put = NULL;
}

static void
begin_body(struct import *m)
{
	pass_over(m, REFUSED);
	m->put = store_put(m->q->store, m->id, m->size > WIRE_INLINE_MAX ? &m->spill : NULL);
	if (m->put == NULL || m->size <= WIRE_INLINE_MAX || m->spill >= 0)
		return;
	refuse(m, REFUSED);
	/* The same id may be on its way out: no longer to be seen, but its file has that name. */
	if (m->tries++ < RETRIES) {
		m->want = WANT_ANSWER;
		timer_set(m->poll, RETRY_MS);
	}
}

static void look_up(struct import *m);

/* What is to become of the message, now that the store has said whether it is there. */
static void
choose(struct import *m, const struct lookup *l)
{
	if (l->waits)
		add_waiting(m, l->id);
	if (l->imported)
		remember(m, l->id);
	if (l->cursor.n > 0) {
		pass_over(m, THERE);
	} else if (!imported_has(&m->q->imported, l->id)) {
		begin_body(m);
	} else if (!m->again) {
		pass_over(m, PAST);
	} else {
		m->id = id_derive(m->named, ++m->turn, AGAIN);
		look_up(m);
		return;
	}
	loop_defer(m->q->loop, &m->step);
}

static bool
looked(void *arg, const struct store_row *row)
{
	struct lookup *l = arg;

	for (size_t i = 0; row != NULL && i < row->n_parts; i++) {
		const struct store_row_part *p = &row->parts[i];
		bool held = p->status == STATUS_HELD;

		l->waits = l->waits || (held && str_eq(p->why, STR(QUEUE_IMPORTING)));
		l->imported = l->imported || l->waits || (held && str_eq(p->why, STR(QUEUE_IMPORT_HOLD)));
	}
	if (row != NULL)
		return false;
	if (l->import != NULL) {
		l->import->lookup = NULL;
		choose(l->import, l);
	}
	store_cursor_free(&l->cursor);
	free(l);
	return false;
}

static void
look_up(struct import *m)
{
	struct lookup *l = mem_zero(sizeof *l);

	l->import = m;
	l->id = m->id;
	l->filter = (struct store_filter){.exact = &l->id, .n_exact = 1};
	m->lookup = l;
	m->want = WANT_ANSWER;
	store_list(m->q->store, &l->filter, &l->cursor, looked, l);
}

static void
take_envelope(struct import *m)
{
	struct envelope e;

	buf_clear(&m->envelope);
	buf_add(&m->envelope, str_sub(buf_str(&m->in), 0, (size_t)m->env_n));
	buf_drop(&m->in, (size_t)m->env_n);
	if (!envelope_parse(&e, buf_str(&m->envelope))) {
		m->want = WANT_BODY;
		m->result = WRONG;
		return;
	}
	envelope_free(&e);
	m->tries = m->turn = 0;
	m->named = m->id;
	look_up(m);
}

static void
take_line(struct import *m)
{
	struct str in = buf_str(&m->in), line, word;
	ptrdiff_t  at = str_find(str_sub(in, 0, LINE_BYTES), '\n');

	if (at < 0 && in.n >= LINE_BYTES)
		end(m, 1, "this is not the language of an import");
	if (at < 0)
		return;
	line = str_sub(in, 0, (size_t)at);
	word = str_word(&line);
	if (str_eq(word, STR("end")))
		m->want = WANT_NOTHING;
	else if (!str_eq(word, STR("put")) || !id_parse(str_word(&line), &m->id) || m->id == 0 ||
	         !str_number(str_word(&line), ENVELOPE_BYTES, &m->env_n) ||
	         !str_number(str_word(&line), UINT32_MAX - 1, &m->size) || m->size == 0)
		end(m, 1, "this is not the language of an import");
	else
		m->want = WANT_ENVELOPE;
	m->left = m->size;
	buf_drop(&m->in, (size_t)at + 1);
}

/* ---- the end: all of them may go ---- */

static void
released(void *arg, enum store_result result, size_t n)
{
	struct release *l = arg;
	struct import  *m = l->import;

	(void)n;
	free(l->ids);
	free(l);
	if (m == NULL)
		return;
	m->release = NULL;
	end(m, result == STORE_OK ? 0 : 75,
	    result == STORE_OK ? "" : "what was imported could not be released");
	loop_defer(m->q->loop, &m->step);
}

static void
release(struct import *m)
{
	struct release *l;

	if (!imported_save(&m->q->imported)) {
		end(m, 75, "what was imported could not be written into the spool's file `imported`: it stays on hold");
		return;
	}
	if (m->n_waiting == 0) {
		end(m, 0, "");
		return;
	}
	l = mem_zero(sizeof *l);
	l->import = m;
	l->ids = m->waiting;
	l->filter = (struct store_filter){.exact = l->ids, .n_exact = m->n_waiting};
	m->waiting = NULL;
	m->n_waiting = m->cap = 0;
	m->release = l;
	store_act(m->q->store, &l->filter, ACT_RELEASE, released, l);
}

/* ---- the connection ---- */

static bool
write_out(struct import *m)
{
	while (m->out.n > 0) {
		ssize_t n = send(m->fd, m->out.p, m->out.n, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return true;
		if (n <= 0)
			return false;
		buf_drop(&m->out, (size_t)n);
	}
	return true;
}

/* Use what has come; false: more is needed, or something else must happen first. */
static bool
take(struct import *m)
{
	if (m->n_flying >= FLYING_MAX || m->in.n == 0)
		return false;
	switch (m->want) {
	case WANT_LINE:
		take_line(m);
		return m->want == WANT_ENVELOPE;
	case WANT_ENVELOPE:
		if (m->in.n < m->env_n)
			return false;
		take_envelope(m);
		return true;
	case WANT_BODY:
		take_body(m);
		return true;
	case WANT_STORE:
	case WANT_ANSWER:
	case WANT_NOTHING:
		break;
	}
	return false;
}

static void
step(void *arg)
{
	struct import *m = arg;
	bool           reads;

	while (!m->dead && take(m))
		;
	if (m->want == WANT_NOTHING && !m->ended && m->n_flying == 0 && m->release == NULL)
		release(m);
	if (!m->dead && (m->out.over || !write_out(m)))
		m->dead = true;
	if (m->n_flying > 0 || m->want == WANT_ANSWER || m->release != NULL)
		reads = !m->dead && m->want != WANT_ANSWER && m->release == NULL &&
		        m->n_flying < FLYING_MAX;
	else if (m->dead || (m->ended && m->out.n == 0)) {
		destroy(m);
		return;
	} else
		reads = !m->ended;
	watch_set(m->watch,
	          (reads ? WATCH_READ : 0u) | (m->out.n > 0 && !m->dead ? WATCH_WRITE : 0u));
}

static void
on_socket(void *arg, unsigned what)
{
	struct import *m = arg;
	char          *room;
	ssize_t        n;

	if ((what & WATCH_READ) != 0) {
		room = buf_room(&m->in, READ_BYTES);
		n = room == NULL ? 0 : recv(m->fd, room, READ_BYTES, 0);
		if (n > 0)
			buf_commit(&m->in, (size_t)n);
		else if (n == 0 || (errno != EAGAIN && errno != EINTR))
			m->dead = true;
	}
	step(m);
}

/* Since when imports are remembered: what came then has been tried until it expired. */
static int64_t
since_s(const struct queue *q)
{
	if (q->config == NULL)
		return 0; /* offline: the next time */
	return time_wall_ms() / 1000 - q->config->expire_ms / 1000 - WEEK_S;
}

static void
begin(void *arg)
{
	struct import *m = arg;

	if (m->want == WANT_ANSWER) {
		look_up(m);
		return;
	}
	if (!m->q->ready) {
		timer_set(m->poll, POLL_MS);
		return;
	}
	if (m->q->imports.n > IMPORTS_MAX) {
		end(m, 75, "there are imports enough under way");
	} else if (m->q->state != STORE_OPEN) {
		end(m, 75, m->q->state_why);
	} else if (!imported_open(&m->q->imported, m->q->dirfd, since_s(m->q))) {
		end(m, 75, "the spool's file `imported` cannot be used, so copies might be sent: see that it can be read and written");
	} else {
		m->remembers = true;
		control_cell(&m->out, "ev", STR("ready"));
		control_row_end(&m->out);
		m->want = WANT_LINE;
	}
	step(m);
}

void
import_start(struct queue *q, int fd, bool again)
{
	struct import *m = mem_zero(sizeof *m);

	(void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	m->q = q;
	m->fd = fd;
	m->again = again;
	m->spill = -1;
	m->in = BUF(IN_BYTES);
	m->out = BUF(OUT_BYTES);
	m->envelope = BUF(ENVELOPE_BYTES);
	list_init(&m->flying);
	m->step = (struct deferred){.fn = step, .arg = m};
	m->watch = watch_open(q->loop, fd, on_socket, m);
	m->poll = timer_create_on(q->loop, begin, m);
	timer_set(m->poll, 0);
	list_push(&q->imports, &m->link);
}

void
imports_end(struct queue *q)
{
	struct import *m;

	LIST_EACH(&q->imports, m, struct import, link)
		destroy(m);
}
