/* SPDX-License-Identifier: ISC */
/* submit - one message to an SMTP server, blocking: what a command needs of a client. */
#ifndef CMD_SUBMIT_H
#define CMD_SUBMIT_H

#include "lib/net/addr.h"
#include "lib/util/buf.h"

/*
 * Submit `message` (wire form, dots not doubled) without TLS and login, 30 s a step.
 * `reply` gets the server's last reply line, or what went wrong. True if the message was taken.
 */
bool submit(struct addr server, struct str from, struct str to, struct str message, struct buf *reply) MUST_USE;

#endif
