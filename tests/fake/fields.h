/* SPDX-License-Identifier: ISC */
/* fields - the fields of the catalogue's messages by name, for scripts. */
#ifndef TESTS_FAKE_FIELDS_H
#define TESTS_FAKE_FIELDS_H

#include "lib/proc/wire.h"

struct field {
	const char *name;
	size_t      at;
	enum { FIELD_NONE, FIELD_U8, FIELD_U16, FIELD_U32, FIELD_U64, FIELD_TEXT } kind;
};

/* "AUTH_START" and "auth-start" are the same. */
bool fields_find_message(struct str name, enum wire_id *id) MUST_USE;

/* All fields of a message, up to one with kind FIELD_NONE. */
const struct field *fields_of(enum wire_id id);
const struct field *fields_find(enum wire_id id, struct str name); /* NULL: there is none */

/* As text; numbers are decimal. set: false if `value` is no number that fits. Texts are borrowed. */
void field_get(const struct field *f, const void *msg, struct buf *out);
bool field_set(const struct field *f, void *msg, struct str value) MUST_USE;

#endif
