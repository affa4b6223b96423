/* SPDX-License-Identifier: ISC */
/*
 * request - one command of an administrator, answered on its own connection.
 *
 * The same code serves the running role and the offline command. Rows wait
 * for the reader: a page of the listing is only asked for once the last one
 * has been written.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/mail/address.h"
#include "lib/proc/control.h"
#include "lib/util/log.h"
#include "lib/util/mem.h"
#include "lib/util/time.h"
#include "queue/core.h"

enum {
	OUT_MAX = 4 * 1024 * 1024,
	PAGE_BYTES = 64 * 1024,
	IDS_MAX = 4096,
	EXPORT_ENVELOPE = 256 * 1024, /* a cell must hold it, escaped */
	EXIT_OK = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
	EXIT_NOTHING = 3,
	EXIT_NO_DAEMON = 69,
	EXIT_AGAIN = 75,
};

struct request {
	struct link         link;
	struct queue       *q;
	int                 fd;
	struct watch       *watch;
	struct buf          out;
	size_t              written;
	struct buf          words; /* all words of the line, never moved */
	struct str          ids[IDS_MAX];
	struct store_filter filter;
	struct store_cursor cursor;
	struct buf          lane;
	enum store_action   action;
	const char         *verb;
	size_t              limit, shown;
	bool                all, dry_run, show, export;
	bool                busy;     /* the store will call back */
	bool                ended;    /* all is in `out` */
	bool                dead;     /* the reader is gone */
	bool                body_wanted; /* export: of the message listed last */
	bool                watching; /* rows come with each outcome, until the reader goes */
	int                 body_fd;
	uint64_t            body_left, body_at;
	struct deferred     step;
};

/* ---- life ---- */

static void
destroy(struct request *r)
{
	struct queue *q = r->q;

	list_remove(&q->requests, &r->link);
	q->n_watchers -= r->watching;
	loop_defer_cancel(q->loop, &r->step);
	watch_close(r->watch);
	close(r->fd);
	if (r->body_fd >= 0)
		close(r->body_fd);
	buf_free(&r->out);
	buf_free(&r->words);
	buf_free(&r->lane);
	store_cursor_free(&r->cursor);
	free(r);
	if (q->role == NULL)
		loop_stop(q->loop);
}

void
requests_end(struct queue *q)
{
	struct link *k;

	while ((k = list_first(&q->requests)) != NULL)
		destroy(CONTAINER(k, struct request, link));
}

static void
end(struct request *r, int code, const char *text)
{
	control_end(&r->out, code, str_of(text));
	r->ended = true;
}

static void next_body(struct request *r);
static void next_page(struct request *r);
static void next_piece(struct request *r);

static bool
write_out(struct request *r)
{
	while (r->written < r->out.n) {
		ssize_t n = send(r->fd, r->out.p + r->written, r->out.n - r->written, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return true;
		if (n <= 0)
			return false;
		r->written += (size_t)n;
	}
	buf_clear(&r->out);
	r->written = 0;
	return true;
}

/* After every change: write, then ask for more, wait or finish. */
static void
step(void *arg)
{
	struct request *r = arg;

	if (!r->dead && !write_out(r))
		r->dead = true;
	if (r->busy)
		return;
	if (r->dead || (r->ended && r->out.n == 0)) {
		destroy(r);
		return;
	}
	watch_set(r->watch, (r->out.n > 0 ? WATCH_WRITE : 0u) | (r->watching ? WATCH_READ : 0u));
	if (r->out.n > 0 || r->ended || r->watching)
		return;
	if (r->body_fd >= 0)
		next_piece(r);
	else
		next_page(r);
}

static void
step_soon(struct request *r)
{
	loop_defer(r->q->loop, &r->step);
}

/* Readable: a watcher has nothing more to say, so it has gone. */
static void
on_socket(void *arg, unsigned what)
{
	struct request *r = arg;

	if ((what & WATCH_READ) != 0)
		r->dead = true;
	step(r);
}

/* ---- rows ---- */

static const char *
row_state(const struct request *r, const struct store_row_part *p, int64_t *due_ms, struct str *why)
{
	struct str lane_why;
	int64_t    rest = p->status == STATUS_READY
	                          ? dispatch_lane_rest(r->q->dispatch, p->lane, &lane_why)
	                          : 0;

	*due_ms = p->due_ms;
	*why = p->why;
	for (size_t i = 0; i < p->n_rcpts && why->n == 0; i++)
		if (p->rcpts[i].state == RCPT_WAIT || p->n_rcpts == 1)
			*why = p->rcpts[i].reply;
	if (p->status == STATUS_READY && pauses_has(&r->q->pauses, p->lane)) {
		if (why->n == 0)
			*why = STR("paused");
		return "paused";
	}
	if (rest == 0)
		return store_status_name(p->status);
	*due_ms = rest;
	if (why->n == 0)
		*why = lane_why;
	return store_status_name(STATUS_DEFERRED);
}

/* The part that says most about the message: what waits longest for a person comes first. */
static const struct store_row_part *
leading_part(const struct store_row *row)
{
	const struct store_row_part *best = &row->parts[0];

	for (size_t i = 1; i < row->n_parts; i++)
		if (best->status == STATUS_DONE ||
		    (row->parts[i].status != STATUS_DONE && row->parts[i].status > best->status))
			best = &row->parts[i];
	return best;
}

static void
id_cell(struct buf *out, const char *key, uint64_t id)
{
	struct buf text = BUF(ID_TEXT + 3);

	id_format(&text, id);
	control_cell(out, key, buf_str(&text));
	buf_free(&text);
}

static void
list_row(struct request *r, const struct store_row *row, const struct envelope *e)
{
	const struct store_row_part *p = leading_part(row);
	struct buf                   to = BUF(1024);
	struct str                   why;
	int64_t                      due_ms, now = time_wall_ms();
	const char                  *state = row_state(r, p, &due_ms, &why);
	size_t                       first = p->n_rcpts > 0 ? p->rcpts[0].index : 0;

	if (first < e->n_rcpts)
		buf_add(&to, e->rcpts[first].to);
	if (e->n_rcpts > 1)
		buf_addf(&to, " +%zu", e->n_rcpts - 1);
	id_cell(&r->out, "id", row->id);
	control_cell_int(&r->out, "age_ms", now - row->accepted_ms);
	control_cell_int(&r->out, "size", (int64_t)row->size);
	control_cell(&r->out, "from",
	             row->envelope.n == 0 ? STR("?")
	             : e->from.n > 0      ? e->from
	                                  : STR("<>"));
	control_cell(&r->out, "to", buf_str(&to));
	control_cell_int(&r->out, "rcpts", (int64_t)e->n_rcpts);
	control_cell(&r->out, "state", row->damaged ? STR("damaged") : str_of(state));
	control_cell_int(&r->out, "next_ms", due_ms > now ? due_ms - now : 0);
	control_cell_int(&r->out, "tries", p->tries);
	control_cell(&r->out, "why", why);
	control_cell_int(&r->out, "accepted_ms", row->accepted_ms);
	control_row_end(&r->out);
	buf_free(&to);
}

static void
show_rcpt(struct request *r, const struct envelope *e, const struct store_row_part *p,
          const struct store_rcpt *rc)
{
	static const char *const names[] = {
		[RCPT_WAIT] = "waits", [RCPT_SENT] = "delivered", [RCPT_FAILED] = "failed"};
	struct str  why;
	int64_t     due_ms, now = time_wall_ms();
	const char *state = row_state(r, p, &due_ms, &why);

	control_cell(&r->out, "kind", STR("rcpt"));
	control_cell_int(&r->out, "rcpt", rc->index);
	control_cell(&r->out, "to", rc->index < e->n_rcpts ? e->rcpts[rc->index].to : STR("?"));
	control_cell(&r->out, "lane", p->lane);
	control_cell(&r->out, "state",
	             rc->state == RCPT_WAIT ? str_of(state) : str_of(names[rc->state]));
	control_cell_int(&r->out, "tries", p->tries);
	control_cell_int(&r->out, "next_ms",
	                 rc->state == RCPT_WAIT && due_ms > now ? due_ms - now : 0);
	control_cell(&r->out, "reply", rc->reply.n > 0 || rc->state != RCPT_WAIT ? rc->reply : why);
	control_row_end(&r->out);
}

static void
show_row(struct request *r, const struct store_row *row, const struct envelope *e)
{
	control_cell(&r->out, "kind", STR("message"));
	id_cell(&r->out, "id", row->id);
	control_cell_int(&r->out, "age_ms", time_wall_ms() - row->accepted_ms);
	control_cell_int(&r->out, "accepted_ms", row->accepted_ms);
	control_cell_int(&r->out, "size", (int64_t)row->size);
	control_cell(&r->out, "from", e->from.n > 0 ? e->from : STR("<>"));
	control_cell_int(&r->out, "rcpts", (int64_t)e->n_rcpts);
	control_cell(&r->out, "message_id", e->msgid);
	control_cell(&r->out, "client", e->client);
	control_cell(&r->out, "helo", e->helo);
	control_cell(&r->out, "login", e->login);
	control_cell(&r->out, "proto", e->proto);
	control_cell(&r->out, "header_from", e->header_from);
	control_cell(&r->out, "envid", e->envid);
	control_cell(&r->out, "parent", e->parent);
	control_row_end(&r->out);
	for (size_t i = 0; i < row->n_parts; i++)
		for (size_t k = 0; k < row->parts[i].n_rcpts; k++)
			show_rcpt(r, e, &row->parts[i], &row->parts[i].rcpts[k]);
}

/* A message for another host: what is known of it; its body follows unless it is gone by then. */
static void
export_row(struct request *r, const struct store_row *row, const struct envelope *e)
{
	bool fits = row->envelope.n <= EXPORT_ENVELOPE;

	control_cell(&r->out, "kind", STR("export"));
	id_cell(&r->out, "id", row->id);
	control_cell_int(&r->out, "at", (int64_t)r->cursor.seen);
	control_cell_int(&r->out, "of",
	                 (int64_t)(r->filter.n_ids > 0                   ? r->cursor.n
	                           : r->cursor.seen > r->cursor.total ? r->cursor.seen
	                                                              : r->cursor.total));
	control_cell_int(&r->out, "size", (int64_t)row->size);
	control_cell(&r->out, "envelope", fits ? row->envelope : STR_NONE);
	control_row_end(&r->out);
	for (size_t i = 0; i < row->n_parts; i++)
		for (size_t k = 0; k < row->parts[i].n_rcpts && fits; k++)
			show_rcpt(r, e, &row->parts[i], &row->parts[i].rcpts[k]);
	r->body_at = row->id;
	r->body_wanted = true;
}

static void
finish_list(struct request *r)
{
	if (r->cursor.ambiguous)
		end(r, EXIT_FAILED,
		    "more than one message has an id that begins so; give more of its letters");
	else if (r->shown == 0)
		end(r, EXIT_NOTHING,
		    r->filter.n_ids > 0 ? "there is no message with this id"
		                        : "no message matches");
	else
		end(r, EXIT_OK, "");
}

static bool
on_row(void *arg, const struct store_row *row)
{
	struct request *r = arg;
	struct envelope e = {0};

	if (row == NULL) {
		r->busy = false;
		if (r->body_wanted)
			next_body(r);
		else if (r->cursor.end || r->shown == r->limit)
			finish_list(r);
		step_soon(r);
		return false;
	}
	if (row->envelope.n > 0 && !envelope_parse(&e, row->envelope))
		e = (struct envelope){0};
	r->shown++;
	if (r->export)
		export_row(r, row, &e);
	else if (r->show)
		show_row(r, row, &e);
	else
		list_row(r, row, &e);
	envelope_free(&e);
	return !r->dead && !r->export && r->shown < r->limit && r->out.n < PAGE_BYTES;
}

static void
next_page(struct request *r)
{
	r->busy = true;
	store_list(r->q->store, &r->filter, &r->cursor, on_row, r);
}

/* ---- bodies: cat and export ---- */

/* An export goes on with the next message. */
static void
end_body(struct request *r)
{
	if (!r->export)
		end(r, EXIT_OK, "");
	else if (r->cursor.end || r->shown == r->limit)
		finish_list(r);
}

static void
next_piece(struct request *r)
{
	char    piece[16 * 1024];
	ssize_t n = pread(r->body_fd, piece, sizeof piece, (off_t)r->body_at);

	if (n <= 0) {
		r->dead = true; /* the promised length cannot be kept */
	} else {
		buf_add(&r->out, (struct str){piece, (size_t)n});
		r->body_at += (uint64_t)n;
		r->body_left -= (uint64_t)n;
	}
	if (r->body_left == 0 || n <= 0) {
		close(r->body_fd);
		r->body_fd = -1;
		end_body(r);
	}
	step_soon(r);
}

static void
on_body(void *arg, const struct store_chunk *chunk)
{
	struct request *r = arg;

	r->busy = false;
	step_soon(r);
	if (chunk == NULL && r->export) {
		control_cell(&r->out, "kind", STR("gone"));
		control_row_end(&r->out);
		end_body(r);
		return;
	}
	if (chunk == NULL) {
		end(r, EXIT_FAILED, "the message is damaged: its body cannot be read whole");
		return;
	}
	buf_addf(&r->out, "raw %llu\n", (unsigned long long)chunk->size);
	if (chunk->fd >= 0 && chunk->size > 0) {
		r->body_fd = chunk->fd;
		r->body_left = chunk->size;
		r->body_at = 0;
		return;
	}
	if (chunk->fd >= 0)
		close(chunk->fd);
	buf_add(&r->out, chunk->body);
	end_body(r);
}

static void
next_body(struct request *r)
{
	r->busy = true;
	r->body_wanted = false;
	store_body(r->q->store, r->body_at, 0, OUT_MAX, on_body, r);
}

/* The one message that the words name: its id comes from a listing. */
static bool
on_cat_row(void *arg, const struct store_row *row)
{
	struct request *r = arg;

	if (row != NULL) {
		r->body_at = row->id;
		r->shown++;
		return false;
	}
	if (r->shown == 0 && !r->cursor.end) {
		store_list(r->q->store, &r->filter, &r->cursor, on_cat_row, r);
		return false;
	}
	if (r->shown == 0 || r->cursor.ambiguous) {
		r->busy = false;
		finish_list(r);
		step_soon(r);
		return false;
	}
	next_body(r);
	return false;
}

static void
cat(struct request *r)
{
	r->busy = true;
	store_list(r->q->store, &r->filter, &r->cursor, on_cat_row, r);
}

/* ---- actions ---- */

static void
acted(void *arg, enum store_result result, size_t n)
{
	struct request *r = arg;
	struct buf      text = BUF(256);

	r->busy = false;
	step_soon(r);
	if (result == STORE_BAD) {
		end(r, EXIT_FAILED,
		    "more than one message has an id that begins so; give more of its letters");
		return;
	}
	if (n == 0) {
		end(r, EXIT_NOTHING, "no message matches");
		return;
	}
	buf_addf(&text, "%zu message%s %s%s", n, n == 1 ? "" : "s", r->dry_run ? "would be " : "",
	         r->verb);
	if (!r->dry_run && r->action == ACT_RETRY && r->q->dispatch != NULL)
		dispatch_retry(r->q->dispatch, r->filter.lane);
	if (!r->dry_run)
		log_info(ev("queue-command"), kv("msg", buf_str(&text)));
	end(r, EXIT_OK, buf_z(&text));
	buf_free(&text);
}

static void
act(struct request *r)
{
	r->busy = true;
	store_act(r->q->store, &r->filter, r->dry_run ? ACT_COUNT : r->action, acted, r);
}

static void
set_pause(struct request *r, struct str lane, bool paused)
{
	struct queue *q = r->q;
	struct buf    text = BUF(512);
	bool          saved, changed;

	if (lane.n > 0 && !domain_canonical(&r->lane, lane)) {
		end(r, EXIT_USAGE, "that is no domain name");
		return;
	}
	changed = pauses_set(&q->pauses, buf_str(&r->lane), paused, &saved);
	buf_addz(&text, "deliveries");
	if (lane.n > 0) {
		buf_addz(&text, " to ");
		buf_add(&text, buf_str(&r->lane));
	}
	buf_addf(&text, " %s %s", changed ? "are" : "were already", paused ? "paused" : "going on");
	if (!saved)
		buf_addz(&text,
		         ", but this could not be written to the spool and ends with a restart");
	log_info(ev(paused ? "pause" : "resume"),
	         kv("dom", lane.n > 0 ? buf_str(&r->lane) : STR("*")));
	dispatch_resumed(q->dispatch);
	end(r, saved ? EXIT_OK : EXIT_FAILED, buf_z(&text));
	buf_free(&text);
}

/* ---- the line ---- */

static bool
set_status(struct request *r, struct str value)
{
	for (int i = STATUS_READY; i <= STATUS_DAMAGED; i++)
		if (str_eq(value, str_of(store_status_name((enum store_status)i)))) {
			r->filter.status = (enum store_status)i;
			return true;
		}
	return false;
}

static const char *
set_option(struct request *r, struct str name, struct str value)
{
	uint64_t n;
	int64_t  ms;

	if (str_eq(name, STR("--domain"))) {
		if (!domain_canonical(&r->lane, value))
			return "--domain: that is no domain name";
		r->filter.lane = buf_str(&r->lane);
	} else if (str_eq(name, STR("--from"))) {
		r->filter.from = value;
	} else if (str_eq(name, STR("--to"))) {
		r->filter.to = value;
	} else if (str_eq(name, STR("--older-than"))) {
		if (!time_parse_span(value, &ms))
			return "--older-than: a time like 30m, 2h or 5d is expected";
		r->filter.older_ms = time_wall_ms() - ms;
	} else if (str_eq(name, STR("--status"))) {
		if (!set_status(r, value))
			return "--status: one of ready, active, deferred, held, damaged is expected";
	} else if (str_eq(name, STR("--limit"))) {
		if (!str_number(value, SIZE_MAX, &n) || n == 0)
			return "--limit: a number is expected";
		r->limit = (size_t)n;
	} else {
		return "unknown option";
	}
	return NULL;
}

static struct str
keep_word(struct request *r, struct str word)
{
	size_t at = r->words.n;

	buf_add(&r->words, word);
	return (struct str){r->words.p + at, r->words.n - at};
}

static bool
is_switch(struct request *r, struct str word)
{
	if (str_eq(word, STR("--all")))
		r->all = true;
	else if (str_eq(word, STR("--dry-run")))
		r->dry_run = true;
	else if (str_eq(word, STR("--damaged")))
		r->filter.status = STATUS_DAMAGED;
	else
		return false;
	return true;
}

/* Options and ids of a `queue` line; NULL or what is wrong. */
static const char *
parse_rest(struct request *r, struct str rest)
{
	struct buf  scratch = BUF(CONTROL_REQUEST_MAX);
	struct str  word, name;
	const char *wrong = NULL;

	r->filter.ids = r->ids;
	while (wrong == NULL && control_word(&rest, &scratch, &word)) {
		ptrdiff_t eq = str_find(word, '=');

		if (is_switch(r, word))
			continue;
		if (!str_starts(word, STR("--"))) {
			if (r->filter.n_ids == IDS_MAX || word.n > ID_TEXT || word.n == 0)
				wrong = "that is no id";
			else
				r->ids[r->filter.n_ids++] = keep_word(r, word);
			continue;
		}
		word = keep_word(r, word);
		name = eq >= 0 ? str_sub(word, 0, (size_t)eq) : word;
		if (eq >= 0)
			wrong = set_option(r, name, str_skip(word, (size_t)eq + 1));
		else if (control_word(&rest, &scratch, &word))
			wrong = set_option(r, name, keep_word(r, word));
		else
			wrong = "a value is missing at the end";
	}
	buf_free(&scratch);
	return wrong;
}

static bool
is_bounded(const struct request *r)
{
	const struct store_filter *f = &r->filter;

	return r->all || f->n_ids > 0 || f->lane.n > 0 || f->from.n > 0 || f->to.n > 0 ||
	       f->older_ms != 0 || f->status != STATUS_ANY;
}

/* ---- watch ---- */

static void
watch(struct request *r)
{
	r->watching = true;
	r->q->n_watchers++;
	control_cell(&r->out, "ev", STR("watching"));
	control_row_end(&r->out);
}

static void
tell(struct request *r, const struct kv *fields)
{
	for (; fields->key != NULL; fields++)
		if (fields->kind == KV_STR)
			control_cell(&r->out, fields->key, fields->text);
		else
			control_cell_int(&r->out, fields->key, fields->number);
	control_row_end(&r->out);
	step_soon(r);
}

void
requests_tell(struct queue *q, const struct kv *fields)
{
	struct request *r;

	LIST_EACH(&q->requests, r, struct request, link)
		/* Who does not keep up with reading misses rows, not the queue its memory. */
		if (r->watching && r->out.n < PAGE_BYTES)
			tell(r, fields);
}

enum what { WHAT_LIST, WHAT_SHOW, WHAT_CAT, WHAT_EXPORT, WHAT_ACT, WHAT_WATCH };

static const struct {
	struct str        name;
	enum what         what;
	enum store_action action;
	const char       *done;
} verbs[] = {
	{{"list", 4}, WHAT_LIST, ACT_COUNT, ""},
	{{"show", 4}, WHAT_SHOW, ACT_COUNT, ""},
	{{"cat", 3}, WHAT_CAT, ACT_COUNT, ""},
	{{"export", 6}, WHAT_EXPORT, ACT_COUNT, ""},
	{{"retry", 5}, WHAT_ACT, ACT_RETRY, "tried again now"},
	{{"delete", 6}, WHAT_ACT, ACT_DELETE, "deleted"},
	{{"hold", 4}, WHAT_ACT, ACT_HOLD, "put on hold"},
	{{"release", 7}, WHAT_ACT, ACT_RELEASE, "released"},
	{{"watch", 5}, WHAT_WATCH, ACT_COUNT, ""},
};

static void
run_verb(struct request *r, size_t i)
{
	r->action = verbs[i].action;
	r->verb = verbs[i].done;
	r->show = verbs[i].what == WHAT_SHOW;
	r->export = verbs[i].what == WHAT_EXPORT;
	if ((verbs[i].what == WHAT_SHOW || verbs[i].what == WHAT_CAT) && r->filter.n_ids != 1)
		end(r, EXIT_USAGE, "one id is expected");
	else if (verbs[i].what >= WHAT_ACT && r->q->role == NULL)
		end(r, EXIT_NO_DAEMON, "the daemon is not running: start it with `postern run`");
	else if (verbs[i].what == WHAT_ACT && !is_bounded(r))
		end(r, EXIT_USAGE, "say which: ids, a filter like --domain example.net, or --all");
	else if (verbs[i].what == WHAT_ACT)
		act(r);
	else if (verbs[i].what == WHAT_CAT)
		cat(r);
	else if (verbs[i].what == WHAT_WATCH)
		watch(r);
}

static void
run_queue(struct request *r, struct str rest)
{
	struct buf  scratch = BUF(CONTROL_REQUEST_MAX);
	struct str  word = STR("list");
	const char *wrong;
	size_t      i;

	(void)control_word(&rest, &scratch, &word);
	for (i = 0; i < ARRAY_LEN(verbs) && !str_eq(word, verbs[i].name); i++)
		;
	buf_free(&scratch);
	if (i == ARRAY_LEN(verbs))
		end(r, EXIT_USAGE,
		    "list, show, cat, watch, retry, delete, hold or release is expected after `queue`");
	else if ((wrong = parse_rest(r, rest)) != NULL)
		end(r, EXIT_USAGE, wrong);
	else
		run_verb(r, i);
}

static void
run(struct request *r, struct str line)
{
	struct buf scratch = BUF(CONTROL_REQUEST_MAX);
	struct str word = STR_NONE, lane = STR_NONE;
	bool       pause;

	(void)control_word(&line, &scratch, &word);
	pause = str_eq(word, STR("pause"));
	if (r->q->store == NULL || r->q->closing) {
		end(r, EXIT_AGAIN, "the queue is not ready; try again in a moment");
	} else if (str_eq(word, STR("queue"))) {
		run_queue(r, line);
	} else if (pause || str_eq(word, STR("resume"))) {
		(void)control_word(&line, &scratch, &lane);
		set_pause(r, lane, pause);
	} else {
		end(r, EXIT_USAGE, "the queue does not know this command");
	}
	buf_free(&scratch);
}

void
request_start(struct queue *q, struct str line, int fd)
{
	struct request *r;
	int             flags = fcntl(fd, F_GETFL);
	bool            again = str_eq(str_trim(line), STR("queue put again"));

	if ((again || str_eq(str_trim(line), STR("queue put"))) && q->store != NULL && !q->closing) {
		import_start(q, fd, again);
		return;
	}
	r = mem_zero(sizeof *r);
	(void)fcntl(fd, F_SETFL, flags | O_NONBLOCK);
	r->q = q;
	r->fd = fd;
	r->body_fd = -1;
	r->limit = SIZE_MAX;
	r->out = BUF(OUT_MAX);
	r->lane = BUF(DOMAIN_MAX + 16);
	r->words = BUF(line.n + 1);
	(void)buf_room(&r->words, line.n + 1);
	r->step = (struct deferred){.fn = step, .arg = r};
	r->watch = watch_open(q->loop, fd, on_socket, r);
	list_push(&q->requests, &r->link);
	run(r, line);
	step_soon(r);
}
