/* SPDX-License-Identifier: ISC */
/* config_memory - how much memory all roles may use, and what each process may. */
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "lib/proc/config_private.h"

enum {
	PROCESSES_MAX = 60, /* as the configuration says; on larger machines too */
	GROUP_MAX = 4096,
};

static unsigned
count_cores(void)
{
	cpu_set_t set;
	int       n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;

	return n > 0 ? (unsigned)n : 1;
}

static unsigned
choose(unsigned configured, unsigned otherwise)
{
	unsigned n = configured > 0 ? configured : otherwise;

	return n < PROCESSES_MAX ? n : PROCESSES_MAX;
}

unsigned
config_processes(const struct config *c, enum role_id id)
{
	if (id == ROLE_SMTPD)
		return choose(c->smtpd_count, count_cores());
	if (id == ROLE_DELIVERY)
		return choose(c->delivery_count, count_cores());
	if (id == ROLE_AUTH)
		return choose(c->auth_count, 1);
	return 1;
}

/*
 * Of each hundred. What grows with strangers' doing is limited in these three; auth and keyd have
 * limits of address space.
 */
static const struct {
	enum role_id id;
	unsigned     percent;
} shares[] = {{ROLE_SMTPD, 50}, {ROLE_QUEUE, 25}, {ROLE_DELIVERY, 25}};

static uint64_t
share(const struct config *c, enum role_id id)
{
	for (size_t i = 0; i < ARRAY_LEN(shares); i++)
		if (shares[i].id == id)
			return c->memory / 100 * shares[i].percent / config_processes(c, id);
	return c->memory;
}

/* A small file's number, or UINT64_MAX ("max" among others). */
static uint64_t
read_limit(const char *path)
{
	char     text[32];
	int      fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t  n = fd >= 0 ? read(fd, text, sizeof text) : -1;
	uint64_t limit;

	if (fd >= 0)
		close(fd);
	if (n <= 0 || !str_number(str_trim((struct str){text, (size_t)(n - 1)}), INT64_MAX, &limit))
		return UINT64_MAX;
	return limit;
}

/* Of the control group that we are in, as systemd's MemoryMax= and containers set it. */
static uint64_t
group_limit(void)
{
	char       text[GROUP_MAX];
	int        fd = open("/proc/self/cgroup", O_RDONLY | O_CLOEXEC);
	ssize_t    n = fd >= 0 ? read(fd, text, sizeof text) : -1;
	struct str rest = {text, n > 0 ? (size_t)n : 0}, line;
	struct buf path = BUF(GROUP_MAX + 64);
	uint64_t   limit = UINT64_MAX;

	if (fd >= 0)
		close(fd);
	while (str_cut(&rest, '\n', &line)) {
		if (!str_starts(line, STR("0::")))
			continue;
		buf_addz(&path, "/sys/fs/cgroup");
		buf_add(&path, str_skip(line, 3));
		buf_addz(&path, "/memory.max");
		limit = read_limit(buf_z(&path));
	}
	buf_free(&path);
	return limit;
}

uint64_t
conf_memory_default(void)
{
	long     pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
	uint64_t all = pages > 0 && size > 0 ? (uint64_t)pages * (uint64_t)size : UINT64_C(1) << 30;
	uint64_t group = group_limit();

	return (all < group ? all : group) / 2;
}

static void
parse_memory(struct maker *m, const struct row *row, void *base, struct word *words, size_t n)
{
	/* A share may be less than the least that people may write. */
	if (m->carried)
		(void)conf_size(words[0].text, &m->c->memory);
	else
		kind_size.parse(m, row, base, words, n);
}

/* A role is told what one of its processes may use; it does not know how many there are. */
static bool
format_memory(struct view *v, const struct row *row UNUSED, const void *base, size_t i)
{
	const struct config *c = base;

	if (i > 0)
		return false;
	buf_addc(v->out, ' ');
	/* Once: what a role writes again is a share already. */
	conf_put_size(v->out, v->show || v->full->tree == NULL ? c->memory : share(c, v->role));
	return true;
}

const struct kind kind_memory = {parse_memory, format_memory};
