/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "delivery/signer.h"
#include "dkim/sign.h"
#include "lib/net/loop.h"
#include "lib/proc/channel.h"
#include "lib/proc/config.h"
#include "tests/fake/fake.h"

static struct dkim_key_conf keys[] = {
	{.selector = {"s1", 2}, .type = KEY_RSA},
	{.selector = {"s2", 2}, .type = KEY_ED25519},
};
static struct dkim_conf domains[] = {{.domain = {"example.com", 11}, .keys = keys, .n_keys = 2}};
static struct config    config = {.dkim = domains, .n_dkim = 1, .dkim_sign = true, .generation = 1};

static const char message[] = "From: a@example.com\r\nSubject: x\r\n\r\nhello  there \r\n\r\n";

struct bench {
	struct loop    *loop;
	struct channel *keyd;
	struct signer  *signer;
	struct envelope env;
};

struct answer {
	unsigned   came;
	bool       ok, waits;
	struct buf fields, dkim, why;
};

static void
got(void *arg, const struct signature *sig)
{
	struct answer *a = arg;

	a->came++;
	a->ok = sig->ok;
	a->waits = sig->waits;
	buf_add(&a->fields, sig->fields);
	buf_add(&a->dkim, sig->dkim);
	buf_add(&a->why, sig->why);
}

static void
keyd_says(void *arg, enum wire_id id, const void *msg, int fd)
{
	struct bench *b = arg;

	assert_int_equal(fd, -1);
	if (id == WIRE_SIGNED)
		signer_answer(b->signer, msg);
}

static void
keyd_gone(void *arg, const char *why)
{
	struct bench *b = arg;

	(void)why;
	signer_keyd_gone(b->signer, b->keyd);
	channel_close(b->keyd);
	b->keyd = NULL;
}

static const struct channel_hooks hooks = {keyd_says, keyd_gone};

static void
begin(struct bench *b)
{
	*b = (struct bench){.env = {.header_from = STR("example.com"), .accepted_ms = 1700000000000}};
	b->loop = loop_create();
	b->signer = signer_create(b->loop);
	b->keyd = channel_open(b->loop, -1, ROLE_DELIVERY, ROLE_KEYD, &hooks, b);
	signer_keyd(b->signer, b->keyd);
}

static void
end(struct bench *b)
{
	signer_destroy(b->signer);
	channel_close(b->keyd);
	loop_destroy(b->loop);
}

static struct answer
fresh(void)
{
	return (struct answer){.fields = BUF(10000), .dkim = BUF(1000), .why = BUF(1000)};
}

static void
answer_free(struct answer *a)
{
	buf_free(&a->fields);
	buf_free(&a->dkim);
	buf_free(&a->why);
}

static struct signing *
ask(struct bench *b, uint64_t id, struct answer *a)
{
	struct signer_request r = {.id = id, .config = &config, .env = &b->env, .fd = -1,
	                           .body = STR(message), .size = sizeof message - 1, .again = true};

	return signer_start(b->signer, &r, got, a);
}

/* Answer the oldest SIGN frame with this `ok`, and keep its digest for comparing. */
static void
serve_with(struct bench *b, uint8_t ok, char digest[32])
{
	const struct fake_frame *f;
	const struct wire_sign  *s;
	struct wire_signed       m = {.ok = ok, .signature = STR("signature"), .why = STR("no such key")};

	fake_run(b->loop);
	f = fake_frame(b->loop);
	assert_non_null(f);
	assert_int_equal(f->id, WIRE_SIGN);
	s = f->msg;
	assert_true(str_eq(s->domain, STR("example.com")));
	dkim_digest(s->fields, s->last, (unsigned char *)digest);
	m.id = s->id;
	fake_frame_drop(b->loop);
	assert_true(fake_message(b->loop, WIRE_SIGNED, &m, -1));
	fake_run(b->loop);
}

static void
serve(struct bench *b, bool ok, char digest[32])
{
	serve_with(b, ok ? WIRE_SIGNED_OK : WIRE_SIGNED_NOT, digest);
}

static void
one_signature_serves_all_parts(void **state)
{
	struct bench  b;
	struct answer first = fresh(), second = fresh(), third = fresh();
	char          digest[32];

	(void)state;
	begin(&b);
	(void)ask(&b, 7, &first);
	(void)ask(&b, 7, &second);
	serve(&b, true, digest);
	assert_int_equal(first.came, 0);
	serve(&b, true, digest);
	assert_int_equal(first.came, 1);
	assert_int_equal(second.came, 1);
	assert_true(first.ok);
	assert_true(str_eq(buf_str(&first.dkim), STR("example.com/s1,s2")));
	assert_true(str_starts(buf_str(&first.fields), STR("DKIM-Signature:")));
	assert_true(str_eq(buf_str(&first.fields), buf_str(&second.fields)));
	(void)ask(&b, 7, &third);
	assert_int_equal(third.came, 0); /* never from inside the call */
	fake_run(b.loop);
	assert_int_equal(third.came, 1);
	assert_null(fake_frame(b.loop));
	answer_free(&first);
	answer_free(&second);
	answer_free(&third);
	end(&b);
}

static void
a_new_configuration_signs_anew(void **state)
{
	struct bench  b;
	struct answer a = fresh();
	char          digest[32];

	(void)state;
	begin(&b);
	(void)ask(&b, 7, &a);
	serve(&b, true, digest);
	serve(&b, true, digest);
	config.generation = 2;
	(void)ask(&b, 7, &a);
	serve(&b, true, digest);
	serve(&b, true, digest);
	config.generation = 1;
	assert_int_equal(a.came, 2);
	answer_free(&a);
	end(&b);
}

static void
unsigned_says_why(void **state)
{
	struct bench  b;
	struct answer a = fresh();

	(void)state;
	begin(&b);
	b.env.header_from = STR("example.org");
	(void)ask(&b, 7, &a);
	fake_run(b.loop);
	assert_int_equal(a.came, 1);
	assert_true(a.ok);
	assert_int_equal(a.fields.n, 0);
	assert_true(str_eq(buf_str(&a.dkim), STR("none why=no-key")));
	answer_free(&a);
	end(&b);
}

static void
what_cannot_be_signed_fails_and_is_tried_again(void **state)
{
	struct bench  b;
	struct answer refused = fresh(), late = fresh(), gone = fresh(), nobody = fresh();
	struct answer missing = fresh();
	char          digest[32];

	(void)state;
	begin(&b);
	(void)ask(&b, 7, &refused);
	serve(&b, false, digest);
	assert_int_equal(refused.came, 1);
	assert_false(refused.ok || refused.waits);
	assert_true(str_eq(buf_str(&refused.why), STR("no such key")));
	fake_frame_drop(b.loop); /* the other key's */
	(void)ask(&b, 7, &missing);
	serve_with(&b, WIRE_SIGNED_NO_KEY, digest);
	assert_int_equal(missing.came, 1);
	assert_true(!missing.ok && missing.waits);
	fake_frame_drop(b.loop);
	(void)ask(&b, 7, &late);
	fake_wait(b.loop, 9999);
	assert_int_equal(late.came, 0);
	fake_wait(b.loop, 1);
	assert_int_equal(late.came, 1);
	assert_false(late.ok || late.waits);
	(void)ask(&b, 7, &gone);
	assert_true(fake_gone(b.loop, ROLE_KEYD));
	fake_run(b.loop);
	assert_int_equal(gone.came, 1);
	assert_true(!gone.ok && gone.waits);
	(void)ask(&b, 7, &nobody);
	fake_run(b.loop);
	assert_int_equal(nobody.came, 1);
	assert_true(!nobody.ok && nobody.waits);
	answer_free(&refused);
	answer_free(&missing);
	answer_free(&late);
	answer_free(&gone);
	answer_free(&nobody);
	end(&b);
}

/* There are several: the end of another is nothing to us, that of ours only means to ask again. */
static void
another_key_holder_takes_over(void **state)
{
	struct bench    b;
	struct answer   a = fresh();
	struct channel *other;
	char            digest[32], again[32];

	(void)state;
	begin(&b);
	other = channel_open(b.loop, -1, ROLE_DELIVERY, ROLE_KEYD, &hooks, &b);
	(void)ask(&b, 7, &a);
	signer_keyd_gone(b.signer, other);
	fake_run(b.loop);
	assert_int_equal(a.came, 0);
	serve(&b, true, digest);
	fake_frame_drop(b.loop); /* for the second key: lost */
	signer_keyd(b.signer, other);
	signer_keyd_gone(b.signer, b.keyd);
	channel_close(b.keyd);
	b.keyd = other;
	serve(&b, true, again);
	assert_memory_equal(digest, again, 32);
	assert_int_equal(a.came, 0);
	serve(&b, true, again);
	assert_int_equal(a.came, 1);
	assert_true(a.ok);
	assert_true(str_eq(buf_str(&a.dkim), STR("example.com/s1,s2")));
	answer_free(&a);
	end(&b);
}

static void
a_cancelled_waiter_is_not_called(void **state)
{
	struct bench  b;
	struct answer a = fresh(), other = fresh();
	char          digest[32];

	(void)state;
	begin(&b);
	signer_cancel(ask(&b, 7, &a));
	(void)ask(&b, 7, &other);
	serve(&b, true, digest);
	serve(&b, true, digest);
	assert_int_equal(a.came, 0);
	assert_int_equal(other.came, 1);
	answer_free(&a);
	answer_free(&other);
	end(&b);
}

/* Body hash from the envelope, from memory and from a descriptor: the same digest to sign. */
static void
the_body_hash_is_the_same_from_everywhere(void **state)
{
	struct bench          b;
	struct answer         a = fresh();
	char                  memory[32], file[32], stored[32], other[32];
	int                   fd = memfd_create("message", MFD_CLOEXEC);
	struct signer_request r = {.id = 8, .config = &config, .env = &b.env, .fd = fd, .size = sizeof message - 1};

	(void)state;
	begin(&b);
	assert_int_equal(write(fd, message, sizeof message - 1), sizeof message - 1);
	(void)ask(&b, 7, &a);
	serve(&b, true, memory);
	serve(&b, true, other);
	(void)signer_start(b.signer, &r, got, &a);
	serve(&b, true, file);
	serve(&b, true, other);
	assert_memory_equal(memory, file, 32);
	b.env.bh_canon = STR("relaxed");
	b.env.bh = STR("c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2U=");
	(void)ask(&b, 9, &a);
	serve(&b, true, stored);
	serve(&b, true, other);
	assert_memory_not_equal(memory, stored, 32); /* taken as it is told */
	b.env.bh_canon = STR("simple");
	(void)ask(&b, 10, &a);
	serve(&b, true, stored);
	serve(&b, true, other);
	assert_memory_equal(memory, stored, 32); /* of the wrong form: made anew */
	close(fd);
	answer_free(&a);
	end(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_signature_serves_all_parts),
		cmocka_unit_test(a_new_configuration_signs_anew),
		cmocka_unit_test(unsigned_says_why),
		cmocka_unit_test(what_cannot_be_signed_fails_and_is_tried_again),
		cmocka_unit_test(another_key_holder_takes_over),
		cmocka_unit_test(a_cancelled_waiter_is_not_called),
		cmocka_unit_test(the_body_hash_is_the_same_from_everywhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
