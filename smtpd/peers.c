/* SPDX-License-Identifier: ISC */
#include "smtpd/peers.h"

#include <stdlib.h>
#include <string.h>

#include "lib/util/mem.h"

enum { KEY_MAX = 1 + 255, NET6_OCTETS = 8 };

void
peers_init(struct peers *ps)
{
	*ps = (struct peers){0};
	list_init(&ps->failed);
}

static void
forget(struct peers *ps, struct peer *p)
{
	hash_remove(&ps->all, &p->node);
	list_remove(&ps->failed, &p->link);
	free(p);
}

void
peers_free(struct peers *ps)
{
	struct hash_node *n;

	while ((n = hash_walk(&ps->all, NULL)) != NULL)
		forget(ps, CONTAINER(n, struct peer, node));
	hash_free(&ps->all);
}

static struct peer *
find_or_make(struct peers *ps, struct str key)
{
	uint64_t     value = hash_str(key);
	struct peer *p;

	for (struct hash_node *n = hash_first(&ps->all, value); n != NULL; n = hash_more(n)) {
		p = CONTAINER(n, struct peer, node);
		if (p->n == key.n && memcmp(p->key, key.p, key.n) == 0)
			return p;
	}
	p = mem_zero(sizeof *p + key.n);
	p->n = key.n;
	memcpy(p->key, key.p, key.n);
	hash_put(&ps->all, &p->node, value);
	return p;
}

struct peer *
peers_client(struct peers *ps, struct addr a)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	char                 key[1 + NET6_OCTETS] = {(char)a.family};
	bool                 v4 = a.family == 4;

	if (a.family == 6 && memcmp(a.ip, mapped, sizeof mapped) == 0) {
		key[0] = 4;
		memcpy(key + 1, a.ip + sizeof mapped, 4);
		v4 = true;
	} else {
		memcpy(key + 1, a.ip, v4 ? 4 : NET6_OCTETS);
	}
	return find_or_make(ps, (struct str){key, v4 ? 5 : sizeof key});
}

struct peer *
peers_login(struct peers *ps, struct str name)
{
	char key[KEY_MAX] = {'L'};

	name = str_sub(name, 0, sizeof key - 1);
	if (name.n > 0)
		memcpy(key + 1, name.p, name.n);
	return find_or_make(ps, (struct str){key, 1 + name.n});
}

void
peers_settle(struct peers *ps, struct peer *p)
{
	if (p != NULL && p->connections == 0 && p->failures == 0)
		forget(ps, p);
}

static void
forgive(struct peers *ps, struct peer *p)
{
	p->failures = 0;
	list_remove(&ps->failed, &p->link);
	peers_settle(ps, p);
}

void
peers_count_failure(struct peers *ps, struct peer *p, int64_t now_ms)
{
	struct link *first;

	p->failures = peer_failures(p, now_ms) + 1;
	p->failed_ms = now_ms;
	list_remove(&ps->failed, &p->link);
	list_push(&ps->failed, &p->link);
	while ((first = list_first(&ps->failed)) != &p->link) {
		struct peer *old = CONTAINER(first, struct peer, link);

		if (ps->failed.n <= PEERS_FAILED_MAX && peer_failures(old, now_ms) > 0)
			break;
		forgive(ps, old);
	}
}

unsigned
peer_failures(const struct peer *p, int64_t now_ms)
{
	return p->failures > 0 && now_ms - p->failed_ms < PEERS_MEMORY_MS ? p->failures : 0;
}
