/* SPDX-License-Identifier: ISC */
/*
 * role - stands in for lib/proc/role.c: the role's own main function runs with its real hooks,
 * and a target, in place of a supervisor, says what happens to it.
 */
#ifndef TESTS_FUZZ_ROLE_H
#define TESTS_FUZZ_ROLE_H

#include "lib/proc/role.h"

struct role {
	/* The target's, before role_play(). */
	struct loop *loop;
	const char  *config; /* as config_render() writes it */
	void (*life)(struct role *r); /* from the first configuration to the end */
	/* role.c's */
	enum role_id             id;
	const struct role_hooks *hooks;
	void                    *self;
	bool                     done; /* it was drained */
	uint32_t                 generation;
};

void role_play(struct role *r, int (*role_main)(unsigned index));

void role_configure(struct role *r); /* the same configuration once more */

#endif
