/* SPDX-License-Identifier: ISC */
/*
 * wire - the catalogue: every message that one role may send another.
 *
 * One struct and one row in wire.c's table for each; the row names who may send
 * it to whom, its size limit, and its fields, from which encoding and decoding
 * follow. Texts of a decoded message borrow from the frame. A field that a
 * sender leaves zero arrives zero or empty.
 */
#ifndef LIB_PROC_WIRE_H
#define LIB_PROC_WIRE_H

#include "lib/util/buf.h"

enum role_id {
	ROLE_SUPERVISOR,
	ROLE_SMTPD,
	ROLE_AUTH,
	ROLE_QUEUE,
	ROLE_DELIVERY,
	ROLE_KEYD,
	ROLE_DOCTOR, /* comes and goes: lib/proc/checkup.h */
	ROLE_COUNT,
};

const char *role_name(enum role_id id);
bool        role_find(struct str name, enum role_id *id) MUST_USE;

enum wire_id {
	WIRE_NONE,
	/* supervisor -> role */
	WIRE_CONFIG,    /* effective configuration, cut to what the role may see */
	WIRE_LISTENER,  /* + descriptor */
	WIRE_SPOOL,     /* + descriptor of the directory */
	WIRE_SHARED,    /* + descriptor of memory: lib/proc/shared.h */
	WIRE_PEER,      /* + descriptor: the channel to another role */
	WIRE_GO,
	WIRE_DRAIN,
	WIRE_CONTROL,   /* + descriptor: a control connection handed on */
	WIRE_ASK_STATS,
	/* role -> supervisor */
	WIRE_READY,     /* after GO, and after each later CONFIG is in force */
	WIRE_STATS,
	WIRE_TROUBLE,
	/* supervisor <-> doctor */
	WIRE_EXAMINE,
	WIRE_FINDINGS,
	/* supervisor <-> delivery */
	WIRE_GATES,
	WIRE_SUSPECT,
	WIRE_KEY_STATE,
	WIRE_LOST,      /* the channel to another role has ended; struct wire_peer */
	/* smtpd <-> auth */
	WIRE_MECHS,     /* auth: what can be offered */
	WIRE_AUTH_START,
	WIRE_AUTH_STEP,
	WIRE_AUTH_CANCEL,
	WIRE_AUTH_MORE,
	WIRE_AUTH_DONE,
	/* smtpd <-> queue */
	WIRE_INTAKE,    /* queue: may mail be taken now? */
	WIRE_SPILL,     /* smtpd: a message grows over WIRE_INLINE_MAX */
	WIRE_SPILLED,   /* queue: + descriptor to write it to */
	WIRE_PUT,
	WIRE_DROP,      /* smtpd: forget a spilled message */
	WIRE_STORED,
	/* queue <-> delivery */
	WIRE_CAPACITY,  /* delivery: how many leases it takes at once */
	WIRE_LEASE,     /* + descriptor if the body is large */
	WIRE_OUTCOME,
	WIRE_RETRY,     /* delivery: what waited for a gate may go now */
	/* delivery <-> keyd */
	WIRE_SIGN,
	WIRE_SIGNED,
	/* smtpd <-> keyd; one question at a time */
	WIRE_TLS_SIGN,
	WIRE_TLS_SIGNED,
	WIRE_KEYS,      /* keyd -> delivery: it may have keys now that it had not before */
	WIRE_COUNT,
};

enum {
	WIRE_INLINE_MAX = 256 * 1024,       /* a body up to this size travels in the frame */
	WIRE_FRAME_MAX = 2 * 1024 * 1024,
	WIRE_CONFIG_MAX = 16 * 1024 * 1024,
};

struct wire_config   { uint32_t generation; struct str text; };
struct wire_listener { uint32_t index; };
struct wire_shared   { uint32_t processes; uint64_t secret; }; /* of all who share it */
struct wire_peer     { uint8_t who; uint32_t index; };
struct wire_empty    { uint8_t unused; }; /* SPOOL GO DRAIN ASK_STATS KEYS */
struct wire_control  { struct str request; };
struct wire_ready    { uint32_t generation; };
struct wire_stats    { struct str rows; };
struct wire_trouble  { struct str what; };

/* Beginnings of check ids with blanks between, as "ptr. spf."; no `only`: all but those in `except`. */
struct wire_examine  { struct str only, except; };
/*
 * `rows` as of the control socket: kind=count (id pass note warn fail skip), and kind=finding (id
 * status subject why) for what has not passed; of an `only` for all. `gates`: lines of struct wire_gates.
 */
struct wire_findings { struct str rows, gates; };
/*
 * A line "examined" once an exam was made or could not be, lines "ptr 4|6 STATUS", "spf 4|6 DOMAIN STATUS", "dkim DOMAIN STATUS" (pass, fail or skip) and "seen NAME KEY"
 * of a DKIM record that was found right. Each message replaces the one before.
 */
struct wire_gates    { struct str rows; };
/* A receiver's words make checks worth repeating. `id`, `mx` and `reply` are for the log. */
struct wire_suspect  { struct str only, domain, id, mx, reply; };
/* `name` of a DKIM record, `key` the end of the public half it should have; `why` empty: it has. */
struct wire_key_state { struct str name, key, why; };

struct wire_mechs      { struct str plain, tls; }; /* for clear text and for TLS connections, space separated */
struct wire_auth_start { uint64_t id; struct str mech; uint8_t has_initial; struct str initial; /* decoded */
                         uint32_t tls_bits; struct str binding; /* tls-exporter octets */ struct str client; };
struct wire_auth_step  { uint64_t id; struct str response; };    /* decoded */
struct wire_auth_id    { uint64_t id; };                         /* AUTH_CANCEL */
struct wire_auth_more  { uint64_t id; struct str challenge; };   /* not yet encoded */
struct wire_auth_done  { uint64_t id; uint16_t code;             /* 235, 535, 454, 501, 504 */
                         struct str login; struct str final; uint8_t has_final; }; /* data for the last 334, SCRAM */

enum { INTAKE_OPEN, INTAKE_FULL, INTAKE_BROKEN };
struct wire_intake  { uint8_t state; struct str why; };
struct wire_spill   { uint64_t id; uint64_t hint_bytes; }; /* SIZE= if the client said it */
struct wire_spilled { uint64_t id; uint8_t ok; };
struct wire_put     { uint64_t id; uint8_t spilled; uint64_t size; struct str envelope; struct str body; };
struct wire_drop    { uint64_t id; };
enum { WIRE_STORED_QUOTA = 450 }; /* the client may not send more now: 452 with our words */
struct wire_stored  { uint64_t id; uint16_t code; struct str text; }; /* 250, 450, 451, 452 */

struct wire_capacity { uint32_t leases; };
struct wire_lease {
	uint64_t   id;
	uint32_t   part;
	uint64_t   token;
	uint32_t   attempt;   /* 1: the first */
	struct str lane;      /* canonical domain, or [literal] */
	struct str rcpts;     /* indexes into the envelope's recipients, decimal, space separated */
	struct str envelope;
	uint64_t   size;
	struct str body;      /* empty if a descriptor came along */
};
/*
 * `replies`: one line for each recipient of the lease, in its order, as
 * reply_format() writes it, "\n" between. `scope` says what failed, so that the
 * queue knows whether the lane is at fault; GATE: nothing was tried, it waits for us. `facts`: log fields "mx=... ip=... tls=..." made by kv rules.
 */
enum { SCOPE_RCPT, SCOPE_MESSAGE, SCOPE_LANE, SCOPE_GATE };
struct wire_outcome { uint64_t id; uint32_t part; uint64_t token; uint8_t scope; uint8_t relayed_dsn;
                      struct str replies; struct str mta; /* host name that answered; empty: none */
                      struct str facts; struct str dkim;  /* "example.com/s1,s2" or "none why=..." */ };

struct wire_sign   { uint64_t id; struct str domain, selector;
                     struct str fields, last; }; /* what is to be signed: dkim/warrant.h */
enum { WIRE_SIGNED_NOT, WIRE_SIGNED_OK, WIRE_SIGNED_NO_KEY /* delivery's: there is none now */ }; /* `ok` */
struct wire_signed { uint64_t id; uint8_t ok; struct str signature; struct str why; };

struct wire_tls_sign { struct str key; uint16_t scheme; struct str content; }; /* lib/net/tls_key.h */

/* Append the encoded message (without frame header), wire_size() octets; over the limit of `out`: nothing. */
size_t wire_size(enum wire_id id, const void *msg);
void wire_encode(struct buf *out, enum wire_id id, const void *msg);

/* Decode into the struct of `id`; false if it is short, long or inconsistent. */
bool wire_decode(enum wire_id id, struct str payload, void *msg) MUST_USE;

/* A frame's header, as it stands in front of the payload on a channel. */
enum { WIRE_HEADER = 8, WIRE_WITH_FD = 1 /* a descriptor belongs to this frame; the only flag */ };
struct wire_head { size_t length; unsigned id, flags; };
void             wire_head_add(struct buf *out, struct wire_head h);
struct wire_head wire_head_parse(const char *p); /* WIRE_HEADER octets */

/* The functions below and above take an id that is known; a number from outside goes through this first. */
bool        wire_is_known(unsigned id);
bool        wire_may_pass(enum wire_id id, enum role_id from, enum role_id to);
bool        wire_has_fd(enum wire_id id); /* may carry a descriptor */
size_t      wire_limit(enum wire_id id);  /* largest payload */
const char *wire_name(enum wire_id id);

enum { WIRE_STRUCT_MAX = 256 }; /* no message struct is larger */

#endif
