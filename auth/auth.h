/* SPDX-License-Identifier: ISC */
/*
 * auth - the role that checks passwords.
 *
 * It has the users' verifiers and libsasl2, and sees no mail. It may block on
 * saslauthd; several of it run side by side then, and smtpd asks them in turn.
 */
#ifndef AUTH_AUTH_H
#define AUTH_AUTH_H

#include "lib/util/buf.h"

int auth_main(unsigned index);

/*
 * For start and `check`: can this machine log anybody in? Looks in a child
 * process, so that the caller loads no module. False with a sentence in `why`.
 */
bool auth_is_available(struct buf *why);

#endif
