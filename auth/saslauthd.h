/* SPDX-License-Identifier: ISC */
/*
 * saslauthd - the client's side of Cyrus saslauthd's socket: four counted
 * strings out (user, password, service, realm), one back, "OK..." or "NO...".
 */
#ifndef AUTH_SASLAUTHD_H
#define AUTH_SASLAUTHD_H

#include "auth/password.h"

/* Blocks, five seconds at most for each step. */
enum password_result saslauthd_check(const char *socket_path, struct str name, struct str password);

#endif
