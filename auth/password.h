/* SPDX-License-Identifier: ISC */
/*
 * password - is this the password of that user?
 *
 * Against the users file, or by asking saslauthd (PAM, LDAP ...) over its unix
 * socket, which blocks (saslauthd.h): that is why auth is a role of its own.
 * Successes against the file are remembered under a keyed hash that lives and
 * dies with the process, so that an application that logs in for each message costs one
 * derivation and not one each time.
 */
#ifndef AUTH_PASSWORD_H
#define AUTH_PASSWORD_H

#include "lib/util/str.h"

struct passwords;
struct users;

enum password_result { PASSWORD_OK, PASSWORD_WRONG, PASSWORD_UNAVAILABLE };

/* `users` is borrowed and must live longer. `saslauthd` is a socket path, or empty: the users file. */
struct passwords *passwords_create(struct users *users, struct str saslauthd);
void              passwords_destroy(struct passwords *p); /* NULL is allowed */

enum password_result password_check(struct passwords *p, struct str name, struct str password);

#endif
