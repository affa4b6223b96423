/* SPDX-License-Identifier: ISC */
/*
 * door - our own listeners without a port: the doctor tries at them what strangers try.
 *
 * Behind the door is the same code as in the daemon, with the same configuration, but no queue
 * that stores and no login that succeeds. A visitor comes through a socketpair, with whatever address
 * he is given.
 */
#ifndef CMD_DOOR_H
#define CMD_DOOR_H

#include "lib/net/addr.h"

struct config;
struct door;
struct loop;

struct door *door_create(struct loop *l, struct config *config);
void         door_destroy(struct door *d); /* before the loop; NULL is allowed */

/* The visitor's end of a connection to listener `index`; -1: no descriptors left. */
int door_open(struct door *d, unsigned index, struct addr client);

#endif
