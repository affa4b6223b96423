/* SPDX-License-Identifier: ISC */
/*
 * The rules of queue/store.h, each as a test, against every kind of store that the rig
 * knows. Nothing in this file knows of segments: a second store needs a line in rig_kinds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/mail/ids.h"
#include "lib/util/log.h"
#include "lib/util/time.h"
#include "tests/unit/queue/store_rig.h"

static void
quiet(struct str line)
{
	(void)line;
}

static const struct rig_kind *kind;

static int
setup(void **state)
{
	static struct rig rig;

	log_hook(quiet);
	rig_init(&rig);
	rig.kind = kind;
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

static void
commit_leases_all_parts(void **state)
{
	struct rig *r = *state;

	assert_int_equal(rig_put(r, 1, "a.example b.example", 100), STORE_OK);
	assert_int_equal(r->n_leases, 2);
	assert_string_equal(r->leases[0].lane, "a.example");
	assert_string_equal(r->leases[1].lane, "b.example");
	assert_true(r->leases[1].token > r->leases[0].token);
	assert_int_equal(strlen(r->leases[0].body), 100);
	assert_int_equal(rig_lease(r, "a.example", 10), 0);
}

static void
commit_survives_a_crash(void **state)
{
	struct rig *r = *state;

	assert_int_equal(rig_put(r, 1, "a.example", 5000), STORE_OK);
	assert_int_equal(rig_put(r, 2, "a.example", 100), STORE_OK);
	rig_crash(r);
	rig_open(r);
	assert_int_equal(rig_messages(r), 2);
	assert_int_equal(rig_lease(r, "a.example", 10), 2);
	assert_int_equal(r->leases[0].size, 5000);
	assert_int_equal(r->leases[1].size, 100);
}

static void
put_is_idempotent(void **state)
{
	struct rig *r = *state;

	assert_int_equal(rig_put(r, 7, "a.example", 100), STORE_OK);
	assert_int_equal(rig_put(r, 7, "a.example", 100), STORE_OK);
	assert_int_equal(r->n_leases, 0);
	assert_int_equal(rig_messages(r), 1);
}

static void
held_parts_are_not_leased(void **state)
{
	struct rig *r = *state;

	assert_int_equal(rig_put_held(r, 1, "a.example", 100), STORE_OK);
	assert_int_equal(r->n_leases, 0);
	assert_int_equal(rig_lease(r, "a.example", 1), 0);
	rig_crash(r);
	rig_open(r);
	assert_int_equal(rig_lease(r, "a.example", 1), 0);
	assert_int_equal(rig_list(r, &(struct store_filter){.status = STATUS_HELD}), 1);
	assert_non_null(strstr(r->text.p, "held 0 [capture]"));
	assert_int_equal(rig_act(r, &(struct store_filter){0}, ACT_RELEASE), STORE_OK);
	assert_int_equal(r->count, 1);
	assert_string_equal(r->last_work, "a.example");
	assert_int_equal(rig_lease(r, "a.example", 1), 1);
}

static void
old_tokens_are_stale(void **state)
{
	struct rig      *r = *state;
	struct rig_lease old;

	rig_put(r, 1, "a.example", 100);
	old = r->leases[0];
	assert_int_equal(rig_settle(r, &old, STORE_RELEASE, 0, NULL), STORE_OK);
	assert_int_equal(rig_lease(r, "a.example", 1), 1);
	assert_true(r->leases[0].token > old.token);
	assert_int_equal(r->leases[0].tries, 0);
	assert_int_equal(rig_settle(r, &old, STORE_DONE, 0, "250 ok"), STORE_STALE);
	assert_int_equal(rig_messages(r), 1);
	assert_int_equal(rig_settle(r, &r->leases[0], STORE_DONE, 0, "250 ok"), STORE_OK);
	assert_int_equal(rig_messages(r), 0);
}

static void
done_survives(void **state)
{
	struct rig *r = *state;

	rig_put(r, 1, "a.example", 100);
	assert_int_equal(rig_settle(r, &r->leases[0], STORE_DONE, 0, "250 ok"), STORE_OK);
	rig_crash(r);
	rig_open(r);
	assert_int_equal(rig_messages(r), 0);
}

static void
defer_waits_and_keeps_replies(void **state)
{
	struct rig *r = *state;
	int64_t     due;
	size_t      n;

	rig_put(r, 1, "a.example", 100);
	due = time_wall_ms() + 1500;
	assert_int_equal(rig_settle(r, &r->leases[0], STORE_DEFER, due, "451 later"), STORE_OK);
	n = rig_lease(r, "a.example", 1);
	assert_true(n == 0 || time_wall_ms() >= due);
	r->works = n == 0 ? 0 : 1;
	while (r->works == 0)
		rig_turn(r, 10);
	assert_int_equal(r->works, 1);
	assert_int_equal(n == 0 ? rig_lease(r, "a.example", 1) : n, 1);
	assert_int_equal(r->leases[0].tries, 1);
	assert_string_equal(r->leases[0].reply, "451 later");
	assert_int_equal(strlen(r->leases[0].body), 100);
}

/* Nobody was asked: no attempt is counted, the replies are kept all the same. */
static void
put_off_is_not_counted(void **state)
{
	struct rig *r = *state;

	rig_put(r, 1, "a.example", 100);
	rig_settle(r, &r->leases[0], STORE_DEFER, 0, "451 later");
	assert_int_equal(rig_lease(r, "a.example", 1), 1);
	rig_settle(r, &r->leases[0], STORE_PUT_OFF, time_wall_ms() + 100000, "451 held");
	rig_crash(r);
	rig_open(r);
	assert_int_equal(rig_lease(r, "a.example", 1), 0);
	rig_list(r, &(struct store_filter){0});
	assert_string_equal(r->text.p, "1 a.example deferred 1 0=451 held\n");
	assert_int_equal(rig_act(r, &(struct store_filter){0}, ACT_RETRY), STORE_OK);
	assert_int_equal(rig_lease(r, "a.example", 1), 1);
	assert_int_equal(r->leases[0].tries, 1);
	assert_string_equal(r->leases[0].reply, "451 held");
}

static void
defer_survives(void **state)
{
	struct rig *r = *state;

	rig_put(r, 1, "a.example b.example", 100);
	struct rig_lease b = r->leases[1];
	rig_settle(r, &r->leases[0], STORE_DEFER, time_wall_ms() + 100000, "451 later");
	rig_settle(r, &b, STORE_DONE, 0, "250 ok");
	rig_crash(r);
	rig_open(r);
	assert_int_equal(rig_messages(r), 1);
	assert_int_equal(rig_lease(r, "a.example", 1), 0);
	assert_int_equal(rig_lease(r, "b.example", 1), 0);
	rig_list(r, &(struct store_filter){0});
	assert_string_equal(r->text.p,
	                    "1 a.example deferred 1 0=451 later\n1 b.example done 0 1=250 ok\n");
	assert_int_equal(rig_act(r, &(struct store_filter){0}, ACT_RETRY), STORE_OK);
	assert_int_equal(rig_lease(r, "a.example", 1), 1);
	assert_int_equal(r->leases[0].tries, 1);
}

static void
a_later_time_is_kept_from_the_first_on(void **state)
{
	struct rig *r = *state;
	int64_t     due;

	r->due_ms = due = time_wall_ms() + 1500;
	assert_int_equal(rig_put(r, 1, "a.example b.example", 100), STORE_OK);
	r->due_ms += 100000;
	assert_int_equal(rig_put(r, 2, "a.example", 100), STORE_OK);
	assert_int_equal(r->n_leases, 0);
	rig_crash(r);
	rig_open(r);
	rig_list(r, &(struct store_filter){.lane = STR("a.example"), .older_ms = INT64_MAX});
	assert_non_null(strstr(r->text.p, "2 a.example deferred 0 [over-rate]"));
	while (time_wall_ms() <= due || strcmp(r->last_work, "b.example") != 0)
		rig_turn(r, 10);
	assert_int_equal(rig_lease(r, "a.example", 9), 1);
	assert_int_equal(r->leases[0].id, 1);
	assert_int_equal(r->leases[0].tries, 0);
	assert_int_equal(strlen(r->leases[0].body), 100);
	assert_int_equal(rig_act(r, &(struct store_filter){0}, ACT_RETRY), STORE_OK);
	assert_int_equal(rig_lease(r, "a.example", 9), 1);
	assert_int_equal(r->leases[0].id, 2);
}

static void
last_done_part_takes_the_message(void **state)
{
	struct rig *r = *state;

	rig_put(r, 1, "a.example b.example", 100);
	struct rig_lease b = r->leases[1];
	assert_int_equal(rig_settle(r, &r->leases[0], STORE_DONE, 0, "250 ok"), STORE_OK);
	assert_int_equal(rig_messages(r), 1);
	assert_int_equal(rig_settle(r, &b, STORE_DONE, 0, "250 ok"), STORE_OK);
	assert_int_equal(rig_messages(r), 0);
	assert_false(rig_body(r, 1));
}

static void
leases_run_out(void **state)
{
	struct rig      *r = *state;
	struct rig_lease old;

	rig_close(r);
	r->lease_ms = 100;
	rig_open(r);
	rig_put(r, 1, "a.example", 100);
	old = r->leases[0];
	rig_turn(r, 200);
	assert_int_equal(rig_lease(r, "a.example", 1), 1);
	assert_int_equal(rig_settle(r, &old, STORE_DONE, 0, "250 ok"), STORE_STALE);
	store_renew(r->store, r->leases[0].id, r->leases[0].part, r->leases[0].token, 60000);
	old = r->leases[0];
	rig_turn(r, 200);
	assert_int_equal(rig_settle(r, &old, STORE_DONE, 0, "250 ok"), STORE_OK);
	r->lease_ms = 0;
}

static void
a_new_life_gives_larger_tokens(void **state)
{
	struct rig      *r = *state;
	struct rig_lease old;

	rig_put(r, 1, "a.example", 100);
	old = r->leases[0];
	rig_crash(r);
	rig_open(r);
	assert_int_equal(rig_lease(r, "a.example", 1), 1);
	assert_true(r->leases[0].token > old.token);
	assert_int_equal(rig_settle(r, &old, STORE_DONE, 0, "250 ok"), STORE_STALE);
}

static void
delete_makes_leases_stale(void **state)
{
	struct rig *r = *state;

	rig_put(r, 1, "a.example", 100);
	assert_int_equal(rig_act(r, &(struct store_filter){0}, ACT_DELETE), STORE_OK);
	assert_int_equal(r->count, 1);
	assert_string_equal(r->last_change, "deleted");
	assert_int_equal(rig_settle(r, &r->leases[0], STORE_DONE, 0, "250 ok"), STORE_STALE);
	assert_int_equal(rig_messages(r), 0);
	rig_crash(r);
	rig_open(r);
	assert_int_equal(rig_messages(r), 0);
}

static void
hold_waits_for_a_lease_to_end(void **state)
{
	struct rig *r = *state;

	rig_put(r, 1, "a.example", 100);
	rig_act(r, &(struct store_filter){0}, ACT_HOLD);
	assert_int_equal(rig_settle(r, &r->leases[0], STORE_DEFER, 0, "451 later"), STORE_OK);
	assert_int_equal(rig_lease(r, "a.example", 1), 0);
	rig_list(r, &(struct store_filter){.status = STATUS_HELD});
	assert_string_equal(r->text.p,
	                    "1 a.example held 1 [held by the administrator] 0=451 later\n");
}

/* A report that has been delivered is not made again by a crash before its message was settled. */
static void
derived_ids_are_remembered(void **state)
{
	struct rig *r = *state;
	uint64_t    id = id_derive(1, 0, 1);

	/* The parent: as long as it is there, its reports are remembered. */
	assert_int_equal(rig_put_held(r, 1, "b.example", 100), STORE_OK);
	r->derived = true;
	assert_int_equal(rig_put(r, id, "a.example", 100), STORE_OK);
	assert_int_equal(rig_settle(r, &r->leases[0], STORE_DONE, 0, "250 ok"), STORE_OK);
	assert_int_equal(rig_messages(r), 1);
	assert_int_equal(rig_put(r, id, "a.example", 100), STORE_OK);
	assert_int_equal(rig_messages(r), 1);
	rig_crash(r);
	rig_open(r);
	assert_int_equal(rig_put(r, id, "a.example", 100), STORE_OK);
	assert_int_equal(rig_messages(r), 1);
	rig_close(r);
	rig_open(r);
	assert_int_equal(rig_put(r, id, "a.example", 100), STORE_OK);
	assert_int_equal(rig_messages(r), 1);
}

static void
filters_choose(void **state)
{
	static const struct {
		const char         *name;
		struct store_filter f;
		size_t              rows;
	} rows[] = {
		{"all", {.status = STATUS_ANY}, 3},
		{"lane", {.lane = {"b.example", 9}}, 2},
		{"no such lane", {.lane = {"c.example", 9}}, 0},
		{"from", {.from = {"*@example.com", 13}}, 3},
		{"from nobody", {.from = {"*@example.org", 13}}, 0},
		{"to", {.to = {"bob1@b.example", 14}}, 1},
		{"older", {.older_ms = 1000}, 0},
		{"held", {.status = STATUS_HELD}, 1},
		{"active", {.status = STATUS_ACTIVE}, 2},
		{"active in lane", {.status = STATUS_ACTIVE, .lane = {"b.example", 9}}, 2},
		{"held in lane", {.status = STATUS_HELD, .lane = {"b.example", 9}}, 0},
	};
	struct rig *r = *state;

	rig_put(r, 1, "a.example b.example", 100);
	rig_put(r, 2, "b.example", 100);
	rig_put_held(r, 3, "a.example", 100);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		size_t n = rig_list(r, &rows[i].f);

		if (n != rows[i].rows)
			print_error("%s: %zu rows\n%s", rows[i].name, n, r->text.p);
		assert_int_equal(n, rows[i].rows);
	}
}

static void
leases_come_by_due_time(void **state)
{
	struct rig *r = *state;
	int64_t     now = time_wall_ms();

	for (uint64_t i = 1; i <= 4; i++) {
		rig_put(r, i, "a.example", 10);
		rig_settle(r, &r->leases[0], STORE_RELEASE, now + 3500 - 500 * (int64_t)i, NULL);
	}
	while (time_wall_ms() <= now + 3500)
		rig_turn(r, 20);
	for (uint64_t i = 4; i >= 1; i--) {
		assert_int_equal(rig_lease(r, "a.example", 1), 1);
		assert_int_equal(r->leases[0].id, i);
	}
}

/* A renewal with an old token keeps nothing alive. */
static void
old_tokens_renew_nothing(void **state)
{
	struct rig      *r = *state;
	struct rig_lease old;

	rig_close(r);
	r->lease_ms = 100;
	rig_open(r);
	rig_put(r, 1, "a.example", 10);
	old = r->leases[0];
	rig_settle(r, &old, STORE_RELEASE, 0, NULL);
	assert_int_equal(rig_lease(r, "a.example", 1), 1);
	store_renew(r->store, 1, 0, r->leases[0].token, 100);
	store_renew(r->store, 1, 0, old.token, 60000);
	rig_turn(r, 200);
	while (rig_lease(r, "a.example", 1) == 0)
		rig_turn(r, 10);
	assert_true(r->leases[0].token > old.token + 1);
	r->lease_ms = 0;
}

static void
a_listing_comes_by_age(void **state)
{
	static const uint64_t order[] = {9, 3, 1ull << 63 | 4, 7, 1};
	struct rig           *r = *state;

	for (size_t i = 0; i < ARRAY_LEN(order); i++)
		rig_put_held(r, order[i], "a.example", 10);
	assert_int_equal(rig_list(r, &(struct store_filter){0}), 5);
	assert_true(str_starts(buf_str(&r->text), STR("1 a.example held")));
	assert_non_null(strstr(r->text.p, "\n3 a.example held"));
	assert_true(strstr(r->text.p, "\n3 ") < strstr(r->text.p, "\n7 "));
	assert_true(strstr(r->text.p, "\n7 ") < strstr(r->text.p, "\n9 "));
	assert_true(strstr(r->text.p, "\n9 ") < strstr(r->text.p, "\n8000000000000004 "));
}

struct page {
	uint64_t ids[64];
	size_t   n;
	bool     over;
};

/* One row a page. */
static bool
on_page(void *arg, const struct store_row *row)
{
	struct page *p = arg;

	if (row == NULL)
		p->over = true;
	else
		p->ids[p->n++] = row->id;
	return false;
}

/* What is there all the time comes once, whatever comes and goes between two pages. */
static void
a_listing_goes_on_while_mail_comes_and_goes(void **state)
{
	struct rig         *r = *state;
	struct store_filter f = {0};
	struct store_cursor c = {0};
	struct page         page = {0};
	const uint64_t      gone[] = {30, 40};

	for (uint64_t id = 10; id <= 60; id += 10)
		rig_put_held(r, id, "a.example", 10);
	while (!c.end) {
		page.over = false;
		store_list(r->store, &f, &c, on_page, &page);
		while (!page.over)
			rig_turn(r, 1);
		if (page.n == 3 && rig_messages(r) == 6) {
			rig_act(r, &(struct store_filter){.exact = gone, .n_exact = 2}, ACT_DELETE);
			rig_put_held(r, 15, "a.example", 10);
			rig_put_held(r, 55, "a.example", 10);
		}
	}
	store_cursor_free(&c);
	assert_int_equal(page.n, 6);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(page.ids[i], 10 * (i + 1));
	assert_int_equal(page.ids[3], 50);
	assert_int_equal(page.ids[4], 55);
	assert_int_equal(page.ids[5], 60);
}

static void
prefixes_must_be_unique(void **state)
{
	struct rig *r = *state;
	char        text[32] = {0};
	struct buf  id = BUF(sizeof text);
	char        other_text[32] = {0};
	struct buf  other = BUF(sizeof other_text);
	struct str  prefix, whole[3];

	for (uint64_t i = 1; i <= 60; i++)
		rig_put(r, i, "a.example", 10);
	id_format(&id, 5);
	id_format(&other, 17);
	whole[0] = whole[2] = buf_str(&other);
	whole[1] = buf_str(&id);
	prefix = str_sub(buf_str(&id), 0, 6);
	assert_int_equal(rig_list(r, &(struct store_filter){.ids = &prefix, .n_ids = 1}), 1);
	assert_int_equal(rig_list(r, &(struct store_filter){.ids = whole, .n_ids = 3}), 2);
	assert_true(str_starts(buf_str(&r->text), STR("5 ")));
	prefix = str_sub(buf_str(&id), 0, 0);
	assert_int_equal(rig_list(r, &(struct store_filter){.ids = &prefix, .n_ids = 1}), 0);
	assert_int_equal(r->result, STORE_BAD);
	assert_int_equal(rig_act(r, &(struct store_filter){.ids = &prefix, .n_ids = 1}, ACT_DELETE),
	                 STORE_BAD);
	assert_int_equal(rig_messages(r), 60);
	buf_free(&id);
	buf_free(&other);
}

static void
a_lane_is_released_whole(void **state)
{
	struct rig *r = *state;

	for (uint64_t i = 1; i <= 20; i++) {
		rig_put(r, i, i % 2 == 0 ? "a.example" : "b.example", 10);
		rig_settle(r, &r->leases[0], STORE_DEFER, time_wall_ms() + 1000000 + (int64_t)i,
		           "451 later");
	}
	assert_int_equal(rig_lease(r, "a.example", 50), 0);
	r->works = 0;
	rig_act(r, &(struct store_filter){.lane = STR("a.example"), .status = STATUS_DEFERRED},
	        ACT_RETRY);
	assert_int_equal(r->count, 10);
	assert_int_equal(r->works, 1);
	assert_int_equal(rig_lease(r, "b.example", 50), 0);
	assert_int_equal(rig_lease(r, "a.example", 3), 3);
	/* One that fails again waits again, though it comes due before the others. */
	rig_settle(r, &r->leases[0], STORE_DEFER, time_wall_ms() + 5000, "451 later");
	assert_int_equal(rig_lease(r, "a.example", 50), 7);
	assert_int_equal(rig_lease(r, "a.example", 50), 0);
}

static void
a_told_delay_is_remembered(void **state)
{
	struct rig *r = *state;

	rig_put(r, 1, "a.example", 10);
	rig_settle(r, &r->leases[0], STORE_NOTICED, 0, NULL);
	assert_int_equal(rig_lease(r, "a.example", 1), 1);
	assert_true(r->leases[0].noticed);
	assert_int_equal(r->leases[0].tries, 0);
	rig_crash(r);
	rig_open(r);
	assert_int_equal(rig_lease(r, "a.example", 1), 1);
	assert_true(r->leases[0].noticed);
}

static void
the_same_id_twice_at_once(void **state)
{
	struct rig *r = *state;

	rig_put_start(r, 5, "a.example", 10, false);
	r->count = 0;
	rig_put_start(r, 5, "a.example", 10, false);
	while (r->count < 2)
		rig_turn(r, 1);
	assert_int_equal(r->again, 1);
	assert_int_equal(rig_messages(r), 1);
}

static void
large_bodies_have_a_descriptor(void **state)
{
	struct rig *r = *state;

	assert_int_equal(rig_put_big(r, 1, "a.example b.example", 3 * 1024 * 1024), STORE_OK);
	assert_int_equal(r->n_leases, 2);
	assert_true(r->leases[0].fd >= 0);
	assert_true(str_starts(str_of(r->leases[0].body), STR("line 0 of 1\r\n")));
	rig_crash(r);
	rig_open(r);
	while (rig_lease(r, "a.example", 1) == 0) /* it may have to be read first */
		rig_turn(r, 1);
	assert_int_equal(r->leases[0].size, 3 * 1024 * 1024);
	assert_true(str_starts(str_of(r->leases[0].body), STR("line 0 of 1\r\n")));
	rig_settle(r, &r->leases[0], STORE_DONE, 0, "250 ok");
	rig_lease(r, "b.example", 1);
	rig_settle(r, &r->leases[0], STORE_DONE, 0, "250 ok");
	assert_int_equal(rig_messages(r), 0);
}

static void
wrong_sizes_are_bad(void **state)
{
	struct rig       *r = *state;
	int               fd;
	struct store_put *p = store_put(r->store, 9, &fd);

	store_abort(p);
	rig_put_start(r, 10, "a.example", 10, false);
	rig_wait(r);
	assert_int_equal(r->result, STORE_OK);
	assert_int_equal(rig_put(r, 11, "", 10), STORE_BAD);
	assert_int_equal(rig_messages(r), 1);
	close(fd);
}

static void
many_share_one_sync(void **state)
{
	struct rig        *r = *state;
	struct store_stats before, after;

	store_stats(r->store, &before);
	r->count = 0;
	for (uint64_t i = 1; i <= 500; i++)
		rig_put_start(r, i, "a.example", 1000, false);
	while (r->count < 500)
		rig_turn(r, 1);
	store_stats(r->store, &after);
	assert_int_equal(after.messages, 500);
	assert_in_range(after.commits - before.commits, 1, 3);
}

static void
bodies_can_be_read(void **state)
{
	struct rig *r = *state;

	rig_put(r, 1, "a.example", 1000);
	assert_true(rig_body(r, 1));
	assert_int_equal(r->text.n, 1000);
	assert_false(rig_body(r, 2));
}

static int64_t jump_ms;

static int64_t
jumping_wall_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000 + jump_ms;
}

static int64_t
real_mono_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* Whoever sets the clock, or wakes his machine, has not delivered the mail. */
static void
a_clock_that_jumps_ends_no_lease(void **state)
{
	struct rig      *r = *state;
	struct rig_lease first;

	jump_ms = 0;
	time_hook(jumping_wall_ms, real_mono_us);
	rig_put(r, 1, "a.example", 100);
	first = r->leases[0];
	jump_ms = 3600 * 1000;
	rig_put(r, 2, "b.example", 100);
	rig_turn(r, 20);
	assert_int_equal(rig_lease(r, "a.example", 1), 0);
	assert_int_equal(rig_settle(r, &first, STORE_DONE, 0, "250 ok"), STORE_OK);
	time_hook(NULL, NULL);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_clock_that_jumps_ends_no_lease),
		CASE(commit_leases_all_parts),
		CASE(commit_survives_a_crash),
		CASE(put_is_idempotent),
		CASE(held_parts_are_not_leased),
		CASE(old_tokens_are_stale),
		CASE(done_survives),
		CASE(defer_waits_and_keeps_replies),
		CASE(put_off_is_not_counted),
		CASE(defer_survives),
		CASE(a_later_time_is_kept_from_the_first_on),
		CASE(last_done_part_takes_the_message),
		CASE(leases_run_out),
		CASE(a_new_life_gives_larger_tokens),
		CASE(delete_makes_leases_stale),
		CASE(hold_waits_for_a_lease_to_end),
		CASE(derived_ids_are_remembered),
		CASE(filters_choose),
		CASE(leases_come_by_due_time),
		CASE(old_tokens_renew_nothing),
		CASE(a_listing_comes_by_age),
		CASE(a_listing_goes_on_while_mail_comes_and_goes),
		CASE(prefixes_must_be_unique),
		CASE(a_lane_is_released_whole),
		CASE(a_told_delay_is_remembered),
		CASE(the_same_id_twice_at_once),
		CASE(large_bodies_have_a_descriptor),
		CASE(wrong_sizes_are_bad),
		CASE(many_share_one_sync),
		CASE(bodies_can_be_read),
	};

	int failed = 0;

	for (kind = rig_kinds; kind->name != NULL; kind++)
		failed += cmocka_run_group_tests_name(kind->name, tests, NULL, NULL);
	return failed;
}
