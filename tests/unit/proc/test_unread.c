/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/net/loop.h"
#include "lib/proc/unread.h"
#include "lib/util/buf.h"
#include "lib/util/log.h"
#include "tests/fake/fake.h"

static struct buf log_lines;
static unsigned   tries;

static void
line(struct str text)
{
	buf_add(&log_lines, text);
	buf_addc(&log_lines, '\n');
}

static void
again(void *arg)
{
	(void)arg;
	tries++;
}

static struct unread *
begin(struct loop **l)
{
	log_lines = BUF(65536);
	tries = 0;
	log_hook(line);
	*l = loop_create();
	return unread_create(*l, again, NULL);
}

static void
end(struct loop *l, struct unread *u)
{
	unread_destroy(u);
	log_hook(NULL);
	loop_destroy(l);
	buf_free(&log_lines);
}

/* One rendering: "PATH" is read, "PATH!WHY" is not. */
static bool
render(struct unread *u, unsigned keyd, const char *files)
{
	struct str rest = str_of(files), word;

	unread_begin(u, keyd);
	while ((word = str_word(&rest)).n > 0) {
		ptrdiff_t  mark = str_find(word, '!');
		struct buf why = BUF(100);

		if (mark >= 0)
			buf_add(&why, str_skip(word, (size_t)mark + 1));
		unread_told(u, mark < 0 ? word : str_sub(word, 0, (size_t)mark),
		            mark < 0 ? NULL : buf_z(&why));
		buf_free(&why);
	}
	return unread_end(u);
}

static unsigned
lines_with(const char *what)
{
	unsigned    n = 0;
	const char *at = buf_z(&log_lines);

	while ((at = strstr(at, what)) != NULL) {
		at++;
		n++;
	}
	return n;
}

static void
what_heals_is_told_to_those_who_lacked_it(void **state)
{
	/* Three renderings; the last is a try that only says something if there is news for that keyd. */
	static const struct {
		const char *first, *second, *third;
		bool        news, lacks;
		unsigned    told, usable;
	} rows[] = {
		{"/a /b", "/a /b", "/a /b", false, false, 0, 0},
		{"/a!EIO /b", "/a /b", "/a /b", true, false, 1, 1},
		{"/a!EIO /b", "/a!EIO /b", "/a /b", true, false, 1, 0},
		{"/a!EIO /b", "/a!EIO /b", "/a!EIO /b", false, true, 1, 0},
		{"/a!EIO /b", "/a!EMFILE /b", "/a!EMFILE /b", false, true, 2, 0},
		{"/a!EIO /b!EIO", "/a /b", "/a /b!EIO", true, true, 2, 1},
		{"/a!EIO /b", "/a /b", "/b", false, false, 1, 0},
		/* two keys in one file, the second of which was read */
		{"/a!EIO /a", "/a", "/a!EIO /a", false, true, 1, 0},
		{"/a!EIO /a", "/a", "/a /a!EIO", false, true, 1, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct loop   *l;
		struct unread *u = begin(&l);

		assert_false(render(u, 0, rows[i].first));
		assert_false(render(u, 1, rows[i].second));
		if (render(u, 0, rows[i].third) != rows[i].news || unread_lacks(u, 0) != rows[i].lacks ||
		    lines_with("ev=key-unusable level=error file=/") != rows[i].told ||
		    lines_with("ev=key-usable file=/") != rows[i].usable)
			fail_msg("row %zu:\n%s", i, buf_z(&log_lines));
		end(l, u);
	}
}

static void
patience_grows_to_a_minute_and_ends(void **state)
{
	static const int64_t waits_ms[] = {2000, 4000, 8000, 16000, 32000, 60000, 60000};
	struct loop         *l;
	struct unread       *u = begin(&l);

	(void)state;
	fake_wait(l, 3600 * 1000);
	assert_int_equal(tries, 0);
	assert_false(render(u, 3, "/a!EIO"));
	for (unsigned i = 0; i < ARRAY_LEN(waits_ms); i++) {
		fake_wait(l, waits_ms[i] - 1);
		assert_int_equal(tries, i);
		fake_wait(l, 1);
		assert_int_equal(tries, i + 1);
		assert_false(render(u, 3, "/a!EIO"));
	}
	/* another file's failure is a fresh one */
	assert_false(render(u, 3, "/a!EIO /b!EIO"));
	tries = 0;
	fake_wait(l, 2000);
	assert_int_equal(tries, 1);
	assert_true(render(u, 3, "/a /b"));
	tries = 0;
	fake_wait(l, 3600 * 1000);
	assert_int_equal(tries, 0);
	end(l, u);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_heals_is_told_to_those_who_lacked_it),
		cmocka_unit_test(patience_grows_to_a_minute_and_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
