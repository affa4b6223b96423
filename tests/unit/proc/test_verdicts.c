/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/proc/keys_seen.h"
#include "lib/proc/verdicts.h"

/* What `changed` was told, one "id subject was>now" a line. */
static struct buf told;

static void
changed(const struct verdict *now, const char *was)
{
	buf_addf(&told, "%s %s %s>%s\n", now->id, now->subject, was, now->status);
}

static void
add(struct buf *rows, const char *id, const char *subject, const char *status)
{
	buf_addf(rows, "kind=finding\tid=%s\tstatus=%s\tsubject=%s\twhy=because\n", id, status,
	         subject);
}

/* `findings`: "id subject status;" and so on. */
static void
exam(struct verdicts *v, const char *only, const char *except, const char *findings,
     const char *gates)
{
	struct wire_examine  asked = {str_of(only), str_of(except)};
	struct wire_findings found = {.gates = str_of(gates)};
	struct buf           rows = BUF(65536);
	struct str           rest = str_of(findings), one;

	while (str_cut(&rest, ';', &one)) {
		char *id = str_dup(str_word(&one)), *subject = str_dup(str_word(&one)),
		     *status = str_dup(str_word(&one));

		if (*id != '\0')
			add(&rows, id, subject, status);
		free(id);
		free(subject);
		free(status);
	}
	found.rows = buf_str(&rows);
	told = BUF(65536);
	verdicts_take(v, &asked, &found, changed);
	buf_free(&rows);
}

static void
told_is(const char *text)
{
	assert_string_equal(buf_z(&told), text);
	buf_free(&told);
}

static void
gates_are(const struct verdicts *v, const char *text)
{
	struct buf b = BUF(65536);

	verdicts_gates(v, &b);
	assert_string_equal(buf_z(&b), text);
	buf_free(&b);
}

static void
ids_are_chosen_by_their_beginnings(void **state)
{
	static const struct {
		const char *only, *except, *id;
		bool        in;
	} rows[] = {
		{"", "", "ptr.exists", true},
		{"ptr.", "", "ptr.exists", true},
		{"spf. ptr.", "", "ptr.exists", true},
		{"spf.", "", "ptr.exists", false},
		{"", "dnsbl.", "dnsbl.ip", false},
		{"", "dnsbl.", "ptr.exists", true},
		{"ptr.", "ptr.single", "ptr.single", false},
		{"ptr.single", "", "ptr.", false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(checks_include(str_of(rows[i].only), str_of(rows[i].except),
		                                str_of(rows[i].id)),
		                 rows[i].in);
}

static void
only_what_changes_is_told(void **state)
{
	struct verdicts *v = verdicts_create();

	(void)state;
	exam(v, "", "", "ptr.exists 192.0.2.1 fail;spf.all a.example warn", "");
	told_is("ptr.exists 192.0.2.1 >fail\nspf.all a.example >warn\n");
	exam(v, "", "", "ptr.exists 192.0.2.1 fail;spf.all a.example warn", "");
	told_is("");
	exam(v, "", "", "ptr.exists 192.0.2.1 warn;spf.all a.example warn", "");
	told_is("ptr.exists 192.0.2.1 fail>warn\n");
	exam(v, "", "", "", "");
	told_is("ptr.exists 192.0.2.1 warn>pass\nspf.all a.example warn>pass\n");
	verdicts_destroy(v);
}

static void
a_partial_exam_leaves_the_rest(void **state)
{
	struct verdicts *v = verdicts_create();

	(void)state;
	exam(v, "", "", "ptr.exists 192.0.2.1 fail;dnsbl.ip 192.0.2.1 fail", "");
	told_is("ptr.exists 192.0.2.1 >fail\ndnsbl.ip 192.0.2.1 >fail\n");
	exam(v, "", "dnsbl.", "ptr.exists 192.0.2.1 fail", "");
	told_is("");
	exam(v, "ptr.", "", "ptr.exists 192.0.2.1 pass", "");
	told_is("ptr.exists 192.0.2.1 fail>pass\n");
	exam(v, "dnsbl.", "", "", "");
	told_is("dnsbl.ip 192.0.2.1 fail>pass\n");
	verdicts_destroy(v);
}

static void
what_could_not_be_asked_changes_nothing(void **state)
{
	struct verdicts *v = verdicts_create();

	(void)state;
	exam(v, "", "", "ptr.exists 192.0.2.1 fail", "ptr 4 fail\nspf 4 a.example pass\n");
	told_is("ptr.exists 192.0.2.1 >fail\n");
	exam(v, "", "", "ptr.exists 192.0.2.1 skip;spf.all a.example skip",
	     "ptr 4 skip\nspf 4 a.example skip\n");
	told_is("");
	gates_are(v, "ptr 4 fail\nspf 4 a.example pass\n");
	assert_true(verdicts_gate_fails(v));
	verdicts_destroy(v);
}

static void
gates_of_a_partial_exam_are_added(void **state)
{
	struct verdicts *v = verdicts_create();

	(void)state;
	exam(v, "", "", "", "ptr 4 fail\nspf 4 a.example pass\ndkim b.example pass\n");
	buf_free(&told);
	exam(v, "ptr.", "", "", "ptr 4 pass\n");
	buf_free(&told);
	gates_are(v, "ptr 4 pass\nspf 4 a.example pass\ndkim b.example pass\n");
	assert_false(verdicts_gate_fails(v));
	exam(v, "", "", "", "ptr 4 pass\n");
	buf_free(&told);
	gates_are(v, "ptr 4 pass\n");
	verdicts_destroy(v);
}

/* The doctor reads what strangers publish: whatever it says, nothing grows without bound or is believed. */
static void
nonsense_is_left_out(void **state)
{
	struct verdicts *v = verdicts_create();
	struct buf       rows = BUF(1024 * 1024), out = BUF(1024 * 1024);

	(void)state;
	exam(v, "", "", "ptr.exists 192.0.2.1 rotten;x y fail",
	     "ptr 4 perhaps\n\nnothing\nfail\n 4 fail\nseen a.example x\n");
	told_is("x y >fail\n");
	gates_are(v, " 4 fail\n");
	for (unsigned i = 0; i < 3 * VERDICTS_MAX; i++)
		buf_addf(&rows, "kind=finding\tid=i%u\tstatus=fail\nkind=count\tid=i%u\n", i, i);
	told = BUF(65536);
	verdicts_take(v, &(struct wire_examine){0},
	              &(struct wire_findings){.rows = buf_str(&rows)}, changed);
	buf_free(&told);
	verdicts_report(v, &out);
	assert_true(out.n < 200 * 1024);
	buf_free(&rows);
	buf_free(&out);
	verdicts_destroy(v);
}

static void
numbers_are_summed(void **state)
{
	struct verdicts *v = verdicts_create();
	struct buf       rows = BUF(4096);

	(void)state;
	buf_addz(&rows, "kind=count\tid=a\tpass:=3\tfail:=1\nkind=count\tid=b\tpass:=4\tskip:=2\n");
	told = BUF(65536);
	verdicts_take(v, &(struct wire_examine){0},
	              &(struct wire_findings){.rows = buf_str(&rows)}, changed);
	told_is("");
	assert_int_equal(verdicts_count(v, "pass"), 7);
	assert_int_equal(verdicts_count(v, "fail"), 1);
	assert_int_equal(verdicts_count(v, "skip"), 2);
	buf_clear(&rows);
	buf_addz(&rows, "kind=count\tid=a\tpass:=4\tfail:=0\n");
	told = BUF(65536);
	verdicts_take(v, &(struct wire_examine){.only = STR("a")},
	              &(struct wire_findings){.rows = buf_str(&rows)}, changed);
	told_is("");
	assert_int_equal(verdicts_count(v, "pass"), 8);
	assert_int_equal(verdicts_count(v, "fail"), 0);
	buf_free(&rows);
	verdicts_destroy(v);
}

static bool
key(struct verdicts *v, const char *name, const char *half, const char *why)
{
	return verdicts_key(v, &(struct wire_key_state){str_of(name), str_of(half), str_of(why)});
}

static void
keys_that_were_seen_are_told_to_all(void **state)
{
	struct verdicts *v = verdicts_create();

	(void)state;
	assert_true(key(v, "s._domainkey.a.example", "AAA", "it is not published"));
	assert_false(key(v, "s._domainkey.a.example", "AAA", "it is not published"));
	gates_are(v, "");
	assert_true(key(v, "s._domainkey.a.example", "AAA", ""));
	gates_are(v, "seen s._domainkey.a.example AAA\n");
	assert_true(key(v, "s._domainkey.a.example", "BBB", "DNS has another key"));
	gates_are(v, "");
	/* A name that would be a line of its own, for another worker to believe. */
	assert_false(key(v, "a\nptr 4 pass", "BBB", ""));
	assert_false(key(v, "a", "B\nptr 4 pass", ""));
	assert_false(key(v, "a b", "B", ""));
	assert_false(key(v, "", "B", ""));
	gates_are(v, "");
	for (unsigned i = 0; i < 2 * VERDICTS_KEYS_MAX; i++) {
		char name[32];

		snprintf(name, sizeof name, "k%u", i);
		(void)key(v, name, "A", "");
	}
	verdicts_destroy(v);
}

/* ---- over a restart ---- */

static char folder[] = "/tmp/test_verdicts-XXXXXX";

enum { NOW_MS = 1700000000 };

static void
put_file(const char *text)
{
	char  path[64];
	FILE *f;

	snprintf(path, sizeof path, "%s/keys-seen", folder);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
	fclose(f);
}

static void
loads(int64_t now_ms, const char *gates)
{
	struct verdicts *v = verdicts_create();

	keys_seen_load(str_of(folder), v, now_ms);
	gates_are(v, gates);
	verdicts_destroy(v);
}

static void
seen_keys_are_kept_in_a_file(void **state)
{
	static const int64_t day_ms = 24 * 3600 * 1000;
	struct verdicts     *v = verdicts_create();
	char                 path[64];
	struct stat          st;

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof path, "%s/keys-seen", folder);
	assert_true(keys_seen_save(str_of(folder), v, NOW_MS));
	assert_int_not_equal(access(path, F_OK), 0); /* nothing to keep */
	assert_true(key(v, "a._domainkey.x", "AAA", ""));
	assert_true(key(v, "b._domainkey.x", "BBB", "it is not published"));
	assert_true(keys_seen_save(str_of(folder), v, NOW_MS));
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	loads(NOW_MS + 6 * day_ms, "seen a._domainkey.x AAA\n");
	loads(NOW_MS + 8 * day_ms, "");
	loads(NOW_MS - 1, "");
	assert_true(key(v, "a._domainkey.x", "AAA", "it is gone"));
	assert_true(keys_seen_save(str_of(folder), v, NOW_MS));
	assert_int_not_equal(access(path, F_OK), 0);
	verdicts_destroy(v);
}

/* Whatever somebody has left there. */
static void
a_strange_file_is_no_harm(void **state)
{
	static const struct {
		const char *text, *gates;
	} rows[] = {
		{"", ""},
		{"at", ""},
		{"at x\na A\n", ""},
		{"at -5\na A\n", ""},
		{"at 99999999999999999999\na A\n", ""},
		{"a A\nat 1700000000\n", ""},
		{"at 1700000000\na\x01z A\n\n \nb B C D\na A\r\n", "seen b B\nseen a A\n"},
		{"at 1700000000\nptr 4 fail\nseen s S\n", "seen ptr 4\nseen seen s\n"},
	};
	char  path[64], command[100];
	char *large = malloc(300000);

	(void)state;
	snprintf(path, sizeof path, "%s/keys-seen", folder);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		put_file(rows[i].text);
		loads(NOW_MS, rows[i].gates);
	}
	memset(large, 'a', 299999);
	large[299999] = '\0';
	put_file(large);
	loads(NOW_MS, "");
	free(large);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink("/proc/self/environ", path), 0);
	loads(NOW_MS, "");
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	loads(NOW_MS, "");
	keys_seen_load(STR("/nonexistent"), NULL, NOW_MS);
	snprintf(command, sizeof command, "rm -r %s", folder);
	assert_int_equal(system(command), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ids_are_chosen_by_their_beginnings),
		cmocka_unit_test(only_what_changes_is_told),
		cmocka_unit_test(a_partial_exam_leaves_the_rest),
		cmocka_unit_test(what_could_not_be_asked_changes_nothing),
		cmocka_unit_test(gates_of_a_partial_exam_are_added),
		cmocka_unit_test(nonsense_is_left_out),
		cmocka_unit_test(numbers_are_summed),
		cmocka_unit_test(keys_that_were_seen_are_told_to_all),
		cmocka_unit_test(seen_keys_are_kept_in_a_file),
		cmocka_unit_test(a_strange_file_is_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
