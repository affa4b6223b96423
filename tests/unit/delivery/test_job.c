/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "delivery/conn.h"
#include "delivery/destination.h"
#include "delivery/job.h"
#include "delivery/setup.h"
#include "delivery/signer.h"
#include "delivery/worker.h"
#include "lib/dns/dns.h"
#include "lib/net/loop.h"
#include "lib/proc/channel.h"
#include "tests/fake/fake.h"

static struct worker worker;

/* Literals are all that is sent to here. */
struct dns_query *
dns_ask(struct dns *d, struct str name, enum dns_type type,
        void (*fn)(void *arg, const struct dns_answer *answer), void *arg)
{
	(void)d, (void)name, (void)type, (void)fn, (void)arg;
	fail_msg("nothing is to be looked up");
	return NULL;
}

void
dns_cancel(struct dns_query *q)
{
	(void)q;
}

static void
message(void *arg, enum wire_id id, const void *msg, int fd)
{
	(void)arg;
	if (id == WIRE_LEASE)
		job_start(&worker, msg, fd);
}

static void
gone(void *arg, const char *why)
{
	(void)arg;
	fail_msg("queue gone: %s", why);
}

static void
lease(struct loop *loop, unsigned n)
{
	struct buf        envelope = BUF(2 * 1024 * 1024), rcpts = BUF(1024 * 1024);
	struct wire_lease l = {.id = 1, .token = 1, .attempt = 1, .lane = STR("[127.0.0.1]"),
	                       .size = 5, .body = STR("x: y\n")};

	buf_addz(&envelope, "from: a@example.com\n");
	for (unsigned i = 0; i < n; i++) {
		buf_addf(&envelope, "to: r%u@[127.0.0.1]\n", i);
		buf_addf(&rcpts, "%u ", i);
	}
	l.envelope = buf_str(&envelope);
	l.rcpts = buf_str(&rcpts);
	assert_true(fake_message(loop, WIRE_LEASE, &l, -1));
	buf_free(&envelope);
	buf_free(&rcpts);
}

/* As many usable replies as recipients, all of this code. */
static void
assert_replies(struct str rest, unsigned n, unsigned code)
{
	unsigned     lines = 0;
	struct str   line;
	struct reply r;

	while (str_cut(&rest, '\n', &line)) {
		lines++;
		assert_true(reply_parse(line, &r));
		assert_int_equal(r.code, code);
		assert_int_equal(r.status[0], code / 100);
	}
	assert_int_equal(lines, n);
}

/*
 * A recipient whose reply does not fit into the frame would be tried again, and had he taken
 * the message, get it again and again.
 */
static void
each_of_many_recipients_has_a_reply(void **state)
{
	static const struct channel_hooks hooks = {message, gone};
	static const unsigned             rows[] = {1, 1000, 20000};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct loop             *loop = loop_create();
		const struct fake_frame *f;
		struct config           *c = config_read(
			STR("hostname me.example.com\ndkim-sign off\noutbound {\nport 25\n}\n"), 1);

		assert_non_null(c);
		worker = (struct worker){
			.loop = loop, .setup = setup_create(c), .signer = signer_create(loop)};
		worker.queue = channel_open(loop, -1, ROLE_DELIVERY, ROLE_QUEUE, &hooks, NULL);
		lease(loop, rows[i]);
		fake_run(loop);
		f = fake_frame(loop);
		assert_non_null(f);
		assert_int_equal(f->id, WIRE_OUTCOME);
		assert_replies(((const struct wire_outcome *)f->msg)->replies, rows[i], 550);
		fake_frame_drop(loop);
		channel_close(worker.queue);
		destination_close_all(&worker);
		signer_destroy(worker.signer);
		setup_unref(worker.setup);
		loop_destroy(loop);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_of_many_recipients_has_a_reply),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
