/* SPDX-License-Identifier: ISC */
#include "tests/unit/queue/store_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/mail/ids.h"
#include "lib/util/mem.h"
#include "lib/util/time.h"
#include "queue/disk.h"

enum { WAIT_MS = 120 * 1000 };

/* ---- the loop ---- */

static void
stop(void *arg)
{
	loop_stop(arg);
}

void
rig_turn(struct rig *r, int ms)
{
	struct timer *t = timer_create_on(r->loop, stop, r->loop);

	timer_set(t, ms);
	loop_run(r->loop);
	timer_destroy(t);
}

void
rig_wait(struct rig *r)
{
	int64_t end = time_mono_ms() + WAIT_MS;

	while (!r->done) {
		assert_true(time_mono_ms() < end);
		rig_turn(r, 1);
	}
}

void
rig_idle(struct rig *r)
{
	const struct disk *d = CONTAINER(r->store, struct disk, base);
	int64_t            end = time_mono_ms() + WAIT_MS;

	do
		rig_turn(r, 5);
	while ((!log_idle(d) || d->n_jobs > 0) && time_mono_ms() < end);
}

/* ---- events ---- */

static void
copy(char *to, size_t size, struct str s)
{
	size_t n = s.n < size - 1 ? s.n : size - 1;

	if (n > 0)
		memcpy(to, s.p, n);
	to[n] = '\0';
}

static void
on_work(void *arg, struct str lane, int64_t due_ms)
{
	struct rig *r = arg;

	r->works++;
	copy(r->last_work, sizeof r->last_work, lane);
	if (r->on_work != NULL)
		r->on_work(arg, lane, due_ms);
}

static void
on_room(void *arg)
{
	(void)arg;
}

static void
on_state(void *arg, enum store_state state, const char *why)
{
	struct rig *r = arg;

	(void)why;
	r->state = (int)state;
}

static void
on_change(void *arg, uint64_t id, const char *what, struct str why)
{
	struct rig *r = arg;

	(void)id;
	(void)why;
	r->changes++;
	snprintf(r->last_change, sizeof r->last_change, "%s", what);
}

static const struct store_events events = {
	.work = on_work,
	.room = on_room,
	.state = on_state,
	.change = on_change,
};

/* ---- life ---- */

void
rig_init(struct rig *r)
{
	memset(r, 0, sizeof *r);
	snprintf(r->dir, sizeof r->dir, "/tmp/test_store.XXXXXX");
	assert_non_null(mkdtemp(r->dir));
	r->kind = &rig_kinds[0];
	r->segment_bytes = 4 * 1024 * 1024;
	r->text = BUF(16 * 1024 * 1024);
}

static struct store *
open_disk(struct rig *r, struct buf *why)
{
	return store_disk_open(
		&(struct store_disk_conf){
			.loop = r->loop,
			.dirfd = open(r->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC),
			.segment_bytes = r->segment_bytes,
			.io = r->io,
			.read_only = r->read_only,
			.lease_ms = r->lease_ms,
			.warm_bytes = r->warm_bytes,
			.slack_bytes = r->slack_bytes,
		},
		&events, r, why);
}

void
rig_open(struct rig *r)
{
	struct buf why = BUF(512);

	r->loop = loop_create();
	r->state = -1;
	r->store = r->kind->open(r, &why);
	if (r->store == NULL)
		print_error("%s\n", buf_z(&why));
	assert_non_null(r->store);
	buf_free(&why);
	while (r->state < 0 && !r->read_only)
		rig_turn(r, 1);
}

static void
closed(void *arg)
{
	((struct rig *)arg)->done = true;
}

void
rig_close(struct rig *r)
{
	r->done = false;
	store_close(r->store, closed, r);
	rig_wait(r);
	r->store = NULL;
	loop_destroy(r->loop);
	r->loop = NULL;
}

static void
shell(const char *a, const char *b, const char *c, const char *d)
{
	pid_t pid = fork();
	int   status;

	if (pid == 0) {
		execlp(a, a, b, c, d, (char *)NULL);
		_exit(127);
	}
	waitpid(pid, &status, 0);
	assert_int_equal(status, 0);
}

/* The copy is taken first, then the old store may write to the old directory what it likes. */
static void
crash_disk(struct rig *r)
{
	char copy[64 + 8];

	snprintf(copy, sizeof copy, "%s.x", r->dir);
	shell("cp", "-a", r->dir, copy);
	rig_close(r);
	shell("rm", "-rf", r->dir, NULL);
	assert_int_equal(rename(copy, r->dir), 0);
}

const struct rig_kind rig_kinds[] = {
	{"disk", open_disk, crash_disk},
	{NULL, NULL, NULL},
};

void
rig_crash(struct rig *r)
{
	r->kind->crash(r);
}

void
rig_free(struct rig *r)
{
	if (r->store != NULL)
		rig_close(r);
	shell("rm", "-rf", r->dir, NULL);
	buf_free(&r->text);
}

/* ---- operations ---- */

static void
keep(struct rig *r, const struct store_lease *l)
{
	struct rig_lease *to = &r->leases[r->n_leases];

	if (r->n_leases == RIG_LEASES)
		return;
	r->n_leases++;
	memset(to, 0, sizeof *to);
	to->id = l->id;
	to->part = l->part;
	to->token = l->token;
	to->tries = l->tries;
	to->noticed = l->noticed;
	to->size = l->size;
	to->n_rcpts = l->n_rcpts;
	for (size_t i = 0; i < l->n_rcpts && i < 8; i++)
		to->rcpts[i] = l->rcpts[i].index;
	copy(to->lane, sizeof to->lane, l->lane);
	if (l->n_rcpts > 0)
		copy(to->reply, sizeof to->reply, l->rcpts[0].reply);
	copy(to->body, sizeof to->body, l->body);
	to->fd = l->fd;
	if (l->fd >= 0) {
		ssize_t n = pread(l->fd, to->body, sizeof to->body - 1, 0);

		to->body[n < 0 ? 0 : n] = '\0';
		close(l->fd);
	}
}

static void
committed(void *arg, enum store_result result, const struct store_lease *leases, size_t n)
{
	struct rig *r = arg;

	r->result = result;
	r->n_leases = 0;
	for (size_t i = 0; i < n; i++)
		keep(r, &leases[i]);
	r->results[r->count++ % RIG_RESULTS] = result;
	r->again += result == STORE_AGAIN;
	r->done = true;
}

static void
commit(struct rig *r, struct store_put *p, const char *lanes, uint64_t size, bool hold)
{
	struct buf        env = BUF(65536);
	struct store_rcpt rcpts[64];
	struct store_part parts[64];
	size_t            n = 0;
	struct str        rest = str_of(lanes), lane;

	buf_addf(&env, "from: ann@example.com\naccepted-ms: %lld\nsize: %llu\n",
	         (long long)time_wall_ms(), (unsigned long long)size);
	while ((lane = str_word(&rest)).n > 0) {
		rcpts[n] = (struct store_rcpt){.index = (uint32_t)n};
		parts[n] = (struct store_part){
			.lane = lane,
			.hold = hold,
			.why = hold            ? STR("capture")
			       : r->due_ms > 0 ? STR("over-rate")
			                       : STR_NONE,
			.rcpts = &rcpts[n],
			.n_rcpts = 1,
		};
		buf_addf(&env, "to: bob%zu@%.*s\n", n, (int)lane.n, lane.p);
		n++;
	}
	r->done = false;
	store_commit(p,
	             &(struct store_message){
			     .envelope = buf_str(&env),
			     .size = size,
			     .accepted_ms = time_wall_ms(),
			     .derived = r->derived,
			     .due_ms = r->due_ms,
			     .parts = parts,
			     .n_parts = n,
		     },
	             committed, r);
	buf_free(&env);
}

static char *
make_body(uint64_t id, size_t size)
{
	char *body = mem_zero(size + 64);

	for (size_t at = 0; at < size;)
		at += (size_t)snprintf(body + at, size - at + 32, "line %zu of %llx\r\n", at,
		                       (unsigned long long)id);
	return body;
}

void
rig_put_start(struct rig *r, uint64_t id, const char *lanes, size_t size, bool hold)
{
	struct store_put *p = store_put(r->store, id, NULL);
	char             *body = make_body(id, size);

	assert_non_null(p);
	assert_true(store_write(p, (struct str){body, size}));
	free(body);
	commit(r, p, lanes, size, hold);
}

enum store_result
rig_put(struct rig *r, uint64_t id, const char *lanes, size_t size)
{
	rig_put_start(r, id, lanes, size, false);
	assert_false(r->done); /* never from inside the call */
	rig_wait(r);
	return r->result;
}

enum store_result
rig_put_held(struct rig *r, uint64_t id, const char *lanes, size_t size)
{
	rig_put_start(r, id, lanes, size, true);
	rig_wait(r);
	return r->result;
}

enum store_result
rig_put_two(struct rig *r, uint64_t id, const char *lane)
{
	struct store_put *p = store_put(r->store, id, NULL);
	struct buf        env = BUF(1024);
	struct store_rcpt rcpts[] = {{.index = 0}, {.index = 1}};
	struct store_part part = {.lane = str_of(lane), .rcpts = rcpts, .n_rcpts = 2};

	buf_addf(&env, "from: ann@example.com\naccepted-ms: %lld\nsize: 4\nto: bob@%s\nto: eve@%s\n",
	         (long long)time_wall_ms(), lane, lane);
	assert_true(store_write(p, STR("hi\r\n")));
	r->done = false;
	store_commit(p,
	             &(struct store_message){
			     .envelope = buf_str(&env),
			     .size = 4,
			     .accepted_ms = time_wall_ms(),
			     .parts = &part,
			     .n_parts = 1,
		     },
	             committed, r);
	buf_free(&env);
	rig_wait(r);
	return r->result;
}

void
rig_put_big_start(struct rig *r, uint64_t id, const char *lanes, size_t size)
{
	int               fd;
	struct store_put *p = store_put(r->store, id, &fd);
	char             *body = make_body(id, size);

	assert_non_null(p);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, body, size), (ssize_t)size);
	if (r->on_spill != NULL)
		r->on_spill(fd);
	close(fd);
	free(body);
	commit(r, p, lanes, size, false);
}

enum store_result
rig_put_big(struct rig *r, uint64_t id, const char *lanes, size_t size)
{
	rig_put_big_start(r, id, lanes, size);
	rig_wait(r);
	return r->result;
}

static void
leased(void *arg, const struct store_lease *l)
{
	struct rig *r = arg;

	if (l == NULL)
		r->done = true;
	else
		keep(r, l);
}

size_t
rig_lease(struct rig *r, const char *lane, unsigned max)
{
	r->n_leases = 0;
	r->done = false;
	store_lease(r->store,
	            &(struct store_wish){
			    .lane = str_of(lane),
			    .max = max,
			    .lease_ms = r->lease_ms == 0 ? 60000 : r->lease_ms,
			    .body = true,
		    },
	            leased, r);
	assert_false(r->done);
	rig_wait(r);
	return r->n_leases;
}

static void
settled(void *arg, enum store_result result)
{
	struct rig *r = arg;

	r->result = result;
	r->done = true;
}

enum store_result
rig_settle(struct rig *r, const struct rig_lease *l, enum store_verdict v, int64_t due_ms,
           const char *reply)
{
	struct store_rcpt rcpts[8];

	for (size_t i = 0; i < l->n_rcpts && i < 8; i++)
		rcpts[i] = (struct store_rcpt){
			.index = l->rcpts[i],
			.state = v == STORE_DONE ? RCPT_SENT : RCPT_WAIT,
			.reply = str_of(reply),
		};
	r->done = false;
	store_settle(r->store,
	             &(struct store_lease){.id = l->id, .part = l->part, .token = l->token},
	             &(struct store_outcome){
			     .verdict = v,
			     .due_ms = due_ms,
			     .rcpts = rcpts,
			     .n_rcpts = reply == NULL ? 0 : l->n_rcpts,
		     },
	             settled, r);
	assert_false(r->done);
	rig_wait(r);
	return r->result;
}

static bool
on_row(void *arg, const struct store_row *row)
{
	struct rig *r = arg;

	if (row == NULL) {
		r->done = true;
		return false;
	}
	r->rows++;
	for (size_t i = 0; i < row->n_parts; i++) {
		const struct store_row_part *p = &row->parts[i];

		buf_addf(&r->text, "%llx %.*s %s %u", (unsigned long long)row->id, (int)p->lane.n,
		         p->lane.p, store_status_name(p->status), p->tries);
		if (p->why.n > 0)
			buf_addf(&r->text, " [%.*s]", (int)p->why.n, p->why.p);
		for (size_t k = 0; k < p->n_rcpts; k++)
			buf_addf(&r->text, " %u=%.*s", p->rcpts[k].index, (int)p->rcpts[k].reply.n,
			         p->rcpts[k].reply.n > 0 ? p->rcpts[k].reply.p : "");
		buf_addc(&r->text, '\n');
	}
	return true;
}

size_t
rig_list(struct rig *r, const struct store_filter *f)
{
	struct store_cursor c = {0};

	buf_clear(&r->text);
	r->rows = 0;
	do {
		r->done = false;
		store_list(r->store, f, &c, on_row, r);
		rig_wait(r);
	} while (!c.end);
	r->result = c.ambiguous ? STORE_BAD : STORE_OK;
	store_cursor_free(&c);
	buf_z(&r->text);
	return r->rows;
}

static void
acted(void *arg, enum store_result result, size_t n)
{
	struct rig *r = arg;

	r->result = result;
	r->count = n;
	r->done = true;
}

/* Returns when what was asked for has happened: ends and states ride in later batches. */
enum store_result
rig_act(struct rig *r, const struct store_filter *f, enum store_action a)
{
	uint64_t before = rig_messages(r);
	int64_t  end = time_mono_ms() + WAIT_MS;

	r->done = false;
	store_act(r->store, f, a, acted, r);
	assert_false(r->done);
	rig_wait(r);
	if (a == ACT_DELETE)
		while (rig_messages(r) > before - r->count && time_mono_ms() < end)
			rig_turn(r, 5);
	else if (a == ACT_HOLD || a == ACT_RELEASE)
		rig_turn(r, 250);
	else
		rig_turn(r, 10);
	if (a == ACT_HOLD || a == ACT_RELEASE)
		rig_idle(r);
	return r->result;
}

static void
got_body(void *arg, const struct store_chunk *chunk)
{
	struct rig *r = arg;

	r->done = true;
	r->count = chunk != NULL;
	if (chunk == NULL)
		return;
	buf_add(&r->text, chunk->body);
	if (chunk->fd >= 0)
		close(chunk->fd);
}

bool
rig_body(struct rig *r, uint64_t id)
{
	buf_clear(&r->text);
	r->done = false;
	store_body(r->store, id, 0, 1024 * 1024, got_body, r);
	rig_wait(r);
	buf_z(&r->text);
	return r->count != 0;
}

uint64_t
rig_messages(const struct rig *r)
{
	struct store_stats s;

	store_stats(r->store, &s);
	return s.messages;
}

/* ---- files ---- */

size_t
rig_files(const struct rig *r, const char *end, char name[64])
{
	DIR           *dir = opendir(r->dir);
	struct dirent *e;
	size_t         n = 0;

	assert_non_null(dir);
	name[0] = '\0';
	while ((e = readdir(dir)) != NULL) {
		struct str s = str_of(e->d_name);

		if (!str_ends(s, str_of(end)) || str_starts(s, STR("free-")))
			continue;
		n++;
		if (name[0] == '\0' || strcmp(e->d_name, name) < 0)
			snprintf(name, 64, "%.63s", e->d_name);
	}
	closedir(dir);
	return n;
}

void
rig_change_file(const struct rig *r, const char *name, long at, const void *octets, size_t n)
{
	char path[160];
	int  fd;

	snprintf(path, sizeof path, "%s/%s", r->dir, name);
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, octets, n, at), (ssize_t)n);
	close(fd);
}
