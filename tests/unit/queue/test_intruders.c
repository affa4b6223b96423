/* SPDX-License-Identifier: ISC */
/* What one of two smtpds or deliveries that has been taken over can do with what is the other's. Both are played by this file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/proc/channel.h"
#include "lib/util/log.h"
#include "lib/util/time.h"
#include "queue/core.h"
#include "queue/disk.h"
#include "tests/unit/queue/store_rig.h"

enum { SIDES = 2 };

struct side {
	struct channel   *channel;
	bool              gone;
	unsigned          answers, leases, stored, spilled;
	int               spill_fd; /* the last, or -1 */
	uint16_t          code;
	struct wire_lease lease; /* the last; texts are not kept */
};

static struct rig    rig;
static struct config config;
static struct queue  queue;
static struct side   clients[SIDES], workers[SIDES];
static int64_t       retry[1];

static void
quiet(struct str line)
{
	(void)line;
}

static void
on_message(void *arg, enum wire_id id, const void *msg, int fd)
{
	struct side *s = arg;

	s->answers++;
	if (id == WIRE_SPILLED) {
		s->spilled += ((const struct wire_spilled *)msg)->ok;
		s->spill_fd = fd;
		return;
	}
	if (fd >= 0)
		close(fd);
	if (id == WIRE_LEASE) {
		s->leases++;
		s->lease = *(const struct wire_lease *)msg;
	} else if (id == WIRE_STORED) {
		s->stored++;
		s->code = ((const struct wire_stored *)msg)->code;
	}
}

static void
on_gone(void *arg, const char *why)
{
	struct side *s = arg;

	(void)why;
	s->gone = true;
	channel_close(s->channel);
	s->channel = NULL;
}

static void
join(struct side *s, unsigned index, enum role_id who)
{
	static const struct channel_hooks hooks = {on_message, on_gone};
	int                               ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	if (who == ROLE_SMTPD)
		intake_peer(queue.intake, index, ends[0]);
	else
		dispatch_peer(queue.dispatch, index, ends[0]);
	s->channel = channel_open(queue.loop, ends[1], who, ROLE_QUEUE, &hooks, s);
}

static void
on_work(void *arg, struct str lane, int64_t due_ms)
{
	(void)arg;
	(void)due_ms;
	if (queue.dispatch != NULL)
		dispatch_work(queue.dispatch, lane);
}

static int
setup(void **state)
{
	(void)state;
	log_hook(quiet);
	retry[0] = 60000;
	config = (struct config){.retry_ms = retry, .n_retry = 1, .expire_ms = 3600000, .max_size = 1 << 20};
	rig_init(&rig);
	rig.on_work = on_work;
	queue = (struct queue){.config = &config, .dirfd = -1};
	memset(clients, 0, sizeof clients);
	memset(workers, 0, sizeof workers);
	for (unsigned i = 0; i < SIDES; i++)
		clients[i].spill_fd = workers[i].spill_fd = -1;
	rig_open(&rig);
	queue.loop = rig.loop;
	queue.store = rig.store;
	pauses_init(&queue.pauses, -1);
	queue.intake = intake_create(&queue);
	queue.dispatch = dispatch_create(&queue);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	for (unsigned i = 0; i < SIDES; i++) {
		channel_close(clients[i].channel);
		channel_close(workers[i].channel);
		if (clients[i].spill_fd >= 0)
			close(clients[i].spill_fd);
	}
	intake_destroy(queue.intake);
	dispatch_destroy(queue.dispatch);
	queue.dispatch = NULL;
	pauses_free(&queue.pauses);
	rig_free(&rig);
	return 0;
}

static void
outcome(struct side *s, const struct wire_lease *l, uint64_t token)
{
	channel_send(s->channel, WIRE_OUTCOME,
	             &(struct wire_outcome){.id = l->id,
	                                    .part = l->part,
	                                    .token = token,
	                                    .scope = SCOPE_MESSAGE,
	                                    .replies = STR("250 2.0.0 ok")},
	             -1);
	rig_turn(&rig, 50);
}

/* The end of a message needs a write; how long that takes is not the matter here. */
static size_t
messages_at_the_end(void)
{
	int64_t end = time_mono_ms() + 120 * 1000;

	while (rig_messages(&rig) > 0 && time_mono_ms() < end)
		rig_turn(&rig, 20);
	return rig_messages(&rig);
}

/* One holds the only part there is; the other, who knows its numbers, says what became of it. */
static void
an_outcome_of_anothers_lease_changes_nothing(void **state)
{
	struct side *holder, *other;

	(void)state;
	for (unsigned i = 0; i < SIDES; i++) {
		join(&workers[i], i, ROLE_DELIVERY);
		channel_send(workers[i].channel, WIRE_CAPACITY, &(struct wire_capacity){.leases = 1}, -1);
	}
	rig_turn(&rig, 20);
	assert_int_equal(rig_put(&rig, 1, "a.example", 100), STORE_OK);
	rig_settle(&rig, &rig.leases[0], STORE_RELEASE, 0, NULL);
	for (int i = 0; i < 10000 && workers[0].leases + workers[1].leases == 0; i++)
		rig_turn(&rig, 10);
	rig_turn(&rig, 50);
	assert_int_equal(workers[0].leases + workers[1].leases, 1);
	holder = workers[0].leases > 0 ? &workers[0] : &workers[1];
	other = holder == &workers[0] ? &workers[1] : &workers[0];
	for (uint64_t token = 0; token < 4; token++)
		outcome(other, &holder->lease, holder->lease.token + token);
	assert_int_equal(rig_messages(&rig), 1);
	assert_int_equal(dispatch_active(queue.dispatch), 1);
	outcome(holder, &holder->lease, holder->lease.token + 1);
	assert_int_equal(rig_messages(&rig), 1);
	outcome(holder, &holder->lease, holder->lease.token);
	assert_int_equal(messages_at_the_end(), 0);
}

/* Whatever it is: the disk has its part in it, and that may be slow. */
static void
await_answer(const struct side *s, unsigned before)
{
	int64_t end = time_mono_ms() + 120 * 1000;

	while (s->answers == before && !s->gone && time_mono_ms() < end)
		rig_turn(&rig, 5);
	rig_turn(&rig, 50);
}

static void
ask_spill(struct side *s, uint64_t id)
{
	unsigned before = s->answers;

	channel_send(s->channel, WIRE_SPILL, &(struct wire_spill){.id = id}, -1);
	await_answer(s, before);
}

static void
put(struct side *s, uint64_t id, bool spilled)
{
	unsigned before = s->answers;

	channel_send(s->channel, WIRE_PUT,
	             &(struct wire_put){.id = id,
	                                .spilled = spilled,
	                                .size = 5,
	                                .envelope = STR("from: a@b.example\naccepted-ms: 1795428431000\n"
	                                                "size: 5\nto: c@d.example\n"),
	                                .body = spilled ? STR_NONE : STR("\r\nhi\n")},
	             -1);
	await_answer(s, before);
}

/* A message that one is still writing is not the other's to drop, to take over or to complete. */
static void
anothers_spill_is_out_of_reach(void **state)
{
	int fd;

	(void)state;
	for (unsigned i = 0; i < SIDES; i++)
		join(&clients[i], i, ROLE_SMTPD);
	rig_turn(&rig, 20);
	ask_spill(&clients[0], 77);
	assert_int_equal(clients[0].spilled, 1);
	fd = clients[0].spill_fd;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "\r\nhi\n", 5), 5);

	channel_send(clients[1].channel, WIRE_DROP, &(struct wire_drop){.id = 77}, -1);
	rig_turn(&rig, 50);
	ask_spill(&clients[1], 77);
	assert_int_equal(clients[1].spilled, 0);
	assert_int_equal(clients[1].spill_fd, -1);
	put(&clients[1], 77, true);
	assert_int_not_equal(clients[1].code, 250);
	assert_false(clients[0].gone || clients[1].gone);

	put(&clients[0], 77, true);
	assert_int_equal(clients[0].stored, 1);
	assert_int_equal(clients[0].code, 250);
}

/* There is no frame by which a smtpd could read, and what others may send ends its channel alone. */
static void
frames_of_other_roles_end_the_channel(void **state)
{
	(void)state;
	for (unsigned id = WIRE_NONE + 1; id < WIRE_COUNT; id++) {
		bool smtpd_may = wire_may_pass((enum wire_id)id, ROLE_SMTPD, ROLE_QUEUE);

		assert_int_equal(smtpd_may, id == WIRE_SPILL || id == WIRE_PUT || id == WIRE_DROP);
		/* To a smtpd the queue says nothing that carries mail. */
		if (wire_may_pass((enum wire_id)id, ROLE_QUEUE, ROLE_SMTPD))
			assert_true(id == WIRE_INTAKE || id == WIRE_SPILLED || id == WIRE_STORED);
	}
	for (unsigned id = WIRE_NONE + 1; id < WIRE_COUNT; id++) {
		struct buf frame = BUF(100);
		int        ends[2];
		char       octet;

		if (wire_may_pass((enum wire_id)id, ROLE_SMTPD, ROLE_QUEUE))
			continue;
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
		intake_peer(queue.intake, 0, ends[0]);
		wire_head_add(&frame, (struct wire_head){0, id, 0});
		assert_int_equal(write(ends[1], frame.p, frame.n), (ssize_t)frame.n);
		rig_turn(&rig, 5);
		while (read(ends[1], &octet, 1) > 0)
			continue; /* what it was told before */
		assert_int_equal(read(ends[1], &octet, 1), 0);
		close(ends[1]);
		buf_free(&frame);
	}
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(an_outcome_of_anothers_lease_changes_nothing),
		T(anothers_spill_is_out_of_reach),
		T(frames_of_other_roles_end_the_channel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
