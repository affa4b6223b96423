/* SPDX-License-Identifier: ISC */
/*
 * recode - a message with lines of over 998 octets in its body, encoded such that it has none.
 *
 * Only the parts that need it change: one that was as it is (7bit, 8bit) becomes
 * quoted-printable, one in quoted-printable or base64 gets other line ends. Multiparts and
 * messages within are gone through; all that is not in need passes octet for octet.
 *
 * Some cannot be helped, and the message is to be refused: what is signed (multipart/signed,
 * PGP/MIME and S/MIME; a DKIM or ARC signature on the message or on one within), for its octets
 * are what the signature is about; an encoding that is not known; a long line where no part is.
 */
#ifndef SMTPD_RECODE_H
#define SMTPD_RECODE_H

#include "lib/util/str.h"

/*
 * `out` gets the new message in runs: first its header with the empty line, then (`in_body`) the
 * rest. `message` must stay where it is during the call. NULL, or why it cannot be, as the rest
 * of a sentence that begins with the line; what was put out is of no use then.
 */
const char *recode(struct str message, void (*out)(void *arg, struct str run, bool in_body),
                   void *arg);

#endif
