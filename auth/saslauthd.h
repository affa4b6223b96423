/* SPDX-License-Identifier: ISC */
/*
 * saslauthd - the client's side of Cyrus saslauthd's socket: four counted
 * strings out (user, password, service, realm), one back, "OK..." or "NO...".
 */
#ifndef AUTH_SASLAUTHD_H
#define AUTH_SASLAUTHD_H

#include "auth/password.h"

/*
 * Blocks, five seconds at most for each of connect, question, and the two parts of the answer;
 * less than the 30 s after which smtpd says 454. What fails is logged here, and UNAVAILABLE.
 */
enum password_result saslauthd_check(const char *socket_path, struct str name, struct str password);

#endif
