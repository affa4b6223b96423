/* SPDX-License-Identifier: ISC */
/*
 * signer - has messages signed by keyd, each only once.
 *
 * The parts of one message come as several leases; whoever comes first starts the
 * signature, the others wait for the same one or find it kept. A message whose
 * domain has keys is never let go unsigned: if keyd cannot sign, that is a
 * temporary failure.
 */
#ifndef DELIVERY_SIGNER_H
#define DELIVERY_SIGNER_H

#include "lib/mail/envelope.h"
#include "lib/proc/wire.h"

struct channel;
struct config;
struct loop;
struct signer;
struct signing;

struct signer_request {
	uint64_t               id;
	const struct config   *config;
	const struct envelope *env;
	struct str             body; /* the message; empty if `fd` has it. Not needed after the call. */
	int                    fd;
	uint64_t               size;
	const struct dkim_conf *keys; /* sign with these; NULL: with those of From: */
	const char             *unsigned_why; /* not NULL: do not sign, and this is why */
	bool                   again; /* other parts of the message may ask, too: keep the result */
};

struct signature {
	bool       ok;
	struct str fields; /* header fields to put on top; empty: unsigned on purpose */
	struct str dkim;   /* for the log: "example.com/s1,s2" or "none why=..." */
	struct str why;    /* not ok */
	bool       waits;  /* not ok, and all that is missing is a key or its holder */
};

struct signer *signer_create(struct loop *l);
void           signer_destroy(struct signer *s); /* NULL is allowed; cancels all */

/* The way to keyd, borrowed, for what comes from now on. */
void signer_keyd(struct signer *s, struct channel *keyd);

/*
 * This one is gone: what it has not answered is asked of the one that signer_keyd() has named
 * meanwhile, or fails.
 */
void signer_keyd_gone(struct signer *s, const struct channel *keyd);
void signer_answer(struct signer *s, const struct wire_signed *msg);

/* `fn` comes once, later, unless cancelled; the texts are valid during it. */
struct signing *signer_start(struct signer *s, const struct signer_request *r,
                             void (*fn)(void *arg, const struct signature *sig), void *arg);
void            signer_cancel(struct signing *w); /* NULL is allowed */

#endif
