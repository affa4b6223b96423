/* SPDX-License-Identifier: ISC */
/*
 * trial - a message read as a listener would read it, and signed as delivery would; for lint and
 * `dkim test`.
 *
 * It goes through the very code of the daemon. Nothing is sent, and no daemon is needed.
 */
#ifndef CMD_TRIAL_H
#define CMD_TRIAL_H

#include "cmd/cmd.h"
#include "dkim/bodyhash.h"
#include "smtpd/message.h"

struct trial {
	struct config   *config;
	struct policy    policy;
	struct fixup     plan;
	struct buf       file, sender;
	struct messages  messages;
	struct message  *message;
	struct reply     reply;  /* what the client would hear */
	struct buf       text;   /* the message as it would be stored, if it is taken */
	const struct dkim_conf *signs; /* whose keys would sign; NULL: none */
	struct buf       fields; /* the DKIM-Signature fields; empty: `unsigned_why` */
	struct buf       unsigned_why;
};

/* The configuration as far as this account may read it; NULL after its errors are told. */
struct config *trial_config(struct cmd *c) MUST_USE;

/*
 * Read, judge and sign the message in `path` ("-": standard input). `from` is the envelope's
 * sender as the command line has it; NULL: the author. The reference on `config` becomes the
 * trial's. CMD_OK, or an exit code after the mistake is told; trial_free() in any case.
 */
int  trial_run(struct trial *t, struct cmd *c, const char *path, const char *from);
void trial_free(struct trial *t);

#endif
