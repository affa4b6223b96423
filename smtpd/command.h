/* SPDX-License-Identifier: ISC */
/*
 * command - the verbs: where each is legal, what it demands, who runs it.
 *
 * Security rules live in two columns of the table that can be read at a glance.
 */
#ifndef SMTPD_COMMAND_H
#define SMTPD_COMMAND_H

#include "lib/mail/reply.h"

struct session;

enum { COMMAND_LINE_MAX = 12288 }; /* AUTH (RFC 4954 section 4); other verbs have less */

/* Run one line, without its end, and answer. */
void command_run(struct session *s, struct str line);

/* Answer and count it as the client's mistake; after ten of them he has to go. */
void command_mistake(struct session *s, struct reply r);

/* The handlers, one file for each family. Arguments without blanks around them. */
struct reply run_helo(struct session *s, struct str args); /* cmd_hello.c */
struct reply run_ehlo(struct session *s, struct str args);
struct reply run_starttls(struct session *s, struct str args); /* cmd_tls.c */
struct reply run_auth(struct session *s, struct str args);     /* cmd_auth.c */
struct reply run_mail(struct session *s, struct str args);     /* cmd_mail.c */
struct reply run_rcpt(struct session *s, struct str args);
struct reply run_data(struct session *s, struct str args); /* cmd_data.c */
struct reply run_bdat(struct session *s, struct str args);
struct reply run_rset(struct session *s, struct str args); /* cmd_misc.c */
struct reply run_noop(struct session *s, struct str args);
struct reply run_vrfy(struct session *s, struct str args);
struct reply run_expn(struct session *s, struct str args);
struct reply run_help(struct session *s, struct str args);
struct reply run_quit(struct session *s, struct str args);
struct reply run_proxy(struct session *s, struct str args);
struct reply run_http(struct session *s, struct str args);

/* Input of the phases that are not commands; false: there is none, come back later. */
bool auth_input(struct session *s);
bool data_input(struct session *s);
bool chunk_input(struct session *s);

#endif
