/* SPDX-License-Identifier: ISC */
/*
 * config_private - what the files of config share and nobody else includes.
 *
 * Text becomes nodes (config_lex.c, config_parse.c, config_env.c), nodes become
 * the struct by way of the table (config_table.c, config_apply.c and one file for each
 * kind of value), and the struct becomes text again by the same table
 * (config_render.c). A maker is the state of one such run. Strings of a
 * configuration live in its arena; nodes live in the tree's, which survives
 * because config_refresh() makes the next configuration from the same nodes.
 */
#ifndef LIB_PROC_CONFIG_PRIVATE_H
#define LIB_PROC_CONFIG_PRIVATE_H

#include <sys/types.h>

#include "lib/proc/config.h"
#include "lib/util/hash.h"

enum {
	CONF_WORD_MAX = 64 * 1024,        /* one value in a file or variable */
	CONF_PROBLEMS_MAX = 200,
	CONF_INCLUDE_DEPTH = 8,
	CONF_SOURCES_MAX = 256,
};

/* ---- memory: config_arena.c ---- */

struct arena {
	struct chunk *chunks;
};

void       *arena_zero(struct arena *a, size_t size);
struct str  arena_str(struct arena *a, struct str s); /* a NUL-terminated copy */
const char *arena_z(struct arena *a, struct str s);

/* Room for one more element in an array that only this function grows: its (new) place, the new element zero. */
void *arena_more(struct arena *a, void *array, size_t n, size_t size);
void  arena_free(struct arena *a); /* wipes: secrets live here */

/* ---- text: config_lex.c, config_parse.c, config_env.c ---- */

enum lex_mode {
	LEX_FILE,    /* comments and ${VAR} */
	LEX_ENV,     /* commas are blanks; no comments, no ${VAR} */
	LEX_CARRIED, /* what config_render() wrote: long words */
};

struct source {
	const char *name;     /* a path, or "env POSTERN_X" */
	const char *variable; /* not NULL: the text is the value of this variable, one directive */
	struct str  text;
	struct str  dir;      /* relative paths start here */
	bool        open_to_others; /* group or world may read it: no literal secrets */
};

struct place {
	const struct source *source; /* NULL: no file is at fault */
	unsigned             line, column, length; /* from 1, in characters; length 0 is drawn as 1 */
};

struct word {
	struct str   text;
	struct place at;
	bool         quoted; /* never a keyword */
	bool         expanded; /* a variable is in it: the secret is not in the file */
	bool         fresh;  /* first after '{', ';' or a line end inside a block */
};

/* One directive: `words[block]` is the first word inside the braces; `block` is `n` without braces. */
struct node {
	const struct row *row; /* NULL in carried text for "@" */
	struct word       key;
	struct word      *words;
	size_t            n, block;
	bool              from_env;
	bool              broken; /* its text had a mistake: told, and not looked at any further */
	struct origin     origin;
};

struct watch; /* config_files.c */

struct tree {
	unsigned        users;
	struct arena    arena;
	struct source **sources;
	size_t          n_sources;
	struct node    *nodes;
	size_t          n_nodes;
	struct watch   *watch; /* signatures of the files that the last run read */
	size_t          n_watch;
};

/* ---- one run ---- */

enum severity { CONF_WARNING, CONF_ERROR };

struct problem {
	struct place  at;
	enum severity severity;
	const char   *cause, *hint;
};

/* A file that belongs to neither root nor us. */
struct stranger {
	struct place at;
	struct str   path;
	uid_t        owner;
};

/* The configuration as a whole: the public part and what only these files need. */
struct full {
	struct config  c;
	struct arena   arena;
	struct tree   *tree; /* NULL in roles */
	bool           forgotten; /* the texts of private keys are only in their files */
	struct origin *origins; /* of each row of the table */
};

struct maker {
	struct full       *full;
	struct config     *c;
	struct tree       *tree;
	struct arena       scratch; /* problems */
	struct problem    *problems;
	size_t             n_problems;
	struct stranger   *strangers;
	size_t             n_strangers;
	unsigned           errors, warnings;
	bool               carried; /* from config_render(): values are trusted, contents come along */
	bool               looks;   /* what may not be read is left out */
	bool               trust_doubtful; /* a network was not understood */
	struct hash        seen;    /* conf_seen() */
	uint64_t           patterns; /* number of the list that grows */
	const struct node *node;    /* in work */
};

/* ---- problems: config_report.c, config_suggest.c ---- */

void conf_problem(struct maker *m, enum severity severity, struct place at, const char *cause, ...)
        __attribute__((format(printf, 4, 5)));
void conf_hint(struct maker *m, const char *hint, ...) /* to the last problem */
        __attribute__((format(printf, 2, 3)));
void conf_report(struct maker *m, struct buf *out);   /* all, sorted, and the counts */
void conf_mask(struct buf *out, struct str line);     /* literal passwords become asterisks */

/* The candidate nearest to `word`, at most two slips away, or NULL. `next` gives candidates until NULL. */
const char *conf_nearest(struct str word, const char *(*next)(const void *arg, size_t i), const void *arg);

/* What other programs' word `word`, with at most so many slips, is called here, or NULL. */
const char *conf_foreign(struct str word, unsigned slips);

/* printf arguments for a str or a word: conf_problem(m, CONF_ERROR, w->at, "bad \"%.*s\"", S(w->text)). */
#define S(s_) (int)((s_).n > 200 ? 200 : (s_).n), (s_).p

/* ---- the table: config_table.c ---- */

struct view { /* writing values */
	const struct full *full;
	struct buf        *out;
	enum role_id       role;
	bool               show;   /* for people: secrets as ***, no contents */
	key_file_fn       *told;   /* of private keys that are read again; NULL: nobody listens */
	void              *told_arg;
	struct origin      origin; /* of what was written, if it has its own */
};

struct kind {
	/* Values `words[0..n)` into `base` (the config, or the struct of a block) at row->at. */
	void (*parse)(struct maker *m, const struct row *row, void *base, struct word *words, size_t n);
	/* Append value number `i` as words, each with a blank before it; false if there is none. */
	bool (*format)(struct view *v, const struct row *row, const void *base, size_t i);
};

enum { /* row.flags */
	ROW_ALONE = 1,      /* a keyword without values */
	ROW_REPEAT = 2,     /* several directives add up */
	ROW_SECRET = 4,
	ROW_RESTART = 8,    /* a reload does not change it */
};

struct row {
	const char        *name;
	const struct kind *kind;
	size_t             at;
	const char        *def;    /* as text; NULL: none, the zero value */
	int64_t            min, max;
	unsigned           least, most; /* how many words; 0: no limit */
	unsigned           roles;  /* who may see it: bits 1 << role_id */
	unsigned           flags;
	const char *const *choices; /* NULL-terminated, value = index */
	const struct row  *block;   /* directives inside { }, ended by a NULL name */
	const char        *help;
};

extern const struct row conf_rows[]; /* ended by a NULL name */
extern const size_t     conf_n_rows;

const struct row *conf_row_find(const struct row *rows, struct str name);
bool              conf_is_secret(struct str keyword); /* what stands behind it must not be shown */
const char       *conf_row_name(const void *rows, size_t i); /* for conf_nearest */

extern const struct kind kind_flag, kind_choice, kind_count, kind_port, kind_span, kind_size, kind_rate, kind_memory;
extern const struct kind kind_name, kind_path, kind_spans;
extern const struct kind kind_hostname, kind_domains, kind_from, kind_user, kind_users, kind_pwcheck, kind_selector;
extern const struct kind kind_listen, kind_trust, kind_tls, kind_resolver;
extern const struct kind kind_dkim, kind_dkim_key, kind_dkim_canon, kind_dkim_unpublished;
extern const struct kind kind_route, kind_via, kind_direct, kind_secret, kind_bind, kind_ca, kind_outbound;

/* ---- steps of a run ---- */

struct source *conf_source(struct tree *t, const char *name, struct str text);
void           conf_source_dir(struct tree *t, struct source *s, const char *path);
void           conf_parse(struct maker *m, const struct source *s, enum lex_mode mode, unsigned depth);
void           conf_parse_value(struct maker *m, const struct source *s, const struct row *row);
void           conf_parse_file(struct maker *m, const struct word *path, unsigned depth);
void           conf_env(struct maker *m, char *const *env, bool file_given);
void           conf_apply(struct maker *m);
bool           conf_from_env(const struct tree *t, const struct row *row); /* files do not count then */
void           conf_check(struct maker *m);
void           conf_tree_unref(struct tree *t);

/*
 * The part of a directive after its head: statements of block rows, inside braces
 * or not, split at separators and at words that are keywords. `from` is the index of the first word.
 */
void   conf_statements(struct maker *m, const struct row *rows, void *base, size_t from);
size_t conf_head(const struct node *n, const struct row *rows, size_t least); /* words before the first statement */
void   conf_block_defaults(struct maker *m, const struct row *rows, void *base);

/* ---- values ---- */

uint64_t     conf_memory_default(void); /* half of what the machine or the control group has */

/*
 * True if `key` was given before in this set (a number of CONF_SEEN_*, or any above); *index is what was given with it then.
 * Searching lists for each new element would take the square of their length.
 */
enum { CONF_SEEN_USERS, CONF_SEEN_NETS, CONF_SEEN_PATTERNS };
bool         conf_seen(struct maker *m, uint64_t set, struct str key, size_t *index);

struct place conf_place(const struct maker *m, const struct origin *o); /* of an element made earlier */
struct origin conf_origin(struct maker *m, const struct word *w); /* of the directive in work, at word `w` (or NULL) */
struct str   conf_copy(struct maker *m, struct str s);
struct str   conf_path(struct maker *m, const struct word *w); /* absolute */
bool         conf_domain(struct buf *out, struct str name);    /* canonical; false if it is none */
bool         conf_pattern(struct maker *m, const struct word *w, struct strs *list);
void         conf_add_str(struct maker *m, struct strs *list, struct str s);
bool         conf_span(struct str text, int64_t *ms);
bool         conf_size(struct str text, uint64_t *bytes);
const char  *conf_choice_nearest(const struct row *row, struct str word);
void         conf_put_span(struct buf *out, int64_t ms);
void         conf_put_size(struct buf *out, uint64_t bytes);
void         conf_put_word(struct buf *out, struct str word); /* with a blank before, quoted if needed */
void         conf_put_strs(struct buf *out, const char *keyword, const struct strs *list);
void         conf_put_block(struct view *v, const struct row *rows, const void *base);
void         conf_put_data(struct buf *out, struct str content); /* data:BASE64 */
bool         conf_get_data(struct maker *m, const struct word *words, size_t n, size_t *i, struct str *content);
bool         conf_has_ipv6(bool loopback);

/* ---- files: config_files.c, config_keys.c, config_owner.c, config_users.c ---- */

enum file_kind { FILE_CONFIG, FILE_CERT, FILE_KEY, FILE_USERS, FILE_SECRET };

struct file {
	struct str text; /* in the configuration's arena (the tree's for FILE_CONFIG) */
	mode_t     mode;
	int64_t    made_ms; /* when it was written, wall clock */
	bool       missing; /* FILE_USERS only: not there yet, which is no error */
};

/* Read the file at the absolute path w->text; false and a problem at w->at if it cannot be used. */
bool conf_file(struct maker *m, enum file_kind kind, const struct word *w, struct file *f);
/* How bad it is that a file other than a configuration cannot be read. */
enum severity conf_unreadable(const struct maker *m, int error);
/* A key's file again, when the configuration is in force, into a buffer that is made here. False and `why`: it cannot be read. */
bool conf_key_again(struct str path, struct buf *out, struct buf *why);
/* Remember whose the file at w->text is; judged when `user-account` is known. */
void conf_owner_note(struct maker *m, const struct word *w, uid_t owner);
void conf_owner_check(struct maker *m);
bool conf_watch_changed(struct tree *t);
void conf_watch_add(struct maker *m, const char *path); /* a folder, or a file not read yet */
void conf_watch_failed(struct maker *m, const char *path, int error); /* it counts as changed until it can be read */
void conf_watch_clear(struct tree *t);

/* Type of a private key, or false and the reason ("is encrypted ..."). `bits` is 0 for Ed25519. */
bool conf_key_check(struct str pem, enum key_type *type, unsigned *bits, struct buf *why);
/* Append its public half as p= of RFC 6376 section 3.6.1 has it. Nothing if it is no such key. */
void conf_key_half(struct str pem, struct buf *out);

void conf_dkim_found(struct maker *m); /* keys in the state folder */
bool conf_users_has(struct str text, struct str name);

/* A secret word: file:, env:, cred:, data: (carried) or literal. */
bool conf_secret(struct maker *m, const struct word *w, struct str *out);

#endif
