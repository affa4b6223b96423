/* SPDX-License-Identifier: ISC */
/* cmd_auth - the parts of AUTH that the session itself needs. */
#ifndef SMTPD_CMD_AUTH_H
#define SMTPD_CMD_AUTH_H

#include "lib/util/buf.h"

struct session;

/* End an exchange that runs, if any; nothing is answered. */
void login_exchange_destroy(struct session *s);

/* The pause of a failed login is over: answer, and perhaps end the session. */
void exchange_refuse(struct session *s);

/* Append the mechanisms that this session may use now, each behind a blank; nothing if none. */
void exchange_mechs(const struct session *s, struct buf *out);

#endif
