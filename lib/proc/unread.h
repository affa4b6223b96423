/* SPDX-License-Identifier: ISC */
/*
 * unread - files of private keys that could not be read for a keyd, and another try.
 *
 * The configuration was checked with these files, so what fails later is a disk that has a bad moment, a
 * lack of descriptors, or somebody who works on them. Nobody should have to say that all is well
 * again: they are read after 2 s, then after twice as long each time, up to a minute.
 */
#ifndef LIB_PROC_UNREAD_H
#define LIB_PROC_UNREAD_H

#include "lib/util/str.h"

struct loop;
struct unread;

/* `again` comes when it is time to try: for each keyd that lacks something, unread_begin() and unread_end(). */
struct unread *unread_create(struct loop *l, void (*again)(void *arg), void *arg);
void           unread_destroy(struct unread *u); /* NULL is allowed */

/*
 * The configuration is rendered for keyd `index` (less than 32): unread_told() hears of each key between these two,
 * and they log what has become unusable (`key-unusable`), or usable again for all (`key-usable`).
 * unread_end() is true if there is now something that this keyd lacked before.
 */
void unread_begin(struct unread *u, unsigned index);
void unread_told(void *unread, struct str path, const char *why);
bool unread_end(struct unread *u);

bool unread_lacks(const struct unread *u, unsigned index);

#endif
