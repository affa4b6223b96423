/* SPDX-License-Identifier: ISC */
#include "queue/segment.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/util/buf.h"
#include "lib/util/mem.h"
#include "lib/util/random.h"

enum { OPEN_MAX_SEALED = 64, NAME_LENGTH = 29 }; /* 8 + 1 + 16 + 4 */

void
segments_init(struct segments *s, int dirfd, const struct io *io)
{
	*s = (struct segments){.dirfd = dirfd, .io = io, .next_seq = 1, .next_free = 1};
	list_init(&s->open);
}

static void
destroy(struct segments *s, struct segment *g)
{
	list_remove(&s->open, &g->open);
	if (g->fd >= 0)
		close(g->fd);
	free(g);
}

void
segments_free(struct segments *s)
{
	for (size_t i = 0; i < s->n; i++)
		destroy(s, s->v[i]);
	free(s->v);
	s->v = NULL;
	s->n = s->cap = 0;
}

uint32_t
segments_choose_size(uint64_t file_system_bytes)
{
	uint32_t size = SEGMENT_MAX;

	while (size > SEGMENT_MIN && size > file_system_bytes / 8)
		size /= 2;
	return size;
}

void
segment_name(char out[NAME_MAX_SPOOL], const struct segment *g)
{
	snprintf(out, NAME_MAX_SPOOL, "%08x-%016llx.seg", g->seq, (unsigned long long)g->salt);
}

void
segment_hint_name(char out[NAME_MAX_SPOOL], const struct segment *g)
{
	snprintf(out, NAME_MAX_SPOOL, "%08x-%016llx.hint", g->seq, (unsigned long long)g->salt);
}

static void
free_name(char out[NAME_MAX_SPOOL], uint32_t n)
{
	snprintf(out, NAME_MAX_SPOOL, "free-%u.seg", n);
}

static bool
parse_hex(struct str s, uint64_t *out)
{
	*out = 0;
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (c >= '0' && c <= '9')
			*out = *out << 4 | (uint64_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			*out = *out << 4 | (uint64_t)(c - 'a' + 10);
		else
			return false;
	}
	return true;
}

static void
add(struct segments *s, struct segment *g)
{
	size_t at = s->n;

	if (s->n == s->cap) {
		s->cap = s->cap == 0 ? 8 : s->cap * 2;
		s->v = mem_resize(s->v, s->cap, sizeof(struct segment *));
	}
	while (at > 0 && s->v[at - 1]->seq > g->seq) {
		s->v[at] = s->v[at - 1];
		at--;
	}
	s->v[at] = g;
	s->n++;
	if (g->seq >= s->next_seq)
		s->next_seq = g->seq + 1;
}

static bool
parse_name(struct str name, uint64_t *seq, uint64_t *salt)
{
	return parse_hex(str_sub(name, 0, 8), seq) && name.p[8] == '-' &&
	       parse_hex(str_sub(name, 9, 16), salt) && *seq != 0;
}

static void
found_segment(struct segments *s, struct str name)
{
	struct segment *g;
	struct stat     st;
	uint64_t        seq, salt;

	if (!parse_name(name, &seq, &salt) ||
	    fstatat(s->dirfd, name.p, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode) ||
	    segment_find(s, (uint32_t)seq) != NULL)
		return;
	g = mem_zero(sizeof *g);
	g->seq = (uint32_t)seq;
	g->salt = salt;
	g->fd = -1;
	g->size = st.st_size > UINT32_MAX ? UINT32_MAX : (uint32_t)st.st_size;
	add(s, g);
}

/* A retired segment's hint may outlive it by a crash: what is in it decides, not that it is there. */
static void
found_hint(struct segments *s, struct str name)
{
	struct segment *g;
	uint64_t        seq, salt;

	if (!parse_name(name, &seq, &salt) || segment_find(s, (uint32_t)seq) != NULL)
		return;
	g = mem_zero(sizeof *g);
	g->seq = (uint32_t)seq;
	g->salt = salt;
	g->fd = -1;
	g->size = SEGMENT_MAX;
	g->gone = true;
	add(s, g);
}

static void
keep_free(struct segments *s, uint32_t n)
{
	for (size_t i = 0; i < ARRAY_LEN(s->free_ids); i++) {
		if (s->free_ids[i] != 0)
			continue;
		s->free_ids[i] = n;
		return;
	}
}

static void
found_free(struct segments *s, struct str name)
{
	struct str  number = str_sub(name, 5, name.n - 9);
	struct stat st;
	uint64_t    n;

	if (!str_number(number, UINT32_MAX - 1, &n) || n == 0)
		return;
	if (n >= s->next_free)
		s->next_free = (uint32_t)n + 1;
	if (fstatat(s->dirfd, name.p, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_size == s->size)
		keep_free(s, (uint32_t)n);
}

bool
segments_scan(struct segments *s, struct buf *why)
{
	int            fd = openat(s->dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR           *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (dir == NULL) {
		buf_addf(why, "cannot read the spool directory: %s", strerror(errno));
		if (fd >= 0)
			close(fd);
		return false;
	}
	while ((e = readdir(dir)) != NULL) {
		struct str name = str_of(e->d_name);

		if (!str_ends(name, STR(".seg")))
			continue;
		if (str_starts(name, STR("free-")) && name.n > 9)
			found_free(s, name);
		else if (name.n == NAME_LENGTH)
			found_segment(s, name);
	}
	rewinddir(dir);
	while ((e = readdir(dir)) != NULL)
		if (strlen(e->d_name) == NAME_LENGTH + 1 && str_ends(str_of(e->d_name), STR(".hint")))
			found_hint(s, str_of(e->d_name));
	closedir(dir);
	return true;
}

/* Numbers are consecutive unless a file was taken away, so the first guess is right as a rule. */
struct segment *
segment_find(const struct segments *s, uint32_t seq)
{
	size_t low = 0, high = s->n;

	if (s->n == 0 || seq < s->v[0]->seq)
		return NULL;
	if (seq - s->v[0]->seq < s->n && s->v[seq - s->v[0]->seq]->seq == seq)
		return s->v[seq - s->v[0]->seq];
	while (low < high) {
		size_t mid = (low + high) / 2;

		if (s->v[mid]->seq == seq)
			return s->v[mid];
		if (s->v[mid]->seq < seq)
			low = mid + 1;
		else
			high = mid;
	}
	return NULL;
}

struct segment *
segment_oldest(const struct segments *s)
{
	return s->n == 0 ? NULL : s->v[0];
}

/* Of the sealed ones only the last used keep a descriptor: a long queue has more than a process may. */
int
segment_fd(struct segments *s, struct segment *g)
{
	char name[NAME_MAX_SPOOL];

	if (g->fd < 0) {
		segment_name(name, g);
		g->fd = openat(s->dirfd, name,
		               (g->sealed ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOFOLLOW);
		if (g->fd < 0)
			return -1;
	}
	if (!g->sealed)
		return g->fd;
	list_remove(&s->open, &g->open);
	list_push(&s->open, &g->open);
	if (s->open.n > OPEN_MAX_SEALED) {
		struct segment *idle = CONTAINER(list_pop(&s->open), struct segment, open);

		close(idle->fd);
		idle->fd = -1;
	}
	return g->fd;
}

void
segment_seal(struct segments *s, struct segment *g)
{
	g->sealed = true;
	if (g->fd >= 0)
		segment_fd(s, g);
}

static struct segment *
fresh(struct segments *s)
{
	struct segment *g = mem_zero(sizeof *g);

	g->seq = s->next_seq;
	g->salt = random_u64();
	g->size = s->size;
	g->fd = -1;
	return g;
}

struct segment *
segment_make(struct segments *s, struct job *job)
{
	struct segment *g = fresh(s);
	char            name[NAME_MAX_SPOOL];
	struct step    *step;

	segment_name(name, g);
	for (size_t i = 0; i < ARRAY_LEN(s->free_ids); i++) {
		char from[NAME_MAX_SPOOL];

		if (s->free_ids[i] == 0)
			continue;
		free_name(from, s->free_ids[i]);
		g->fd = openat(s->dirfd, from, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
		s->free_ids[i] = 0;
		if (g->fd < 0)
			continue;
		g->written = g->size;
		step = job_step(job, STEP_RENAME, s->dirfd);
		memcpy(step->from, from, sizeof from);
		memcpy(step->to, name, sizeof name);
		break;
	}
	if (g->fd < 0) {
		g->fd = openat(s->dirfd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
		               0600);
		job_step(job, STEP_ALLOCATE, g->fd)->at = g->size;
		job_step(job, STEP_SYNC, g->fd);
	}
	job_step(job, STEP_SYNC_DIR, s->dirfd);
	return g;
}

/* A file that could not be allocated whole may hold blocks: it must not stay. */
bool
segment_made(struct segments *s, struct segment *g, const struct job *job)
{
	char name[NAME_MAX_SPOOL];

	if (job->error == 0 && g->fd >= 0) {
		add(s, g);
		return true;
	}
	segment_name(name, g);
	s->io->unlink(s->dirfd, name);
	destroy(s, g);
	return false;
}

static void
take_out(struct segments *s, const struct segment *g)
{
	for (size_t i = 0; i < s->n; i++) {
		if (s->v[i] != g)
			continue;
		memmove(s->v + i, s->v + i + 1, (s->n - i - 1) * sizeof(struct segment *));
		s->n--;
		return;
	}
}

void
segment_retire(struct segments *s, struct segment *g, struct job *job)
{
	char         hint[NAME_MAX_SPOOL], from[NAME_MAX_SPOOL], to[NAME_MAX_SPOOL];
	struct step *step;
	bool         keep = false;

	take_out(s, g);
	for (size_t i = 0; i < ARRAY_LEN(s->free_ids); i++)
		keep = keep || s->free_ids[i] == 0;
	keep = keep && g->size == s->size && !g->broken;
	/* Now and first: a hint alone would tell of a segment that somebody took away. */
	segment_hint_name(hint, g);
	(void)s->io->unlink(s->dirfd, hint);
	segment_name(from, g);
	if (keep) {
		/* Now, not in the job: the very next segment_make() may want it. */
		free_name(to, s->next_free);
		keep = s->io->rename(s->dirfd, from, to) == 0;
	}
	if (keep) {
		keep_free(s, s->next_free++);
	} else {
		step = job_step(job, STEP_UNLINK, s->dirfd);
		step->lenient = true;
		memcpy(step->from, from, sizeof from);
	}
	destroy(s, g);
}

void
segment_close(struct segments *s, struct segment *g)
{
	take_out(s, g);
	destroy(s, g);
}

void
segments_trim(struct segments *s, struct job *job)
{
	for (size_t i = 0; i < ARRAY_LEN(s->free_ids); i++) {
		struct step *step;

		if (s->free_ids[i] == 0)
			continue;
		step = job_step(job, STEP_UNLINK, s->dirfd);
		step->lenient = true;
		free_name(step->from, s->free_ids[i]);
		s->free_ids[i] = 0;
	}
}

uint64_t
segments_bytes(const struct segments *s)
{
	uint64_t n = 0;

	for (size_t i = 0; i < s->n; i++)
		n += s->v[i]->gone ? 0 : s->v[i]->size;
	return n;
}

bool
segment_read(struct segments *s, struct segment *g, uint64_t at, void *to, size_t n)
{
	int fd = segment_fd(s, g);

	if (fd < 0)
		return false;
	while (n > 0) {
		ssize_t got = s->io->read(fd, to, n, (off_t)at);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return false;
		to = (char *)to + got;
		at += (uint64_t)got;
		n -= (size_t)got;
	}
	return true;
}
