/* SPDX-License-Identifier: ISC */
/* role_doctor - the role that makes one exam for the daemon and ends. */
#ifndef CMD_ROLE_DOCTOR_H
#define CMD_ROLE_DOCTOR_H

int role_doctor_main(unsigned index);

#endif
