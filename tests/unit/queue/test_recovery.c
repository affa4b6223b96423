/* SPDX-License-Identifier: ISC */
/* What a spool says after a crash, a cut, a flipped bit, a lost hint; and how old segments go. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/mail/ids.h"
#include "lib/util/log.h"
#include "lib/util/mem.h"
#include "lib/util/time.h"
#include "queue/record.h"
#include "tests/unit/queue/store_rig.h"

static unsigned n_damage, n_damaged, n_torn;

static void
count_lines(struct str line)
{
	n_damage += str_find_str(line, STR("ev=spool-damage")) >= 0;
	n_damaged += str_find_str(line, STR("ev=damaged")) >= 0;
	n_torn += str_find_str(line, STR("ev=spool-torn")) >= 0;
}

static void
no_lines_yet(void)
{
	n_damage = n_damaged = n_torn = 0;
}

static int
setup(void **state)
{
	static struct rig rig;

	log_hook(count_lines);
	no_lines_yet();
	rig_init(&rig);
	rig_open(&rig);
	*state = &rig;
	return 0;
}

static int
teardown(void **state)
{
	rig_free(*state);
	return 0;
}

/* The first segment's octets as they are after a crash. */
static char *
segment_octets(struct rig *r, char name[64], size_t *n)
{
	char  path[160];
	char *data;
	int   fd;

	rig_files(r, ".seg", name);
	snprintf(path, sizeof path, "%s/%s", r->dir, name);
	fd = open(path, O_RDONLY);
	*n = r->segment_bytes;
	data = mem_zero(*n);
	assert_int_equal(read(fd, data, *n), (ssize_t)*n);
	close(fd);
	return data;
}

/* Keep only the first segment, with these octets: as if the machine had lost power just so. */
static void
set_segment(struct rig *r, const char *name, const char *data, size_t n)
{
	char other[64], path[160];

	while (rig_files(r, ".hint", other) > 0) {
		snprintf(path, sizeof path, "%s/%s", r->dir, other);
		unlink(path);
	}
	for (;;) {
		size_t count = rig_files(r, ".seg", other);

		if (count == 1 && strcmp(other, name) == 0)
			break;
		if (count == 0)
			break;
		if (strcmp(other, name) == 0) {
			/* The names rise: go on with the last ones by removing all but ours. */
			char cmd[256];

			snprintf(cmd, sizeof cmd,
			         "cd %s && ls *.seg | grep -v '^%s$' | xargs rm -f", r->dir, name);
			assert_int_equal(system(cmd), 0);
			break;
		}
		snprintf(path, sizeof path, "%s/%s", r->dir, other);
		unlink(path);
	}
	snprintf(path, sizeof path, "%s/%s", r->dir, name);
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	assert_int_equal(write(fd, data, n), (ssize_t)n);
	assert_int_equal(ftruncate(fd, (off_t)r->segment_bytes), 0);
	close(fd);
}

static void
a_tail_cut_anywhere_loses_only_the_last(void **state)
{
	struct rig *r = *state;
	char        name[64];
	char       *data;
	size_t      n, end;

	for (uint64_t i = 1; i <= 3; i++)
		assert_int_equal(rig_put(r, i, "a.example b.example", 200), STORE_OK);
	rig_crash(r);
	data = segment_octets(r, name, &n);
	for (end = n; end > 0 && data[end - 1] == '\0'; end--)
		;
	end = (end + 63) / 64 * 64;
	for (size_t cut = 0; cut <= end; cut += 64) {
		char  *copy = mem_copy(data, end);
		size_t whole = 0;

		memset(copy + cut, 0, end - cut);
		set_segment(r, name, copy, end);
		free(copy);
		rig_open(r);
		whole = rig_messages(r);
		assert_int_equal(whole, cut / (end / 3));
		assert_int_equal(n_damage + n_damaged, 0);
		/* And again: what recovery wrote is judged the same. */
		rig_crash(r);
		rig_open(r);
		assert_int_equal(rig_messages(r), whole);
		assert_int_equal(n_damage + n_damaged, 0);
		rig_close(r);
	}
	free(data);
	rig_open(r);
}

static void
a_hole_in_acknowledged_mail_is_loud(void **state)
{
	struct rig *r = *state;
	char        name[64];
	char       *data;
	size_t      n;

	for (uint64_t i = 1; i <= 4; i++)
		rig_put(r, i, "a.example", 200);
	rig_crash(r);
	data = segment_octets(r, name, &n);
	const char *second = memmem(data + 64, n - 64, "psq1", 4);
	assert_non_null(second);
	set_segment(r, name, data, 4096);
	rig_change_file(r, name, second - data + 8, "xxxx", 4);
	free(data);
	rig_open(r);
	assert_int_equal(n_damage, 1);
	assert_int_equal(rig_messages(r), 3);
	assert_int_equal(rig_lease(r, "a.example", 10), 3);
}

static void
a_flipped_body_is_held(void **state)
{
	struct rig *r = *state;
	char        name[64];
	char       *data;
	size_t      n;

	for (uint64_t i = 1; i <= 3; i++)
		rig_put(r, i, "a.example", 2000);
	rig_crash(r);
	data = segment_octets(r, name, &n);
	free(data);
	rig_change_file(r, name, 1000, "#", 1);
	rig_open(r);
	assert_int_equal(n_damaged, 1);
	assert_int_equal(rig_messages(r), 3);
	assert_int_equal(rig_list(r, &(struct store_filter){.status = STATUS_DAMAGED}), 1);
	assert_int_equal(rig_lease(r, "a.example", 10), 2);
	assert_int_equal(rig_act(r, &(struct store_filter){.status = STATUS_DAMAGED}, ACT_RELEASE),
	                 STORE_OK);
	assert_int_equal(rig_lease(r, "a.example", 10), 0);
	rig_crash(r);
	rig_open(r);
	assert_int_equal(rig_list(r, &(struct store_filter){.status = STATUS_DAMAGED}), 1);
	assert_int_equal(rig_act(r, &(struct store_filter){.status = STATUS_DAMAGED}, ACT_DELETE),
	                 STORE_OK);
	assert_int_equal(rig_messages(r), 2);
}

static void
in_spool(const struct rig *r, const char *command)
{
	char cmd[256];

	snprintf(cmd, sizeof cmd, "cd %s && %s", r->dir, command);
	assert_int_equal(system(cmd), 0);
}

/* Changed at `at`, emptied into another segment, started anew, released: it must neither vanish nor be sent. */
static void
move_damaged(struct rig *r, long at, size_t n, bool hint)
{
	const struct store_filter damaged = {.status = STATUS_DAMAGED};
	char                      name[64], hashes[200];

	for (uint64_t i = 1; i <= 3; i++)
		rig_put(r, i, "a.example", 2000);
	if (hint)
		rig_close(r);
	else
		rig_crash(r);
	rig_files(r, ".seg", name);
	memset(hashes, '#', sizeof hashes);
	rig_change_file(r, name, at, hashes, n);
	r->slack_bytes = 1;
	for (int life = 0; life < 3; life++) {
		rig_open(r);
		rig_turn(r, 300);
		rig_idle(r);
		assert_int_equal(rig_list(r, &damaged), 1);
		assert_int_equal(rig_act(r, &damaged, ACT_RELEASE), STORE_OK);
		assert_int_equal(r->count, 0);
		assert_int_equal(rig_list(r, &damaged), 1);
		assert_int_equal(rig_messages(r), 3);
		rig_files(r, ".seg", name);
		if (life < 2)
			rig_crash(r);
	}
	assert_true(strncmp(name, "00000001", 8) > 0);
	assert_int_equal(rig_lease(r, "a.example", 10), 2);
	assert_int_equal(r->leases[0].id + r->leases[1].id, 5);
}

/* A header that is none: only the hint knows of the message. It must not keep its segment, nor those behind it. */
static void
a_lost_header_does_not_keep_the_log(void **state)
{
	const struct store_filter damaged = {.status = STATUS_DAMAGED};
	struct rig               *r = *state;
	char                      name[64];

	move_damaged(r, 0, 20, true);
	rig_files(r, ".seg", name);
	assert_true(strncmp(name, "00000001", 8) > 0);
	assert_int_equal(rig_act(r, &damaged, ACT_DELETE), STORE_OK);
	rig_crash(r);
	rig_open(r);
	assert_int_equal(rig_messages(r), 2);
	assert_int_equal(rig_list(r, &damaged), 0);
}

/* The same if somebody took the segment away: what its hint tells stays to be seen. */
static void
a_missing_segment_does_not_keep_the_log(void **state)
{
	const struct store_filter damaged = {.status = STATUS_DAMAGED};
	struct rig               *r = *state;

	for (uint64_t i = 1; i <= 3; i++)
		rig_put(r, i, "a.example", 2000);
	rig_close(r);
	in_spool(r, "rm 00000001-*.seg");
	r->slack_bytes = 1;
	for (int life = 0; life < 2; life++) {
		rig_open(r);
		rig_put(r, 10 + (uint64_t)life, "b.example", 300);
		rig_turn(r, 300);
		rig_idle(r);
		assert_int_equal(rig_list(r, &damaged), 3);
		in_spool(r, "! ls 00000001-* 2>/dev/null");
		rig_crash(r);
	}
	rig_open(r);
	assert_int_equal(rig_act(r, &damaged, ACT_DELETE), STORE_OK);
	assert_int_equal(rig_messages(r), 2);
}

static void
what_is_damaged_stays_so_when_it_is_moved(void **state)
{
	move_damaged(*state, 64, 150, false);
}

static void
a_damaged_body_stays_so_when_it_is_moved(void **state)
{
	move_damaged(*state, 1000, 1, false);
}

/* The same size, one octet another: not sent, and sent once the right file is back. Its sum moves with it. */
static void
a_large_body_that_changed_is_held(void **state)
{
	const struct store_filter damaged = {.status = STATUS_DAMAGED};
	struct rig               *r = *state;
	char                      path[128], right;
	int                       fd;

	assert_int_equal(rig_put_big(r, 1, "a.example b.example", 700 * 1024), STORE_OK);
	snprintf(path, sizeof path, "%s/big/0000000000000001", r->dir);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(pread(fd, &right, 1, 600000), 1);
	close(fd);
	for (int life = 0; life < 2; life++) {
		rig_crash(r);
		rig_change_file(r, "big/0000000000000001", 600000, "#", 1);
		r->slack_bytes = 1;
		rig_open(r);
		rig_turn(r, 300);
		assert_int_equal(rig_lease(r, "a.example", 10), 0);
		while (rig_list(r, &damaged) == 0)
			rig_turn(r, 1);
		assert_int_equal(rig_act(r, &damaged, ACT_RELEASE), STORE_OK);
		while (rig_lease(r, "b.example", 10) == 0 && rig_list(r, &damaged) == 0)
			rig_turn(r, 1);
		assert_int_equal(r->n_leases, 0);
		rig_change_file(r, "big/0000000000000001", 600000, &right, 1);
		assert_int_equal(rig_act(r, &damaged, ACT_RELEASE), STORE_OK);
		while (rig_lease(r, "a.example", 10) == 0)
			rig_turn(r, 1);
		assert_int_equal(r->leases[0].size, 700 * 1024);
	}
}

static bool blind;

/* What has something in it cannot be read. */
static ssize_t
read_blindly(int fd, void *to, size_t n, off_t at)
{
	ssize_t got = io_real.read(fd, to, n, at);

	for (ssize_t i = 0; blind && n > RECORD_HEAD && i < got; i++)
		if (((const char *)to)[i] != 0) {
			errno = EIO;
			return -1;
		}
	return got;
}

/* Nobody knows the numbers of its batches meanwhile: those of new mail must not be the same. */
static void
what_could_not_be_read_for_once_is_there_the_next_time(void **state)
{
	static struct io io;
	struct rig      *r = *state;

	io = io_real;
	io.read = read_blindly;
	r->io = &io;
	for (uint64_t id = 1; id <= 5; id++)
		assert_int_equal(rig_put(r, id, "a.example", 100), STORE_OK);
	rig_crash(r);
	blind = true;
	rig_open(r);
	blind = false;
	assert_int_equal(rig_messages(r), 0);
	for (uint64_t id = 6; id <= 7; id++)
		assert_int_equal(rig_put(r, id, "a.example", 100), STORE_OK);
	rig_crash(r);
	rig_open(r);
	assert_int_equal(rig_messages(r), 7);
}

static void
damage_found_by_moving_stays(void **state)
{
	move_damaged(*state, 1000, 1, true);
}

static void
a_flipped_body_behind_a_hint_is_found_when_read(void **state)
{
	struct rig *r = *state;
	char        name[64];

	for (uint64_t i = 1; i <= 3; i++)
		rig_put(r, i, "a.example", 2000);
	rig_close(r);
	assert_int_equal(rig_files(r, ".hint", name), 1);
	rig_files(r, ".seg", name);
	rig_change_file(r, name, 1000, "#", 1);
	rig_open(r);
	assert_int_equal(n_damaged, 0);
	assert_int_equal(rig_lease(r, "a.example", 10), 2);
	assert_int_equal(n_damaged, 1);
	assert_string_equal(r->last_change, "damaged");
	assert_int_equal(rig_list(r, &(struct store_filter){.status = STATUS_DAMAGED}), 1);
}

static void
a_lost_hint_costs_nothing(void **state)
{
	struct rig *r = *state;
	char        name[64], path[160];

	rig_put(r, 1, "a.example", 2000);
	rig_settle(r, &r->leases[0], STORE_DEFER, time_wall_ms() + 100000, "451 later");
	rig_put(r, 2, "b.example", 2000);
	rig_settle(r, &r->leases[0], STORE_DONE, 0, "250 ok");
	rig_close(r);
	assert_int_equal(rig_files(r, ".hint", name), 1);
	rig_open(r);
	rig_list(r, &(struct store_filter){0});
	assert_string_equal(r->text.p, "1 a.example deferred 1 0=451 later\n");
	rig_close(r);
	rig_files(r, ".hint", name);
	snprintf(path, sizeof path, "%s/%s", r->dir, name);
	unlink(path);
	rig_open(r);
	rig_list(r, &(struct store_filter){0});
	assert_string_equal(r->text.p, "1 a.example deferred 1 0=451 later\n");
	rig_close(r);
	rig_files(r, ".hint", name);
	rig_change_file(r, name, 50, "#", 1);
	rig_open(r);
	rig_list(r, &(struct store_filter){0});
	assert_string_equal(r->text.p, "1 a.example deferred 1 0=451 later\n");
	assert_int_equal(n_damage + n_damaged, 0);
}

static void
a_missing_segment_is_loud(void **state)
{
	struct rig *r = *state;
	char        cmd[256];

	for (uint64_t i = 1; i <= 60; i++)
		assert_int_equal(rig_put(r, i, "a.example", 200 * 1024), STORE_OK);
	rig_crash(r);
	snprintf(cmd, sizeof cmd, "cd %s && rm -f 00000002-*", r->dir);
	assert_int_equal(system(cmd), 0);
	rig_open(r);
	assert_true(n_damage >= 1);
	assert_in_range(rig_messages(r), 30, 45);
}

/* The first and the last have a neighbour on one side only: their hints tell. */
static void
the_mail_of_a_missing_segment_is_named(void **state)
{
	struct rig *r = *state;

	for (uint64_t i = 1; i <= 60; i++)
		assert_int_equal(rig_put(r, i, "a.example", 200 * 1024), STORE_OK);
	rig_close(r);
	in_spool(r, "rm 00000001-*.seg && rm $(basename $(ls 0*.hint | tail -n 1) .hint).seg");
	for (unsigned life = 0; life < 2; life++) {
		no_lines_yet();
		rig_open(r);
		assert_int_equal(n_damage, 2);
		assert_in_range(n_damaged, 15, 45);
		assert_int_equal(rig_messages(r), 60);
		rig_crash(r);
	}
	rig_open(r);
}

/* A crash between the end of a segment and that of its hint is no damage. */
static void
a_hint_of_a_retired_segment_is_nothing(void **state)
{
	struct rig      *r = *state;
	struct rig_lease leases[60];

	for (uint64_t i = 0; i < 60; i++) {
		assert_int_equal(rig_put(r, i + 1, "a.example", 200 * 1024), STORE_OK);
		leases[i] = r->leases[0];
	}
	rig_turn(r, 100);
	rig_idle(r);
	in_spool(r, "cp 00000001-*.hint keep");
	in_spool(r, "ls 00000001-*.hint > name");
	for (uint64_t i = 0; i < 25; i++)
		assert_int_equal(rig_settle(r, &leases[i], STORE_DONE, 0, "250 ok"), STORE_OK);
	rig_turn(r, 100);
	rig_idle(r);
	rig_crash(r);
	in_spool(r, "test ! -e 00000001-*.seg && mv keep $(cat name) && rm name");
	no_lines_yet();
	rig_open(r);
	assert_int_equal(n_damage + n_damaged, 0);
	assert_int_equal(rig_messages(r), 35);
	rig_turn(r, 100);
	rig_crash(r);
	rig_open(r);
	assert_int_equal(n_damage + n_damaged, 0);
}

/* A start after a crash gives up the spare that it finds; another crash must not see a gap there. */
static void
two_crashes_leave_no_gap(void **state)
{
	struct rig *r = *state;

	for (uint64_t i = 1; i <= 3; i++) {
		assert_int_equal(rig_put(r, i, "a.example", 1000), STORE_OK);
		rig_turn(r, 50);
		rig_idle(r); /* there is a spare */
		rig_crash(r);
		rig_open(r);
	}
	assert_int_equal(n_damage + n_damaged, 0);
	assert_int_equal(rig_messages(r), 3);
}

/* Mail that comes and goes: files are used again, and what they held before is never taken for mail. */
static void
recycled_segments_hold_no_ghosts(void **state)
{
	struct rig *r = *state;
	char        name[64];

	for (uint64_t i = 1; i <= 300; i++) {
		assert_int_equal(rig_put(r, i, "a.example", 100 * 1024), STORE_OK);
		assert_int_equal(rig_settle(r, &r->leases[0], STORE_DONE, 0, "250 ok"), STORE_OK);
	}
	rig_put(r, 1000, "a.example", 100);
	assert_in_range(rig_files(r, ".seg", name), 1, 4);
	rig_crash(r);
	rig_open(r);
	assert_int_equal(rig_messages(r), 1);
	assert_int_equal(n_damage + n_damaged + n_torn, 0);
}

static void
old_mail_is_moved_and_the_log_stays_bounded(void **state)
{
	struct rig *r = *state;
	char        name[64];

	rig_close(r);
	r->slack_bytes = 12 * 1024 * 1024;
	rig_open(r);
	rig_put(r, 1, "a.example b.example", 5000);
	struct rig_lease b = r->leases[1];
	rig_settle(r, &r->leases[0], STORE_DEFER, time_wall_ms() + 1000000, "451 later");
	rig_settle(r, &b, STORE_DONE, 0, "250 ok");
	rig_put_big(r, 2, "a.example", 1024 * 1024);
	rig_settle(r, &r->leases[0], STORE_DEFER, time_wall_ms() + 1000000, "451 later");
	/* Much more mail goes through than the log may hold, and a little stays in each segment. */
	for (uint64_t i = 10; i < 10 + 160; i++) {
		rig_put_start(r, i, "c.example", 200 * 1024, false);
		if (i % 8 == 7)
			rig_wait(r);
		rig_turn(r, 0);
		if (r->n_leases > 0) {
			rig_wait(r);
			rig_settle(r, &r->leases[0], STORE_DONE, 0, "250 ok");
		}
	}
	rig_turn(r, 300);
	rig_idle(r);
	assert_in_range(rig_files(r, ".seg", name), 1, 7);
	assert_true(strncmp(name, "00000001", 8) > 0);
	rig_crash(r);
	rig_open(r);
	rig_list(r, &(struct store_filter){.lane = STR("a.example")});
	assert_non_null(strstr(
		r->text.p, "1 a.example deferred 1 0=451 later\n1 b.example done 0 1=250 ok\n"));
	assert_non_null(strstr(r->text.p, "2 a.example deferred 1 0=451 later\n"));
	assert_int_equal(n_damage + n_damaged, 0);
}

/* Octets of the segments that are in the log. */
static uint64_t
log_bytes(const struct rig *r)
{
	DIR           *dir = opendir(r->dir);
	struct dirent *e;
	struct stat    st;
	uint64_t       n = 0;
	char           path[400];

	assert_non_null(dir);
	while ((e = readdir(dir)) != NULL) {
		snprintf(path, sizeof path, "%s/%s", r->dir, e->d_name);
		if (strncmp(e->d_name, "free-", 5) != 0 && strstr(e->d_name, ".seg") != NULL &&
		    stat(path, &st) == 0)
			n += (uint64_t)st.st_size;
	}
	closedir(dir);
	return n;
}

/* What stays is spread over all segments, and is tried again and again: its states move, too. */
static void
the_log_is_bounded_under_a_stubborn_backlog(void **state)
{
	static const struct store_outcome done = {.verdict = STORE_DONE},
					  later = {.verdict = STORE_DEFER, .due_ms = INT64_MAX / 2};
	struct rig       *r = *state;
	struct store_stats st;
	uint64_t           most = 0, moved = 0;

	rig_close(r);
	r->slack_bytes = 16 * 1024 * 1024;
	rig_open(r);
	for (uint64_t i = 1; i <= 1000; i++) {
		rig_put(r, i, "a.example", 90 * 1024);
		store_settle(r->store,
		             &(struct store_lease){.id = i, .token = r->leases[0].token},
		             i % 12 == 0 ? &later : &done, NULL, NULL);
		store_stats(r->store, &st);
		if (log_bytes(r) > 2 * st.bytes) {
			uint64_t over = log_bytes(r) - 2 * st.bytes;

			most = over > most ? over : most;
		}
	}
	assert_in_range(most, 1, 16 * 1024 * 1024);
	rig_turn(r, 300);
	rig_crash(r);
	rig_open(r);
	assert_int_equal(rig_list(r, &(struct store_filter){0}), 1000 / 12);
	for (uint64_t i = 12; i <= 1000; i += 12)
		moved += rig_body(r, i) ? 1u : 0u;
	assert_int_equal(moved, 1000 / 12);
	assert_int_equal(n_damage + n_damaged, 0);
}

/* Records written into a body by a sender: right magic, right place, wrong salt. */
static void
forged_records_are_not_believed(void **state)
{
	struct rig *r = *state;
	char        name[64];
	char       *data;
	size_t      n;

	for (uint64_t i = 1; i <= 3; i++)
		rig_put(r, i, "a.example", 4000);
	rig_crash(r);
	data = segment_octets(r, name, &n);
	/* A copy of a real record's head in another segment's body, then a hole before it. */
	char *head = mem_copy(data, 64);
	free(data);
	rig_open(r);
	rig_settle(r, &r->leases[0], STORE_DONE, 0, NULL);
	rig_close(r);
	rig_files(r, ".seg", name);
	rig_change_file(r, name, 1024, head, 64);
	rig_change_file(r, name, 0, "xxxx", 4);
	char hint[64], path[160];
	while (rig_files(r, ".hint", hint) > 0) {
		snprintf(path, sizeof path, "%s/%s", r->dir, hint);
		unlink(path);
	}
	free(head);
	rig_open(r);
	assert_true(n_damage >= 1);
	assert_true(rig_messages(r) <= 3);
}

static void
read_only_changes_nothing(void **state)
{
	struct rig *r = *state;
	char        cmd[256];

	rig_put(r, 1, "a.example", 100);
	rig_crash(r);
	snprintf(
		cmd, sizeof cmd,
		"cd %s && ls -la --time-style=full-iso . big | grep -v ' \\.\\.$' >../before.%d; md5sum *.seg >>../before.%d",
		r->dir, (int)getpid(), (int)getpid());
	assert_int_equal(system(cmd), 0);
	r->read_only = true;
	rig_open(r);
	assert_int_equal(rig_list(r, &(struct store_filter){0}), 1);
	assert_true(rig_body(r, 1));
	rig_close(r);
	r->read_only = false;
	snprintf(
		cmd, sizeof cmd,
		"cd %s && (ls -la --time-style=full-iso . big | grep -v ' \\.\\.$'; md5sum *.seg) | cmp - ../before.%d && rm ../before.%d",
		r->dir, (int)getpid(), (int)getpid());
	assert_int_equal(system(cmd), 0);
	rig_open(r);
}

static void
orphans_of_large_bodies_go(void **state)
{
	struct rig *r = *state;
	char        cmd[256];

	assert_int_equal(rig_put_big(r, 0x4d, "a.example", 300 * 1024), STORE_OK);
	rig_crash(r);
	snprintf(cmd, sizeof cmd, "cd %s/big && touch 000000000000004e 000000000000004f.tmp x",
	         r->dir);
	assert_int_equal(system(cmd), 0);
	rig_open(r);
	snprintf(cmd, sizeof cmd, "test \"$(ls -A %s/big)\" = 000000000000004d", r->dir);
	assert_int_equal(system(cmd), 0);
	while (rig_lease(r, "a.example", 1) == 0)
		rig_turn(r, 1);
}

/* A small file system that fills: FULL, deliveries go on, intake comes back. */
static void
a_full_disk_recovers(void **state)
{
	struct rig      *r = *state;
	struct rig_lease kept[256];
	size_t           n = 0;
	uint64_t         id = 1;

	rig_close(r);
	if (geteuid() != 0 || mount("tmpfs", r->dir, "tmpfs", 0, "size=32m") != 0) {
		rig_open(r);
		skip();
	}
	r->segment_bytes = 0;
	rig_open(r);
	while (n < 256 && rig_put(r, id++, "a.example", 200 * 1024) == STORE_OK)
		kept[n++] = r->leases[0];
	assert_true(n > 20 && n < 256);
	assert_true(r->result == STORE_FULL);
	assert_int_equal(r->state, STORE_NO_ROOM);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(rig_settle(r, &kept[i], STORE_DONE, 0, "250 ok"), STORE_OK);
	for (int i = 0; i < 1200 && r->state != STORE_OPEN; i++)
		rig_turn(r, 100);
	assert_int_equal(r->state, STORE_OPEN);
	assert_int_equal(rig_put(r, id++, "a.example", 200 * 1024), STORE_OK);
	assert_int_equal(rig_messages(r), 1);
	rig_close(r);
	rig_open(r);
	assert_int_equal(rig_messages(r), 1);
	rig_close(r);
	assert_int_equal(umount(r->dir), 0);
	r->segment_bytes = 4 * 1024 * 1024;
	rig_open(r);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_tail_cut_anywhere_loses_only_the_last),
		CASE(a_hole_in_acknowledged_mail_is_loud),
		CASE(a_flipped_body_is_held),
		CASE(what_is_damaged_stays_so_when_it_is_moved),
		CASE(a_lost_header_does_not_keep_the_log),
		CASE(a_missing_segment_does_not_keep_the_log),
		CASE(a_damaged_body_stays_so_when_it_is_moved),
		CASE(what_could_not_be_read_for_once_is_there_the_next_time),
		CASE(damage_found_by_moving_stays),
		CASE(a_large_body_that_changed_is_held),
		CASE(a_flipped_body_behind_a_hint_is_found_when_read),
		CASE(a_lost_hint_costs_nothing),
		CASE(a_missing_segment_is_loud),
		CASE(the_mail_of_a_missing_segment_is_named),
		CASE(a_hint_of_a_retired_segment_is_nothing),
		CASE(two_crashes_leave_no_gap),
		CASE(recycled_segments_hold_no_ghosts),
		CASE(old_mail_is_moved_and_the_log_stays_bounded),
		CASE(the_log_is_bounded_under_a_stubborn_backlog),
		CASE(forged_records_are_not_believed),
		CASE(read_only_changes_nothing),
		CASE(orphans_of_large_bodies_go),
		CASE(a_full_disk_recovers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
