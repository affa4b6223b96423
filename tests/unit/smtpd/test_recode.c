/* SPDX-License-Identifier: ISC */
/* Bodies with lines of over 998 octets: what becomes of them, and what must not be touched. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "lib/util/buf.h"
#include "smtpd/recode.h"
#include "smtpd/refold.h"

#define TEN(z) z z z z z z z z z z
#define LONG TEN(TEN(TEN("x")))
#define X75 TEN("xxxxxxx") "xxxxx"
#define SOFT X75 "=\r\n"
/* LONG in quoted-printable */
#define QUOTED TEN(SOFT) SOFT SOFT SOFT "xxxxxxxxxxxxxxxxxxxxxxxxx"
#define QP "Content-Transfer-Encoding: quoted-printable\r\n"
#define MIXED "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n"

static const struct row {
	const char *name, *in;
	const char *out; /* or, behind a '!', a part of the reason */
} rows[] = {
	{"a plain text", "Subject: s\r\n\r\n" LONG "\r\n", "Subject: s\r\nMIME-Version: 1.0\r\n" QP "\r\n" QUOTED "\r\n"},
	{"no line end at the end", "MIME-Version: 1.0\r\n\r\n" LONG, "MIME-Version: 1.0\r\n" QP "\r\n" QUOTED},
	{"an encoding that was named", "MIME-Version: 1.0\r\ncontent-transfer-encoding: 8BIT\r\nX: y\r\n\r\n" LONG "\r\n", "MIME-Version: 1.0\r\nX: y\r\n" QP "\r\n" QUOTED "\r\n"},
	{"what quoted-printable is for", "MIME-Version: 1.0\r\n\r\n" LONG "\r\na=b\t\xc3\xbc\r\nblank \r\ntab\t\r\n\r\n-- \r\nend ",
	 "MIME-Version: 1.0\r\n" QP "\r\n" QUOTED "\r\na=3Db\t=C3=BC\r\nblank=20\r\ntab=09\r\n\r\n--=20\r\nend=20"},
	{"no hyphen begins a line that was none", "MIME-Version: 1.0\r\n\r\n" X75 "--b\r\n-" LONG "\r\n",
	 "MIME-Version: 1.0\r\n" QP "\r\n" SOFT "=2D-b\r\n-" TEN("xxxxxxx") "xxxx=\r\n" TEN(SOFT) SOFT SOFT TEN("xx") "xxxxxx\r\n"},
	{"quoted-printable already", "MIME-Version: 1.0\r\n" QP "\r\nshort=20\r\n" TEN(TEN("=C3=BC=\x3d" "3D" "x")) "\r\n", NULL},
	{"base64 already", "MIME-Version: 1.0\r\nContent-Transfer-Encoding: base64\r\n\r\n" LONG "\r\n", NULL},
	{"one part of three", MIXED "\r\npreamble\r\n--b\r\n\r\nshort\r\n--b\r\nContent-Type: text/html\r\n\r\n" LONG "\r\n--b\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\xc3\xbc \r\n--b--\r\nepilogue\r\n",
	 MIXED "\r\npreamble\r\n--b\r\n\r\nshort\r\n--b\r\nContent-Type: text/html\r\n" QP "\r\n" QUOTED "\r\n--b\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\xc3\xbc \r\n--b--\r\nepilogue\r\n"},
	{"a part without a header, and no last delimiter", MIXED "\r\n--b\r\n\r\n" LONG "\r\n--b\r\n\r\nz\r\n", MIXED "\r\n--b\r\n" QP "\r\n" QUOTED "\r\n--b\r\n\r\nz\r\n"},
	{"blanks behind the delimiter, and lines like it", MIXED "\r\n--b \t\r\n\r\n--bb\r\n--b-\r\n" LONG "\r\n--b-- \r\n", MIXED "\r\n--b \t\r\n" QP "\r\n--bb\r\n--b-\r\n" QUOTED "\r\n--b-- \r\n"},
	{"parts within parts", "Content-Type: multipart/mixed; charset=x; (a; \\) comment)\r\n boundary=\"a \\\"b\"\r\n\r\n--a \"b\r\nContent-Type: Multipart/Alternative; boundary=a\r\n\r\n--a\r\n\r\n" LONG "\r\n--a--\r\n\r\n--a \"b--\r\n",
	 "Content-Type: multipart/mixed; charset=x; (a; \\) comment)\r\n boundary=\"a \\\"b\"\r\n\r\n--a \"b\r\nContent-Type: Multipart/Alternative; boundary=a\r\n\r\n--a\r\n" QP "\r\n" QUOTED "\r\n--a--\r\n\r\n--a \"b--\r\n"},
	{"a message within", MIXED "\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: s\r\n\r\n" LONG "\r\n--b--\r\n",
	 MIXED "\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: s\r\nMIME-Version: 1.0\r\n" QP "\r\n" QUOTED "\r\n--b--\r\n"},
	{"the header of a part", MIXED "\r\n--b\r\nX: " TEN(TEN("xxxxxxx ")) "\r\nY: " TEN(TEN("yyyyyyyyyyy ")) "\r\n\r\nz\r\n--b--\r\n", NULL},
	{"what is signed and short passes", MIXED "\r\n--b\r\nContent-Type: multipart/signed; boundary=c\r\n\r\n--c\r\n\r\nx\r\n--c--\r\n--b\r\n\r\n" LONG "\r\n--b--\r\n",
	 MIXED "\r\n--b\r\nContent-Type: multipart/signed; boundary=c\r\n\r\n--c\r\n\r\nx\r\n--c--\r\n--b\r\n" QP "\r\n" QUOTED "\r\n--b--\r\n"},

	{"a DKIM signature", "DKIM-Signature: v=1\r\n\r\n" LONG "\r\n", "!signed"},
	{"an ARC signature", "arc-seal: i=1\r\n\r\n" LONG "\r\n", "!signed"},
	{"S/MIME or PGP/MIME", "Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\n" LONG "\r\n--b--\r\n", "!signed"},
	{"a signed message within", MIXED "\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nDKIM-Signature: v=1\r\n\r\n" LONG "\r\n--b--\r\n", "!signed"},
	{"an encoding that is not known", "Content-Transfer-Encoding: x-uuencode\r\n\r\n" LONG "\r\n", "!not known"},
	{"a report", MIXED "\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\nX: " LONG "\r\n\r\n" LONG "\r\n--b--\r\n", "!report"},
	{"a multipart without a boundary", "Content-Type: multipart/mixed\r\n\r\n" LONG "\r\n", "!boundary"},
	{"the preamble", MIXED "\r\n" LONG "\r\n--b\r\n\r\nx\r\n--b--\r\n", "!no part"},
	{"the epilogue", MIXED "\r\n--b\r\n\r\nx\r\n--b--\r\n" LONG "\r\n", "!no part"},
	{"a multipart in base64", "Content-Transfer-Encoding: base64\r\n" MIXED "\r\n--b\r\n\r\n" LONG "\r\n--b--\r\n", "!as a whole"},
	{"a part that is no part", MIXED "\r\n--b\r\n" LONG "\r\n--b--\r\n", "!header of a part"},
};

static void
collect(void *arg, struct str run, bool in_body)
{
	struct buf *out = arg;

	(void)in_body;
	buf_add(out, run);
}

static void
collect_head(void *arg, struct str run, bool in_body)
{
	struct buf *out = arg;

	if (!in_body)
		buf_add(out, run);
}

static void
long_lines_become_short_and_nothing_else_changes(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf  out = BUF(100000);
		const char *why = recode(str_of(rows[i].in), collect, &out), *want = rows[i].out;

		if (want != NULL && want[0] == '!') {
			if (why == NULL || str_find_str(str_of(why), str_of(want + 1)) < 0)
				fail_msg("%s: %s", rows[i].name, why != NULL ? why : "encoded");
		} else if (why != NULL) {
			fail_msg("%s: %s", rows[i].name, why);
		} else if (want != NULL && !str_eq(buf_str(&out), str_of(want))) {
			fail_msg("%s:\n%s", rows[i].name, buf_z(&out));
		} else {
			assert_false(refold_is_needed(buf_str(&out)));
		}
		buf_free(&out);
	}
}

/* Without soft line breaks, or without any: what a reader decodes. */
static void
join(struct buf *out, struct str s, struct str dropped)
{
	for (ptrdiff_t at; (at = str_find_str(s, dropped)) >= 0;) {
		buf_add(out, str_sub(s, 0, (size_t)at));
		s = str_skip(s, (size_t)at + dropped.n);
	}
	buf_add(out, s);
}

static void
encodings_keep_their_content(void **state)
{
	static const struct {
		const char *encoding, *body;
		struct str  dropped;
	} bodies[] = {
		{"quoted-printable", "=E4\r\n" TEN(TEN("=C3=BCx=C3=BCxx")) "\r\n--=\r\n" TEN(TEN("a=3D-bc=3Dd")) "=\r\nend\r\n", {"=\r\n", 3}},
		{"quoted-printable", TEN("x=20") TEN(TEN("y=20=20=2D")), {"=\r\n", 3}},
		{"Base64", TEN(TEN("QUJDQUJDQUJD")) "\r\nQUJD\r\n" TEN(TEN("QUJDQUJDQUJD")) "==", {"\r\n", 2}},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
		struct buf in = BUF(100000), out = BUF(100000), head = BUF(1000), was = BUF(100000), is = BUF(100000);

		buf_addf(&head, "MIME-Version: 1.0\r\nContent-Transfer-Encoding: %s\r\n\r\n", bodies[i].encoding);
		buf_add(&in, buf_str(&head));
		buf_addz(&in, bodies[i].body);
		assert_null(recode(buf_str(&in), collect, &out));
		assert_false(refold_is_needed(buf_str(&out)));
		assert_true(str_starts(buf_str(&out), buf_str(&head)));
		join(&was, str_of(bodies[i].body), bodies[i].dropped);
		join(&is, str_skip(buf_str(&out), head.n), bodies[i].dropped);
		assert_string_equal(buf_z(&was), buf_z(&is));
		/* Whole "=XX" at every line's end. */
		assert_true(str_find_str(buf_str(&out), STR("=2=\r\n")) < 0);
		assert_true(str_find_str(buf_str(&out), STR("==\r\n")) < 0);
		buf_free(&in);
		buf_free(&out);
		buf_free(&head);
		buf_free(&was);
		buf_free(&is);
	}
}

static void
header_and_body_come_apart(void **state)
{
	struct buf head = BUF(10000);

	(void)state;
	assert_null(recode(STR("A: b\r\nMIME-Version: 1.0\r\n\r\n" LONG "\r\n"), collect_head, &head));
	assert_string_equal(buf_z(&head), "A: b\r\nMIME-Version: 1.0\r\n" QP "\r\n");
	buf_clear(&head);
	assert_null(recode(STR(MIXED "\r\n--b\r\nC: d\r\n\r\n" LONG "\r\n--b--\r\n"), collect_head, &head));
	assert_string_equal(buf_z(&head), MIXED "\r\n");
	buf_free(&head);
}

static void
depth_has_a_limit(void **state)
{
	struct buf deep = BUF(100000), out = BUF(100000);

	(void)state;
	for (int i = 0; i < 40; i++)
		buf_addz(&deep, "Content-Type: message/rfc822\r\n\r\n");
	buf_addz(&deep, "\r\n" LONG "\r\n");
	assert_string_equal(recode(buf_str(&deep), collect, &out), "stands in a part that is nested too deeply");
	buf_free(&deep);
	buf_free(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(long_lines_become_short_and_nothing_else_changes),
		cmocka_unit_test(encodings_keep_their_content),
		cmocka_unit_test(header_and_body_come_apart),
		cmocka_unit_test(depth_has_a_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
