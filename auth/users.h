/* SPDX-License-Identifier: ISC */
/*
 * users - names and verifiers out of the users file.
 *
 * One line a user, "name:SCRAM-SHA-256$...". The line "#unknown KEY" holds a
 * secret from which the verifiers of unknown names are made, so that those look
 * the same at every try, in every process, and nobody can tell who exists.
 */
#ifndef AUTH_USERS_H
#define AUTH_USERS_H

#include "lib/util/buf.h"

struct users;

enum { USER_NAME_MAX = 256 };

struct users        *
users_create(struct str text);  /* copies; bad lines are left out, config has told of them */
void   users_destroy(struct users *u); /* wipes; NULL is allowed */
size_t users_count(const struct users *u);

/*
 * The verifier text of `name`; of a name that does not exist a made-up one, and
 * `known` is false. Valid until the next call or destroy.
 */
struct str users_verifier(struct users *u, struct str name, bool *known);

/* The key of the "#unknown" line for a new file: 32 random octets in base64. */
void users_new_key(struct buf *out);

#endif
