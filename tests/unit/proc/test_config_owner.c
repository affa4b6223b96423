/* SPDX-License-Identifier: ISC */
/* Whose a file is matters as much as its mode. Only root can give files away, so only root can test it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <unistd.h>

#include "tests/unit/proc/config_fixture.h"

enum { NOBODY = 65534, NO_ACCOUNT = 3999999 };

static const struct {
	const char *name, *text, *file;
	uid_t       owner;
	const char *severity, *cause; /* NULL: nothing is said of it */
} rows[] = {
	{"a key of another account", "dkim a.example { key s ed.pem }\n", "ed.pem", NOBODY, "error",
         "ed.pem belongs to nobody"},
	{"users of another account", "users users\n", "users", NOBODY, "error",
         "users belongs to nobody"},
	{"a certificate of another account", "tls cert.pem key.pem\n", "cert.pem", NOBODY, "error",
         "cert.pem belongs to nobody"},
	{"an included file of another account", "include more.conf\n", "more.conf", NOBODY, "error",
         "more.conf belongs to nobody"},
	{"the roles' own account", "user-account nobody\nusers users\n", "users", NOBODY, NULL,
         NULL},
	{"nobody of this machine", "users users\n", "users", NO_ACCOUNT, "warning",
         "belongs to user 3999999"},
	{"root", "users users\n", "users", 0, NULL, NULL},
};

static void
files_of_others_are_refused(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip();
	fixture_write("more.conf", "expire 1d\n", 0600);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf     report = BUF(65536);
		struct config *c;
		char           line[200];
		const char    *path = fixture_path(rows[i].file);

		if (chown(path, rows[i].owner, (gid_t)-1) != 0)
			skip();
		c = fixture_load(rows[i].text, &report);
		snprintf(line, sizeof line,
		         "%s: ", rows[i].severity != NULL ? rows[i].severity : "");
		if (rows[i].severity == NULL && strstr(buf_z(&report), "belongs") != NULL)
			fail_msg("%s: %s", rows[i].name, buf_z(&report));
		if (rows[i].severity != NULL && (strstr(buf_z(&report), line) == NULL ||
		                                 strstr(buf_z(&report), rows[i].cause) == NULL))
			fail_msg("%s: %s", rows[i].name, buf_z(&report));
		assert_int_equal(c == NULL, rows[i].severity != NULL &&
		                                    strcmp(rows[i].severity, "error") == 0);
		config_unref(c);
		assert_int_equal(chown(fixture_path(rows[i].file), 0, (gid_t)-1), 0);
		buf_free(&report);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files_of_others_are_refused),
	};

	return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
