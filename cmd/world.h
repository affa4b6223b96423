/* SPDX-License-Identifier: ISC */
/*
 * world - what doctor, dns and setup look at: the domains we send as, the addresses
 * we send from, and a way to ask about both.
 */
#ifndef CMD_WORLD_H
#define CMD_WORLD_H

#include "cmd/cmd.h"
#include "doctor/ask.h"
#include "doctor/exam.h"

struct world {
	struct config *config;
	struct exam    exam;
	struct ask    *ask;
	struct door   *door; /* NULL until the first visit */
	struct addr   *sources, *resolvers;
	struct str    *domains; /* each in memory of its own */
	size_t         n_sources, n_domains, n_resolvers;
	bool           sources_given;
	bool           inside; /* the daemon: what goes wrong is logged, not told on the terminal */
};

/*
 * Takes --source IP, --public-ip IP, --resolver IP@PORT and --domain NAME out of the arguments. CMD_OK, or
 * an exit code after the mistake is told. world_close() in any case.
 */
int  world_options(struct world *w, struct cmd *c);
bool world_add_domain(struct world *w, const char *name); /* false: no domain name */

/* With `config` (which becomes the world's): what the options left open, and the resolver. */
int  world_open(struct world *w, struct config *config);
void world_close(struct world *w);

/* Judge until all is known, 4.5 s at the most. */
void world_judge(struct world *w);

/* Believe nothing that was heard so far: ask again. Not CMD_OK: told, and the world is of no use. */
int world_forget(struct world *w);

/* Not one question was answered. */
bool world_is_silent(const struct world *w);

#endif
