/* SPDX-License-Identifier: ISC */
/* config_owner - whose the files are that the configuration is made of. */
#include <pwd.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/proc/config_private.h"

void
conf_owner_note(struct maker *m, const struct word *w, uid_t owner)
{
	if (owner == 0 || owner == geteuid())
		return;
	m->strangers = arena_more(&m->scratch, m->strangers, m->n_strangers, sizeof *m->strangers);
	m->strangers[m->n_strangers++] = (struct stranger){w->at, arena_str(&m->scratch, w->text),
	                                                   owner};
}

static bool
is_account(struct str name, uid_t owner)
{
	char                *z = str_dup(name);
	const struct passwd *p = getpwnam(z);

	free(z);
	return p != NULL && p->pw_uid == owner;
}

/*
 * Its owner can always write a file, whatever the mode. A number without an account
 * is somebody of another machine: container engines mount files so, and nobody here is he.
 */
static void
check(struct maker *m, const struct stranger *s)
{
	const struct passwd *p = getpwuid(s->owner);

	if (p == NULL) {
		conf_problem(m, CONF_WARNING, s->at,
		             "%.*s belongs to user %u, who is not known here", S(s->path),
		             (unsigned)s->owner);
		conf_hint(m, "chown root %.*s", S(s->path));
	} else if (!is_account(m->c->user_account, s->owner)) {
		conf_problem(m, CONF_ERROR, s->at,
		             "%.*s belongs to %s, who could change it at will", S(s->path),
		             p->pw_name);
		conf_hint(m, "chown root %.*s", S(s->path));
	}
}

void
conf_owner_check(struct maker *m)
{
	for (size_t i = 0; i < m->n_strangers; i++)
		check(m, &m->strangers[i]);
}
