/* SPDX-License-Identifier: ISC */
#include "smtpd/keyholder.h"

#include "lib/util/log.h"
#include "lib/util/time.h"

enum {
	ANSWER_MS = 2000, /* keyd needs a few; more only if it or the machine is in trouble */
	TELL_MS = 60 * 1000,
};

static void
tell(struct keyholder *k, struct str why)
{
	int64_t now = time_mono_ms();

	if (k->told_ms != 0 && now - k->told_ms < TELL_MS)
		return;
	k->told_ms = now;
	log_warn(ev("handshake-unsigned"), kv("why", why));
}

static bool
ask(void *arg, const struct tls_to_sign *what, struct buf *signature)
{
	struct keyholder    *k = arg;
	struct wire_tls_sign m = {
		.key = what->key, .scheme = (uint16_t)what->scheme, .content = what->content};
	struct wire_signed reply;
	struct question    q = {WIRE_TLS_SIGN, WIRE_TLS_SIGNED, &m, &reply, ANSWER_MS};

	if (!asker_ask(&k->asker, &q)) {
		if (k->lost != NULL)
			k->lost(ROLE_KEYD, k->keyd);
		tell(k, STR("the key holder is not there"));
		return false;
	}
	if (!reply.ok)
		tell(k, reply.why);
	buf_add(signature, reply.ok ? reply.signature : STR_NONE);
	return reply.ok != 0;
}

void
keyholder_init(struct keyholder *k)
{
	*k = (struct keyholder){.signer = {.sign = ask, .arg = k}};
	asker_init(&k->asker, ROLE_SMTPD, ROLE_KEYD);
}

void
keyholder_attach(struct keyholder *k, unsigned keyd, int fd)
{
	k->keyd = keyd;
	asker_attach(&k->asker, fd);
}

void
keyholder_on_lost(struct keyholder *k, void (*lost)(enum role_id who, unsigned index))
{
	k->lost = lost;
}

void
keyholder_free(struct keyholder *k)
{
	asker_free(&k->asker);
}
