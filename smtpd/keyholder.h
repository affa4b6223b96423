/* SPDX-License-Identifier: ISC */
/*
 * keyholder - the way to keyd, which has the keys of our certificates.
 *
 * A handshake that needs a signature stands still until keyd has answered, and with it
 * the whole process: OpenSSL's call returns with the signature or not at all. keyd
 * puts such questions before all others; if it is gone or says nothing in time the handshake fails,
 * and mail comes again.
 */
#ifndef SMTPD_KEYHOLDER_H
#define SMTPD_KEYHOLDER_H

#include "lib/net/tls.h"
#include "lib/proc/asker.h"

struct keyholder {
	struct tls_signer signer; /* for tls_server_create() */
	struct asker      asker;
	unsigned          keyd;    /* its index */
	void (*lost)(enum role_id who, unsigned index); /* role_lost(), or NULL */
	int64_t           told_ms; /* monotonic: when the log heard of a failure; 0: never */
};

void keyholder_init(struct keyholder *k);
void keyholder_attach(struct keyholder *k, unsigned keyd, int fd); /* a channel to it, now ours */
/* Where to tell that the channel has ended, so that there is another. */
void keyholder_on_lost(struct keyholder *k, void (*lost)(enum role_id who, unsigned index));
void keyholder_free(struct keyholder *k);

#endif
