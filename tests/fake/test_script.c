/* SPDX-License-Identifier: ISC */
/* The player itself: scripts that hold, and scripts that must not. */
#include "tests/fake/script.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "tests/fake/fields.h"
#include "tests/fake/toy.h"

#define TOP "set hostname mx.test\nS: 220 mx.test ready\n"

static const struct {
	const char                  *name;
	const struct script_fixture *fixture;
	const char                  *script;
	const char                  *why; /* NULL: it holds */
} rows[] = {
	{"greeting", &toy_server, TOP, NULL},
	{"settings are asked for", &toy_server, "# nothing set\nS: 220  ready\n", NULL},
	{"a wrong line is shown", &toy_server, "S: 220 other\n",
         "line 1: expected \"220 other\", got \"220  ready\\r\\n\""},
	{"a missing line is shown", &toy_server, TOP "S: 250 more\n",
         "line 3: expected \"250 more\", got nothing"},
	{"output that nobody expects fails", &toy_server, "set hostname mx.test\n",
         "line 2: our side has sent more: \"220 mx.test ready\\r\\n\""},
	{"a star fits the rest", &toy_server,
         "S: 220 *\nC: EHLO me\nS: 250-hel*\nS: 250 STARTTLS\n", NULL},
	{"lines can be skipped", &toy_server, "S: 220 *\nC: EHLO me\nS*\nS: 250 *\n", NULL},
	{"skipping ends at the end", &toy_server, "S: 220 *\nC: EHLO me\nS*\nS: 251 *\n",
         "line 4: expected \"251 \"*, got nothing"},
	{"pipelined", &toy_server, "S: 220 *\nC: EHLO me\nC: QUIT\nS*\nS: 221 bye\nclose\n", NULL},
	{"close is expected but did not happen", &toy_server, TOP "close\n",
         "line 3: our side has not closed the connection"},
	{"escapes", &toy_server, "S: 220 *\nC: QU\\x49T\nS: 221\\x20bye\nclose\n", NULL},
	{"a bare LF", &toy_server, "S: 220 *\nC: QUIT\\n\\c\nS: 500 bare\nclose\n", NULL},
	{"a NUL", &toy_server, "S: 220 *\nC: QU\\0IT\nS: 500 bare\nclose\n", NULL},
	{"fill and a long line", &toy_server,
         "S: 220 *\nfill X 300 ab\nC: $X\nS: 500 too long\nC: ${X}\nC: QUIT\nS: 500 too long\nS: 221 bye\n",
         NULL},
	{"an unknown escape", &toy_server, "S: 220 *\nC: \\q\n", "line 2: what is \"\\q\"?"},
	{"an unknown step", &toy_server, "S: 220 *\njump\n", "line 2: there is no step \"jump\""},
	{"time", &toy_server,
         TOP
         "wait 299s\nopen\nC: NOOP\nS: 500 what?\nwait 299s\nquiet\nwait 1s\nS: 421 idle\nclose\n",
         NULL},
	{"time in days", &toy_server, TOP "wait 5d\nS: 421 idle\nclose\n", NULL},
	{"the peer ends", &toy_server, TOP "eof\nclose\n", NULL},
	{"the connection breaks", &toy_server, TOP "reset\nclose\n", NULL},
	{"TLS", &toy_server,
         TOP "plain\nC: STARTTLS\nS: 220 go on\ntls version=1.2\nC: EHLO me\nS*\nS: 250 *\n", NULL},
	{"TLS that was not asked for", &toy_server, TOP "tls\n",
         "line 3: our side has not asked for TLS"},
	{"TLS fails", &toy_server, TOP "C: STARTTLS\nS: 220 go on\ntls fail\nclose\n", NULL},
	{"injection behind STARTTLS", &toy_server,
         "set pieces whole\nS: 220 *\nC: STARTTLS\nC: EHLO evil\nS: 220 go on\nS: 554 too early\nclose\n",
         NULL},
	{"a frame and its answer", &toy_server, TOP "C: KEEP some text\nC: QUIT\nquiet\n",
         "line 5: our side has sent frame put"},
	{"a frame is answered", &toy_server,
         TOP
         "C: KEEP some text\nQ: PUT id=$id size=9 body=\"some text\" body~ex body=some* envelope=\"\" fd=no\n"
         "A: STORED id=$id code=250\nS: 250 kept\nC: QUIT\nS: 221 bye\nclose\n",
         NULL},
	{"a field differs", &toy_server, TOP "C: KEEP some text\nQ: PUT size=8\n",
         "line 4: expected size=\"8\", got \"9\""},
	{"a field that is not there", &toy_server, TOP "C: KEEP some text\nQ: PUT colour=8\n",
         "line 4: put has no field \"colour\""},
	{"another frame", &toy_server, TOP "C: KEEP some text\nQ: SPILL\n",
         "line 4: expected frame spill, got put"},
	{"no frame", &toy_server, TOP "Q: PUT\n", "line 3: expected frame put, got none"},
	{"frames can be ignored", &toy_server, TOP "ignore PUT\nC: KEEP x\n", NULL},
	{"pipelined input waits for the answer", &toy_server,
         TOP
         "C: KEEP x\nC: KEEP y\nQ: PUT body=x\nquiet\nA: STORED code=250\nS: 250 kept\nQ: PUT body=y\n"
         "A: STORED code=451 text=\"no \\\"room\\\"\"\nS: 451 not kept\n",
         NULL},
	{"a channel that no such frame comes on", &toy_server, TOP "A: SIGNED id=1\n",
         "line 3: no channel is open that signed may come on"},
	{"a descriptor", &toy_server,
         TOP
         "C: SPILL\nQ: SPILL id=7\nA: SPILLED id=7 ok=1 fd=file\nS: 250 spilled\nfile size=4 ~ep =kept\n",
         NULL},
	{"a role dies", &toy_server, TOP "gone queue\nS: 421 *\nclose\n", NULL},
	{"a peer that reads nothing", &toy_server,
         TOP "stall on\nC: EHLO me\nquiet\nstall off\nS: 250-hello\nS: 250 *\n", NULL},
	{"a step of the fixture's own", &toy_server, TOP "do say hello you\nS: hello you\n", NULL},
	{"texts and names", &toy_server,
         TOP "text T\nEHLO me\nQUIT\nend\nC< T\nlet R 221 bye\nS*\nS: $R\nclose\n", NULL},
	{"an expected text", &toy_server,
         TOP "text T\n250-hello\n250 STARTTLS\nend\nC: EHLO me\nS< T\n", NULL},

	{"client", &toy_client,
         "connect 192.0.2.9\nS: 220 hi\nC: EHLO toy\nS: 250 fine\nC: QUIT\nclose\n", NULL},
	{"client to a wrong place", &toy_client, "connect 192.0.2.8:25\n",
         "line 1: expected a connection to 192.0.2.8:25, got 192.0.2.9:25"},
	{"client is refused", &toy_client,
         "refuse\nclose\nconnect 192.0.2.10:25\nS: 220 hi\nC: EHLO toy\nuse 1\nclose\nuse 2\nopen\nreset\nclose\n",
         NULL},
	{"client times out", &toy_client,
         "wait 30s\nuse 1\nclose\nrefuse network is unreachable\nclose\n", NULL},
	{"client with TLS", &toy_client,
         "connect\nS: 220 hi\nC: EHLO toy\nS: 250 STARTTLS\nC: STARTTLS\nS: 220 go\n"
         "tls name=mx.example.net\nC: EHLO toy\nS: 250 fine\nC: QUIT\nclose\n",
         NULL},
	{"client with doubtful TLS", &toy_client,
         "connect\nS: 220 hi\nC: EHLO toy\nS: 250 STARTTLS\nC: STARTTLS\nS: 220 go\n"
         "tls verified=no why=self-signed\nC: EHLO doubt\n",
         NULL},
	{"nobody connects", &toy_client, "connect\nconnect\n",
         "line 2: our side has asked for no connection"},
};

static void
each_script_ends_as_it_should(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf why = BUF(4096);
		bool       ok = script_play(str_of(rows[i].script), rows[i].fixture, &why);

		if (ok != (rows[i].why == NULL))
			fail_msg("%s: %s", rows[i].name, buf_z(&why));
		if (!ok && strcmp(buf_z(&why), rows[i].why) != 0)
			fail_msg("%s: %s\ninstead of %s", rows[i].name, buf_z(&why), rows[i].why);
		buf_free(&why);
	}
}

/* The names here and the fields in wire.c are two lists; they must be of the same messages. */
static void
all_fields_of_the_catalogue_have_names(void **state)
{
	static const size_t widths[] = {[FIELD_U8] = 1,
	                                [FIELD_U16] = 2,
	                                [FIELD_U32] = 4,
	                                [FIELD_U64] = 8,
	                                [FIELD_TEXT] = 4};

	(void)state;
	for (enum wire_id id = WIRE_NONE + 1; id < WIRE_COUNT; id++) {
		char       empty[WIRE_STRUCT_MAX] = {0};
		struct buf encoded = BUF(4096);
		size_t     n = 0;

		for (const struct field *f = fields_of(id); f->kind != FIELD_NONE; f++)
			n += widths[f->kind];
		wire_encode(&encoded, id, empty);
		if (encoded.n != n)
			fail_msg("fields.c does not know all fields of %s", wire_name(id));
		buf_free(&encoded);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_script_ends_as_it_should),
		cmocka_unit_test(all_fields_of_the_catalogue_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
