/* SPDX-License-Identifier: ISC */
/* smtpd - the role that takes mail in. */
#ifndef SMTPD_SMTPD_H
#define SMTPD_SMTPD_H

/* The whole process, `postern --role smtpd INDEX`; its exit code. */
int smtpd_main(unsigned index);

#endif
