/* SPDX-License-Identifier: ISC */
/* Disks that fail: the calls of queue/io.h are replaced, and every n-th one of a kind is made to fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/util/log.h"
#include "lib/util/time.h"
#include "queue/disk.h"
#include "tests/unit/queue/store_rig.h"

enum kind { K_WRITE, K_SYNC, K_PUSH, K_SYNC_DIR, K_ALLOCATE, K_RENAME, K_UNLINK, K_READ, KINDS };

/* The thread and the loop both come here; failures are planned while the thread is idle. */
static _Atomic int plan[KINDS];   /* calls of that kind until failures begin; -1: never */
static _Atomic int length[KINDS]; /* how many then fail */
static _Atomic int plan_errno = EIO;
static _Atomic int writes_ok;
static _Atomic off_t pushed;
static _Atomic int lost; /* a write that fails leaves nothing in the file */

static int
fails(enum kind k)
{
	if (plan[k] < 0)
		return 0;
	if (plan[k] > 0) {
		plan[k]--;
		return 0;
	}
	if (length[k] == 0)
		return 0;
	if (--length[k] == 0)
		plan[k] = -1;
	errno = plan_errno;
	return -1;
}

static ssize_t
shim_write(int fd, const struct iovec *iov, int n, off_t at)
{
	int     error = fails(K_WRITE);
	ssize_t done = -1;

	/* Else the octets do reach the file: the worst kind of failure. */
	if (error == 0 || lost == 0)
		done = io_real.write(fd, iov, n, at);
	if (error == 0) {
		writes_ok++;
		return done;
	}
	errno = plan_errno;
	return -1;
}

static ssize_t
shim_read(int fd, void *to, size_t n, off_t at)
{
	return fails(K_READ) != 0 ? -1 : io_real.read(fd, to, n, at);
}

static _Atomic dev_t slow_dev;
static _Atomic ino_t slow_ino; /* 0: none */
static _Atomic bool  all_slow;

/* Takes as long as its test wants. */
static void
wait_if_slow(int fd)
{
	struct stat st;

	while (all_slow || (slow_ino != 0 && fstat(fd, &st) == 0 && st.st_ino == slow_ino &&
	                    st.st_dev == slow_dev))
		usleep(1000);
}

static int
shim_sync(int fd)
{
	wait_if_slow(fd);
	return fails(K_SYNC) != 0 ? -1 : io_real.sync(fd);
}

static int
shim_push(int fd, off_t at, off_t n)
{
	pushed += n;
	return fails(K_PUSH) != 0 ? -1 : io_real.push(fd, at, n);
}

static int
shim_sync_dir(int fd)
{
	return fails(K_SYNC_DIR) != 0 ? -1 : io_real.sync_dir(fd);
}

static int
shim_allocate(int fd, off_t size)
{
	return fails(K_ALLOCATE) != 0 ? -1 : io_real.allocate(fd, size);
}

static int
shim_rename(int dirfd, const char *from, const char *to)
{
	return fails(K_RENAME) != 0 ? -1 : io_real.rename(dirfd, from, to);
}

static int
shim_unlink(int dirfd, const char *name)
{
	return fails(K_UNLINK) != 0 ? -1 : io_real.unlink(dirfd, name);
}

static const struct io shim = {
	.write = shim_write,
	.read = shim_read,
	.sync = shim_sync,
	.push = shim_push,
	.sync_dir = shim_sync_dir,
	.allocate = shim_allocate,
	.rename = shim_rename,
	.unlink = shim_unlink,
};

static void
quiet(struct str line)
{
	(void)line;
}

static void
no_plans(void)
{
	for (int k = 0; k < KINDS; k++) {
		plan[k] = -1;
		length[k] = 0;
	}
	plan_errno = EIO;
	lost = 0;
}

static int
setup(void **state)
{
	static struct rig rig;

	log_hook(quiet);
	no_plans();
	rig_init(&rig);
	rig.io = &shim;
	rig_open(&rig);
	rig_idle(&rig);
	*state = &rig;
	return 0;
}

static int
teardown(void **state)
{
	no_plans();
	rig_free(*state);
	return 0;
}

/* The next one, and not of something that is still on its way. */
static void
fail_next(struct rig *r, enum kind k, int n)
{
	rig_idle(r);
	length[k] = n;
	plan[k] = 0;
}

/* Said to be unknown, and indeed not delivered after a restart, though it is on the disk. */
static void
a_failed_sync_is_never_ok(void **state)
{
	struct rig *r = *state;

	assert_int_equal(rig_put(r, 1, "a.example", 500), STORE_OK);
	fail_next(r, K_SYNC, 1);
	assert_int_equal(rig_put(r, 2, "a.example", 500), STORE_UNKNOWN);
	assert_int_equal(r->n_leases, 0);
	assert_int_equal(r->state, STORE_OPEN);
	assert_int_equal(rig_put(r, 3, "a.example", 500), STORE_OK);
	rig_crash(r);
	rig_open(r);
	assert_int_equal(rig_lease(r, "a.example", 10), 2);
	assert_int_equal(r->leases[0].id + r->leases[1].id, 4);
}

static void
a_failed_write_is_never_ok(void **state)
{
	struct rig *r = *state;

	fail_next(r, K_WRITE, 1);
	assert_int_equal(rig_put(r, 2, "a.example", 500), STORE_UNKNOWN);
	assert_int_equal(rig_put(r, 3, "a.example", 500), STORE_OK);
	rig_crash(r);
	rig_open(r);
	assert_int_equal(rig_lease(r, "a.example", 10), 1);
	assert_int_equal(r->leases[0].id, 3);
}

/* The numbers of batches have no gap where nothing is missing. */
static void
a_write_that_leaves_nothing_is_no_damage(void **state)
{
	struct rig *r = *state;

	rig_put(r, 1, "a.example", 500);
	lost = 1;
	fail_next(r, K_WRITE, 1);
	assert_int_equal(rig_put(r, 2, "a.example", 500), STORE_UNKNOWN);
	assert_int_equal(rig_put(r, 3, "a.example", 500), STORE_OK);
	rig_crash(r);
	rig_open(r);
	assert_int_equal(CONTAINER(r->store, struct disk, base)->damages, 0);
	assert_int_equal(rig_lease(r, "a.example", 10), 2);
}

static void
the_failed_file_is_not_used_again(void **state)
{
	struct rig *r = *state;
	char        name[64];

	rig_put(r, 1, "a.example", 500);
	fail_next(r, K_SYNC, 1);
	rig_put(r, 2, "a.example", 500);
	rig_put(r, 3, "a.example", 500);
	for (int i = 0;
	     i < 2400 && (rig_files(r, ".seg", name) < 2 || strncmp(name, "00000001", 8) == 0); i++)
		rig_turn(r, 50);
	/* What was good in it has been moved to a new file. */
	assert_true(rig_files(r, ".seg", name) >= 2);
	assert_true(strncmp(name, "00000001", 8) > 0);
	rig_crash(r);
	rig_open(r);
	assert_int_equal(rig_lease(r, "a.example", 10), 2);
}

static void
states_of_a_failed_batch_are_written_again(void **state)
{
	struct rig *r = *state;

	rig_put(r, 1, "a.example b.example", 500);
	struct rig_lease b = r->leases[1];
	fail_next(r, K_SYNC, 1);
	assert_int_equal(
		rig_settle(r, &r->leases[0], STORE_DEFER, time_wall_ms() + 100000, "451 later"),
		STORE_OK);
	assert_int_equal(plan[K_SYNC], -1); /* it did fail */
	assert_int_equal(rig_settle(r, &b, STORE_DONE, 0, "250 ok"), STORE_OK);
	rig_crash(r);
	rig_open(r);
	rig_list(r, &(struct store_filter){0});
	assert_string_equal(r->text.p,
	                    "1 a.example deferred 1 0=451 later\n1 b.example done 0 1=250 ok\n");
}

/*
 * Mail that was moved out of a failed segment has two records, and the failed segment stays
 * as long as an older one lives: the end must count for both.
 */
static void
moved_mail_that_is_done_stays_done(void **state)
{
	struct rig      *r = *state;
	struct rig_lease l;
	char             name[64];
	uint64_t         id = 20;

	while (rig_files(r, ".hint", name) == 0)
		rig_put_held(r, id++, "b.example", 200 * 1024);
	rig_put(r, 2, "a.example", 500);
	l = r->leases[0];
	fail_next(r, K_SYNC, 1);
	assert_int_equal(rig_put(r, 3, "a.example", 500), STORE_UNKNOWN);
	rig_put_held(r, 4, "a.example", 500);
	rig_turn(r, 300);
	rig_idle(r); /* 2 has been moved to the third segment */
	assert_int_equal(rig_settle(r, &l, STORE_DONE, 0, "250 ok"), STORE_OK);
	while (rig_files(r, ".hint", name) == 1)
		rig_put_held(r, id++, "b.example", 200 * 1024);
	rig_turn(r, 200);
	rig_crash(r);
	rig_open(r);
	assert_int_equal(rig_list(r, &(struct store_filter){.lane = STR("a.example")}), 1);
	assert_non_null(strstr(r->text.p, "4 a.example"));
}

/* A state that could not be read when its part was done: the part is done once, whenever that is. */
static void
what_heals_is_counted_once(void **state)
{
	struct rig      *r = *state;
	struct rig_lease parts[3];

	rig_close(r);
	r->warm_bytes = 1;
	rig_open(r);
	rig_put(r, 1, "a.example b.example c.example", 500);
	memcpy(parts, r->leases, sizeof parts);
	fail_next(r, K_READ, 1);
	assert_int_equal(rig_settle(r, &parts[0], STORE_DONE, 0, "250 ok"), STORE_BAD);
	assert_int_equal(rig_act(r, &(struct store_filter){0}, ACT_RELEASE), STORE_OK);
	rig_turn(r, 100);
	assert_int_equal(rig_lease(r, "a.example", 1), 1);
	assert_int_equal(rig_settle(r, &r->leases[0], STORE_DONE, 0, "250 ok"), STORE_OK);
	assert_int_equal(rig_lease(r, "b.example", 1), 1);
	assert_int_equal(rig_settle(r, &r->leases[0], STORE_DONE, 0, "250 ok"), STORE_OK);
	assert_int_equal(rig_messages(r), 1);
	assert_int_equal(rig_lease(r, "c.example", 1), 1);
}

static void
a_second_failure_stops_intake(void **state)
{
	struct rig *r = *state;

	rig_put(r, 1, "a.example", 500);
	fail_next(r, K_SYNC, 1000);
	assert_int_equal(rig_put(r, 2, "a.example", 500), STORE_UNKNOWN);
	for (int i = 0; i < 12000 && r->state != STORE_BROKEN; i++)
		rig_turn(r, 10);
	assert_int_equal(r->state, STORE_BROKEN);
	assert_int_equal(rig_put(r, 3, "a.example", 500), STORE_AGAIN);
	/* What can be read is still there for delivery. */
	assert_int_equal(
		rig_settle(r, &(struct rig_lease){.id = 1, .token = 0}, STORE_DONE, 0, NULL),
		STORE_STALE);
	assert_true(rig_body(r, 1));
	no_plans();
}

static void
no_room_is_full_and_passes(void **state)
{
	struct rig *r = *state;
	uint64_t    id = 1;

	rig_put(r, id++, "a.example", 100);
	rig_turn(r, 100);
	rig_idle(r); /* the next spare is made */
	plan_errno = ENOSPC;
	fail_next(r, K_ALLOCATE, 100000);
	while (id < 200 && rig_put(r, id, "a.example", 200 * 1024) == STORE_OK) {
		rig_settle(r, &r->leases[0], STORE_DEFER, time_wall_ms() + 100000, "451 later");
		id++;
	}
	assert_int_equal(r->result, STORE_FULL);
	assert_int_equal(r->state, STORE_NO_ROOM);
	assert_in_range(id, 15, 50);
	no_plans();
	for (int i = 0; i < 1200 && r->state != STORE_OPEN; i++)
		rig_turn(r, 100);
	assert_int_equal(r->state, STORE_OPEN);
	assert_int_equal(rig_put(r, id, "a.example", 200 * 1024), STORE_OK);
	rig_crash(r);
	rig_open(r);
	assert_int_equal(rig_messages(r), id);
}

/* Mail that is on its way to the log when no next segment can be had: its clients do not wait until there is room. */
static void
who_waits_when_there_is_no_room_is_told(void **state)
{
	struct rig *r = *state;
	uint64_t    id = 0;

	rig_put(r, ++id, "a.example", 100);
	rig_turn(r, 100);
	rig_idle(r);
	plan_errno = ENOSPC;
	fail_next(r, K_ALLOCATE, 100000);
	while (id < 60)
		rig_put_start(r, ++id, "a.example", 200 * 1024, false);
	for (int i = 0; i < 12000 && (r->state != STORE_NO_ROOM || r->result != STORE_FULL); i++)
		rig_turn(r, 10);
	rig_turn(r, 100);
	assert_int_equal(r->result, STORE_FULL);
	id = rig_messages(r);
	assert_in_range(id, 15, 45); /* two segments full */
	no_plans();
	rig_crash(r);
	rig_open(r);
	assert_int_equal(rig_messages(r), id);
}

/* Each call of each kind fails once in a short life; what was OK is there, what was not is not delivered. */
static void
every_single_failure(void **state)
{
	struct rig *r = *state;

	for (int k = 0; k < KINDS; k++) {
		for (int nth = 0; nth < 12; nth++) {
			bool   ok[10] = {false};
			size_t expected = 0;

			plan[k] = nth;
			length[k] = 1;
			for (uint64_t i = 0; i < 10; i++)
				ok[i] = rig_put(r, 100 + i, "a.example", 3000) == STORE_OK;
			no_plans();
			rig_turn(r, 150);
			rig_crash(r);
			rig_open(r);
			for (int i = 0; i < 10; i++)
				expected += ok[i];
			assert_int_equal(rig_lease(r, "a.example", 20), expected);
			for (size_t i = 0; i < expected; i++)
				assert_true(ok[r->leases[i].id - 100]);
			rig_act(r, &(struct store_filter){0}, ACT_DELETE);
			assert_int_equal(rig_messages(r), 0);
		}
	}
}

static void
a_large_body_that_fails_is_never_ok(void **state)
{
	struct rig *r = *state;

	fail_next(r, K_SYNC, 1);
	assert_int_equal(rig_put_big(r, 1, "a.example", 600 * 1024), STORE_UNKNOWN);
	fail_next(r, K_RENAME, 1);
	assert_int_equal(rig_put_big(r, 2, "a.example", 600 * 1024), STORE_UNKNOWN);
	fail_next(r, K_PUSH, 1); /* the sync behind it would not tell */
	pushed = 0;
	assert_int_equal(rig_put_big(r, 3, "a.example", 600 * 1024), STORE_UNKNOWN);
	assert_int_equal(pushed, 600 * 1024);
	rig_turn(r, 100);
	rig_crash(r);
	rig_open(r);
	assert_int_equal(rig_messages(r), 0);
}

static void
make_slow(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	slow_dev = st.st_dev;
	slow_ino = st.st_ino;
}

/* A disk that is busy with a large body for long: mail of a few octets is kept meanwhile. */
static void
small_mail_does_not_wait_for_a_large_body(void **state)
{
	struct rig *r = *state;

	r->on_spill = make_slow;
	rig_put_big_start(r, 8, "a.example", 600 * 1024);
	r->on_spill = NULL;
	assert_int_equal(rig_put(r, 1, "a.example", 500), STORE_OK);
	assert_int_equal(r->leases[0].id, 1);
	r->done = false;
	slow_ino = 0;
	rig_wait(r);
	assert_int_equal(r->result, STORE_OK);
	assert_int_equal(r->leases[0].id, 8);
	assert_int_equal(r->leases[0].size, 600 * 1024);
}

static struct store_stats
stats(const struct rig *r)
{
	struct store_stats out;

	store_stats(r->store, &out);
	return out;
}

/* So many messages, each in a turn of its own, while the first one's batch is in the thread. */
static void
put_behind_a_slow_one(struct rig *r, uint64_t id, size_t n, size_t size)
{
	rig_idle(r);
	r->count = 0;
	all_slow = true;
	for (size_t i = 0; i < n; i++) {
		rig_put_start(r, id + i, "a.example", size, false);
		rig_turn(r, 5);
	}
	assert_int_equal(r->count, 0);
}

static void
release(struct rig *r, size_t n)
{
	int64_t end = time_mono_ms() + 20000;

	all_slow = false;
	while (r->count < n && time_mono_ms() < end)
		rig_turn(r, 1);
	assert_int_equal(r->count, n);
}

/* However many join the batch that lies ready, and where it grows too large for that: there are two. */
static void
what_waits_goes_together(void **state)
{
	static const size_t many[] = {2, 3, 9, 10, 16};
	struct rig         *r = *state;
	uint64_t            id = 1;

	for (size_t i = 0; i < ARRAY_LEN(many); i++) {
		uint64_t before;

		rig_idle(r);
		before = stats(r).commits;
		put_behind_a_slow_one(r, id, many[i], 500);
		release(r, many[i]);
		for (size_t k = 0; k < many[i]; k++)
			assert_int_equal(r->results[k], STORE_OK);
		assert_int_equal(stats(r).commits - before, 2);
		id += many[i];
	}
	rig_crash(r);
	rig_open(r);
	assert_int_equal(rig_lease(r, "a.example", RIG_LEASES), id - 1);
}

/* It is written elsewhere, for nobody knows what the failed file has lost. */
static void
what_lies_ready_behind_a_failure_is_kept(void **state)
{
	static const enum kind kinds[] = {K_SYNC, K_WRITE};
	struct rig            *r = *state;

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		rig_idle(r);
		if (kinds[i] == K_WRITE) {
			plan[K_WRITE] = 1; /* the first one has been written when the others come */
			length[K_WRITE] = 1;
		}
		put_behind_a_slow_one(r, 10 * (i + 1), 3, 500);
		if (kinds[i] == K_SYNC) {
			plan[K_SYNC] = 0;
			length[K_SYNC] = 1;
		}
		release(r, 3);
		assert_int_equal(r->results[0], kinds[i] == K_SYNC ? STORE_UNKNOWN : STORE_OK);
		assert_int_equal(r->results[1], kinds[i] == K_SYNC ? STORE_OK : STORE_UNKNOWN);
		assert_int_equal(r->results[2], kinds[i] == K_SYNC ? STORE_OK : STORE_UNKNOWN);
		no_plans();
	}
	rig_idle(r);
	rig_crash(r);
	rig_open(r);
	assert_int_equal(rig_lease(r, "a.example", 10), 3);
	for (size_t i = 0; i < 3; i++)
		assert_true(r->leases[i].id == 11 || r->leases[i].id == 12 ||
		            r->leases[i].id == 20);
	assert_int_equal(stats(r).damaged, 0);
}

/* The end of a segment comes at any of the two. */
static void
batches_that_follow_pass_from_file_to_file(void **state)
{
	struct rig *r = *state;
	char        name[64];

	for (uint64_t id = 0; id < 60; id += 2) {
		put_behind_a_slow_one(r, 100 + id, 2, 150000 + 3000 * id);
		release(r, 2);
		assert_int_equal(r->results[0], STORE_OK);
		assert_int_equal(r->results[1], STORE_OK);
	}
	assert_true(rig_files(r, ".seg", name) >= 3);
	rig_crash(r);
	rig_open(r);
	assert_int_equal(rig_messages(r), 60);
	assert_int_equal(stats(r).damaged, 0);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

/* What could not be read once is not thrown away: neither its octets nor its file. */
static void
a_failed_read_at_the_start_loses_nothing(void **state)
{
	struct rig *r = *state;

	for (uint64_t id = 1; id <= 3; id++)
		assert_int_equal(rig_put(r, id, "a.example", 1000), STORE_OK);
	for (int nth = 0; nth < 12; nth++) {
		rig_crash(r);
		plan[K_READ] = nth;
		length[K_READ] = 1000;
		rig_open(r);
		rig_turn(r, 20);
		no_plans();
		rig_crash(r);
		rig_open(r);
		assert_int_equal(rig_list(r, &(struct store_filter){0}), 3);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_failed_sync_is_never_ok),
		CASE(a_failed_write_is_never_ok),
		CASE(a_write_that_leaves_nothing_is_no_damage),
		CASE(the_failed_file_is_not_used_again),
		CASE(states_of_a_failed_batch_are_written_again),
		CASE(moved_mail_that_is_done_stays_done),
		CASE(what_heals_is_counted_once),
		CASE(a_second_failure_stops_intake),
		CASE(no_room_is_full_and_passes),
		CASE(who_waits_when_there_is_no_room_is_told),
		CASE(every_single_failure),
		CASE(a_large_body_that_fails_is_never_ok),
		CASE(small_mail_does_not_wait_for_a_large_body),
		CASE(what_waits_goes_together),
		CASE(what_lies_ready_behind_a_failure_is_kept),
		CASE(batches_that_follow_pass_from_file_to_file),
		CASE(a_failed_read_at_the_start_loses_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
