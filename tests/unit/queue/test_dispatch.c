/* SPDX-License-Identifier: ISC */
/* Parts on their way to delivery roles that have little room. The roles are played by this file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/proc/channel.h"
#include "lib/util/log.h"
#include "lib/util/time.h"
#include "queue/core.h"
#include "queue/disk.h"
#include "tests/unit/queue/store_rig.h"

enum { WORKERS = 2 };

struct player {
	struct channel *channel;
	unsigned        leases;
	struct wire_lease last, before; /* texts are not kept */
	size_t            n_rcpts; /* of the last */
	const char       *reply; /* to every lease, at once: the lane is down */
};

static struct rig    rig;
static struct config config;
static struct queue  queue;
static struct player players[WORKERS];
static int64_t       retry[1];

static void
quiet(struct str line)
{
	(void)line;
}

static void
answer(struct player *p, const char *replies, uint8_t scope)
{
	channel_send(p->channel, WIRE_OUTCOME,
	             &(struct wire_outcome){.id = p->last.id,
	                                    .part = p->last.part,
	                                    .token = p->last.token,
	                                    .scope = scope,
	                                    .replies = str_of(replies)},
	             -1);
}

static void
on_message(void *arg, enum wire_id id, const void *msg, int fd)
{
	struct player *p = arg;

	if (fd >= 0)
		close(fd);
	if (id != WIRE_LEASE)
		return;
	p->leases++;
	p->before = p->last;
	p->last = *(const struct wire_lease *)msg;
	p->n_rcpts = 1;
	for (size_t i = 0; i < p->last.rcpts.n; i++)
		p->n_rcpts += p->last.rcpts.p[i] == ' ';
	if (p->reply != NULL)
		answer(p, p->reply, SCOPE_LANE);
}

static void
on_gone(void *arg, const char *why)
{
	(void)why;
	((struct player *)arg)->channel = NULL;
}

static void
join(unsigned index, uint32_t capacity)
{
	static const struct channel_hooks hooks = {on_message, on_gone};
	int                               ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	dispatch_peer(queue.dispatch, index, ends[0]);
	players[index].channel = channel_open(queue.loop, ends[1], ROLE_DELIVERY, ROLE_QUEUE,
	                                      &hooks, &players[index]);
	channel_send(players[index].channel, WIRE_CAPACITY,
	             &(struct wire_capacity){.leases = capacity}, -1);
}

static void
on_work(void *arg, struct str lane, int64_t due_ms)
{
	(void)arg;
	(void)due_ms;
	if (queue.dispatch != NULL)
		dispatch_work(queue.dispatch, lane);
}

static void
begin(void)
{
	queue = (struct queue){.config = &config, .dirfd = -1};
	memset(players, 0, sizeof players);
	rig_open(&rig);
	queue.loop = rig.loop;
	queue.store = rig.store;
	pauses_init(&queue.pauses, -1);
	queue.dispatch = dispatch_create(&queue);
}

static void
end(void)
{
	for (unsigned i = 0; i < WORKERS; i++)
		channel_close(players[i].channel);
	dispatch_destroy(queue.dispatch);
	queue.dispatch = NULL;
	pauses_free(&queue.pauses);
	gated_free(&queue.gated);
}

static int
setup(void **state)
{
	(void)state;
	log_hook(quiet);
	retry[0] = 60000;
	config = (struct config){.retry_ms = retry, .n_retry = 1, .expire_ms = 3600000};
	rig_init(&rig);
	rig.on_work = on_work;
	begin();
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	end();
	rig_free(&rig);
	return 0;
}

/* All parts of a message belong to one role; when that has no room, they wait, and all else goes on. */
static void
a_full_worker_does_not_stop_the_queue(void **state)
{
	(void)state;
	join(0, 1);
	join(1, 1);
	rig_turn(&rig, 20);
	assert_int_equal(rig_put(&rig, 1, "a.example b.example c.example", 100), STORE_OK);
	for (size_t i = 0; i < rig.n_leases; i++)
		rig_settle(&rig, &rig.leases[i], STORE_RELEASE, 0, NULL);
	for (unsigned done = 0; done < 3; done++) {
		struct player *p;

		while (players[0].leases + players[1].leases <= done)
			rig_turn(&rig, 1);
		rig_turn(&rig, 50);
		assert_int_equal(players[0].leases + players[1].leases, done + 1);
		assert_int_equal(dispatch_active(queue.dispatch), 1);
		p = &players[players[0].leases > 0 ? 0 : 1];
		answer(p, "250 2.0.0 ok", SCOPE_MESSAGE);
	}
	while (rig_messages(&rig) > 0)
		rig_turn(&rig, 1);
}

/* Only one part at a time probes a lane that is down, and what it holds must expire all the same. */
static void
what_a_dead_lane_holds_expires(void **state)
{
	enum { MESSAGES = 150 };

	(void)state;
	config.hostname = STR("mail.example.com");
	config.expire_ms = 10000;
	retry[0] = 500;
	join(0, 1000);
	players[0].reply = "451 4.4.1 no answer";
	rig_turn(&rig, 20);
	for (uint64_t id = 1; id <= MESSAGES; id++) {
		assert_int_equal(rig_put(&rig, id, "a.example", 100), STORE_OK);
		rig_settle(&rig, &rig.leases[0], STORE_RELEASE, time_wall_ms() + 500, NULL);
	}
	/* Where the disk is slow the first have expired by now. */
	assert_true(rig_list(&rig, &(struct store_filter){.lane = STR("a.example")}) +
	                    rig_list(&rig, &(struct store_filter){.lane = STR("example.com")}) >=
	            MESSAGES);
	while (rig_list(&rig, &(struct store_filter){.lane = STR("a.example")}) > 0)
		rig_turn(&rig, 50);
	assert_int_equal(rig_list(&rig, &(struct store_filter){.lane = STR("example.com")}),
	                 MESSAGES);
}

/* A lane that rests, with so many deferred messages and one that came since and is its probe. */
static void
break_lane(uint64_t deferred)
{
	struct str why;

	join(0, 1000);
	rig_turn(&rig, 20);
	for (uint64_t id = 1; id <= deferred; id++) {
		assert_int_equal(rig_put(&rig, id, "a.example", 100), STORE_OK);
		rig_settle(&rig, &rig.leases[0], STORE_RELEASE, time_wall_ms() + 3600000, NULL);
	}
	players[0].reply = "451 4.4.1 no answer";
	assert_int_equal(rig_put(&rig, 1001, "a.example", 100), STORE_OK);
	rig_settle(&rig, &rig.leases[0], STORE_RELEASE, 0, NULL);
	while (dispatch_lane_rest(queue.dispatch, STR("a.example"), &why) == 0)
		rig_turn(&rig, 1);
	players[0].reply = NULL;
	assert_int_equal(rig_put(&rig, 1002, "a.example", 100), STORE_OK);
	rig_settle(&rig, &rig.leases[0], STORE_RELEASE, 0, NULL);
	rig_turn(&rig, 50);
	assert_int_equal(players[0].leases, 1);
	dispatch_retry(queue.dispatch, STR("a.example"));
	while (players[0].leases < 2)
		rig_turn(&rig, 1);
}

static void
what_never_reached_a_host_wakes_no_lane(void **state)
{
	struct str why;

	(void)state;
	break_lane(10);
	answer(&players[0], "451 4.3.0 the message could not be signed", SCOPE_MESSAGE);
	rig_turn(&rig, 200);
	assert_int_equal(players[0].leases, 2);
	dispatch_lane_rest(queue.dispatch, STR("a.example"), &why);
	assert_true(str_eq(why, STR("451 4.4.1 no answer")));
}

static void
the_first_success_releases_what_waits(void **state)
{
	struct str why;

	(void)state;
	break_lane(10);
	answer(&players[0], "250 2.0.0 ok", SCOPE_MESSAGE);
	while (players[0].leases < 13)
		rig_turn(&rig, 1);
	assert_int_equal(dispatch_lane_rest(queue.dispatch, STR("a.example"), &why), 0);
}

/* Neither its probes, nor their failures, nor mail to others: nothing looks at what waits there. */
static void
a_lane_that_is_down_is_not_searched(void **state)
{
	const struct shelves *shelves;
	uint64_t              before;

	(void)state;
	break_lane(300);
	shelves = &CONTAINER(rig.store, struct disk, base)->shelves;
	before = shelves->n_looks;
	answer(&players[0], "451 4.4.1 no answer", SCOPE_LANE);
	rig_turn(&rig, 100);
	assert_int_equal(rig_put(&rig, 2000, "b.example", 100), STORE_OK);
	rig_settle(&rig, &rig.leases[0], STORE_RELEASE, 0, NULL);
	while (players[0].leases < 3)
		rig_turn(&rig, 1);
	assert_int_equal(players[0].last.id, 2000);
	assert_in_range(shelves->n_looks - before, 1, 20);
}

/*
 * A crash between a report and what it is about: the second attempt may end otherwise, and
 * then its report is another one.
 */
static void
a_report_of_more_recipients_is_not_the_same(void **state)
{
	const struct store_filter reports = {.lane = STR("example.com")}, original = {.lane = STR("a.example")};

	(void)state;
	config.hostname = STR("mail.example.com");
	retry[0] = 500;
	join(0, 10);
	assert_int_equal(rig_put_two(&rig, 2, "a.example"), STORE_OK);
	rig_settle(&rig, &rig.leases[0], STORE_RELEASE, 0, NULL);
	while (players[0].leases == 0)
		rig_turn(&rig, 1);
	answer(&players[0], "550 5.1.1 no such user\n451 4.2.0 later", SCOPE_RCPT);
	while (rig_list(&rig, &reports) == 0)
		rig_turn(&rig, 1);
	end();
	rig_crash(&rig);
	begin();
	join(0, 1);
	dispatch_work(queue.dispatch, STR("a.example")); /* was told before there was anybody */
	while (players[0].leases == 0 || players[0].last.id != 2)
		rig_turn(&rig, 1);
	/* On a slow day the crash came after the end of the first recipient had been written. */
	answer(&players[0], players[0].n_rcpts == 2 ? "550 5.1.1 no such user\n550 5.1.1 no such user" : "550 5.1.1 no such user",
	       SCOPE_RCPT);
	for (int64_t until = time_mono_ms() + 120 * 1000; rig_list(&rig, &original) > 0 && time_mono_ms() < until;)
		rig_turn(&rig, 20);
	assert_int_equal(rig_list(&rig, &original), 0);
	assert_int_equal(rig_list(&rig, &reports), 2);
}

/* While a wait is being written its mail is in no list. What opens then is not missed. */
static void
a_gate_that_opens_while_a_wait_is_written(void **state)
{
	(void)state;
	retry[0] = 3000 * 1000; /* nothing comes by itself */
	join(0, 10);
	rig_turn(&rig, 20);
	assert_int_equal(rig_put(&rig, 1, "a.example", 100), STORE_OK);
	rig_settle(&rig, &rig.leases[0], STORE_RELEASE, 0, NULL);
	while (players[0].leases == 0)
		rig_turn(&rig, 1);
	answer(&players[0], "451 4.7.20 held: the DKIM key may not sign", SCOPE_GATE);
	channel_send(players[0].channel, WIRE_RETRY, &(struct wire_empty){0}, -1);
	for (int i = 0; i < 12000 && players[0].leases < 2; i++)
		rig_turn(&rig, 10);
	assert_int_equal(players[0].leases, 2);
	/* And what opens later, or twice. */
	answer(&players[0], "451 4.7.20 held: the DKIM key may not sign", SCOPE_GATE);
	rig_turn(&rig, 100);
	rig_idle(&rig);
	assert_int_equal(players[0].leases, 2);
	for (unsigned i = 0; i < 2; i++)
		channel_send(players[0].channel, WIRE_RETRY, &(struct wire_empty){0}, -1);
	for (int i = 0; i < 12000 && players[0].leases < 3; i++)
		rig_turn(&rig, 10);
	assert_int_equal(players[0].leases, 3);
}

/* The same of a lane: one part fails, another gets through before that is written. */
static void
a_lane_that_works_while_a_wait_is_written(void **state)
{
	uint64_t failed;

	(void)state;
	retry[0] = 3000 * 1000; /* nothing comes by itself */
	join(0, 10);
	rig_turn(&rig, 20);
	for (uint64_t id = 1; id <= 2; id++) {
		assert_int_equal(rig_put(&rig, id, "a.example", 100), STORE_OK);
		rig_settle(&rig, &rig.leases[0], STORE_RELEASE, 0, NULL);
	}
	for (int i = 0; i < 12000 && players[0].leases < 2; i++)
		rig_turn(&rig, 10);
	failed = players[0].last.id;
	answer(&players[0], "451 4.4.1 no answer", SCOPE_LANE);
	players[0].last = players[0].before;
	answer(&players[0], "250 2.0.0 ok", SCOPE_RCPT);
	for (int i = 0; i < 12000 && players[0].leases < 3; i++)
		rig_turn(&rig, 10);
	assert_int_equal(players[0].leases, 3);
	assert_int_equal(players[0].last.id, failed);
}

static uint16_t codes[4];
static size_t   n_codes;

static void
on_stored(void *arg, enum wire_id id, const void *msg, int fd)
{
	(void)arg;
	(void)fd;
	if (id == WIRE_STORED && n_codes < 4)
		codes[n_codes++] = ((const struct wire_stored *)msg)->code;
}

/* A clock that steps back under a new smtpd may give a number that is in use: nobody is promised that mail. */
static void
a_number_in_use_is_no_promise(void **state)
{
	static const char now[] = "from: ann@example.com\nsize: 4\nto: bob@a.example\n",
			  held[] = "from: ann@example.com\nsize: 4\nhold: 1\nto: bob@a.example\n";
	static const struct {
		uint64_t    id;
		const char *envelope, *body;
		uint16_t    code;
	} rows[] = {
		{77, now, "1.\r\n", 250},
		{77, now, "2.\r\n", 451},
		{78, held, "3.\r\n", 250},
		{78, held, "4.\r\n", 451}, /* nothing is leased of a message on hold, new or not */
	};
	static const struct channel_hooks hooks = {on_stored, on_gone};
	struct player                     smtpd = {0};
	int                               ends[2];

	(void)state;
	n_codes = 0;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	queue.intake = intake_create(&queue);
	intake_peer(queue.intake, 0, ends[0]);
	smtpd.channel = channel_open(queue.loop, ends[1], ROLE_SMTPD, ROLE_QUEUE, &hooks, &smtpd);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		channel_send(smtpd.channel, WIRE_PUT,
		             &(struct wire_put){
				     .id = rows[i].id,
				     .size = 4,
				     .envelope = str_of(rows[i].envelope),
				     .body = str_of(rows[i].body),
			     },
		             -1);
		for (int turn = 0; turn < 10000 && n_codes <= i; turn++)
			rig_turn(&rig, 10);
	}
	rig_turn(&rig, 100);
	assert_int_equal(n_codes, ARRAY_LEN(rows));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(codes[i], rows[i].code);
	channel_close(smtpd.channel);
	rig_turn(&rig, 10);
	intake_destroy(queue.intake);
	queue.intake = NULL;
}

static const struct {
	const char *file; /* what is in it; NULL: there is none, "/": it cannot be read */
	bool        a, b; /* rests */
} paused_rows[] = {
	{NULL, false, false},
	{"a.example\n", true, false},
	{"a.example", true, false},
	{"*\n", true, true},
	{"/", true, true},
};

/* Of mail that has gone out nothing can be called back, so what is not known rests. */
static void
what_is_paused_is_not_forgotten(void **state)
{
	(void)state;
	log_hook(quiet);
	for (size_t i = 0; i < ARRAY_LEN(paused_rows); i++) {
		char          folder[] = "/tmp/test_dispatch.XXXXXX";
		const char   *text = paused_rows[i].file;
		struct pauses p;
		bool          saved;
		int           dirfd, fd;

		assert_non_null(mkdtemp(folder));
		dirfd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (text != NULL && text[0] == '/') {
			assert_int_equal(mkdirat(dirfd, "paused", 0700), 0);
		} else if (text != NULL) {
			fd = openat(dirfd, "paused", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
			assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
			close(fd);
		}
		pauses_init(&p, dirfd);
		assert_int_equal(pauses_load(&p), text == NULL || text[0] != '/');
		print_message("# row %zu\n", i);
		assert_int_equal(pauses_has(&p, STR("a.example")), paused_rows[i].a);
		assert_int_equal(pauses_has(&p, STR("b.example")), paused_rows[i].b);
		assert_int_equal(pauses_set(&p, STR_NONE, false, &saved), paused_rows[i].a);
		assert_false(pauses_has(&p, STR("a.example")));
		pauses_free(&p);
		(void)unlinkat(dirfd, "paused", 0);
		(void)unlinkat(dirfd, "paused", AT_REMOVEDIR);
		(void)unlinkat(dirfd, "paused.new", 0);
		close(dirfd);
		assert_int_equal(rmdir(folder), 0);
	}
	log_hook(NULL);
}

static void
make_paused(int dirfd, const char *text)
{
	int fd = openat(dirfd, "paused", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

/* It is asked for again, unless somebody has said meanwhile what rests. */
static void
what_could_not_be_read_is_read_again(void **state)
{
	char          folder[] = "/tmp/test_dispatch.XXXXXX";
	struct pauses p;
	bool          saved;
	int           dirfd;

	(void)state;
	log_hook(quiet);
	assert_non_null(mkdtemp(folder));
	dirfd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	pauses_init(&p, dirfd);
	assert_int_equal(mkdirat(dirfd, "paused", 0700), 0);
	assert_false(pauses_load(&p));
	assert_false(pauses_load(&p));
	assert_true(p.unknown && pauses_has(&p, STR("b.example")));
	assert_int_equal(unlinkat(dirfd, "paused", AT_REMOVEDIR), 0);
	make_paused(dirfd, "a.example\n");
	assert_true(pauses_load(&p));
	assert_false(p.unknown || pauses_has(&p, STR("b.example")));
	assert_true(pauses_has(&p, STR("a.example")));

	assert_int_equal(unlinkat(dirfd, "paused", 0), 0);
	assert_int_equal(mkdirat(dirfd, "paused", 0700), 0);
	assert_false(pauses_load(&p));
	assert_int_equal(unlinkat(dirfd, "paused", AT_REMOVEDIR), 0);
	assert_false(pauses_set(&p, STR_NONE, true, &saved)); /* all rests anyway, and is to */
	assert_true(saved && !p.unknown);
	assert_true(pauses_load(&p) && pauses_has(&p, STR("b.example")));
	pauses_free(&p);
	assert_int_equal(unlinkat(dirfd, "paused", 0), 0);
	close(dirfd);
	assert_int_equal(rmdir(folder), 0);
	log_hook(NULL);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_full_worker_does_not_stop_the_queue),
		CASE(what_a_dead_lane_holds_expires),
		CASE(what_never_reached_a_host_wakes_no_lane),
		CASE(the_first_success_releases_what_waits),
		CASE(a_lane_that_is_down_is_not_searched),
		CASE(a_report_of_more_recipients_is_not_the_same),
		CASE(a_gate_that_opens_while_a_wait_is_written),
		CASE(a_lane_that_works_while_a_wait_is_written),
		CASE(a_number_in_use_is_no_promise),
		cmocka_unit_test(what_is_paused_is_not_forgotten),
		cmocka_unit_test(what_could_not_be_read_is_read_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
