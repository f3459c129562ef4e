/* service/emf_flush.h: when CloudWatch is told what (emf.h). */
#ifndef SERVICE_EMF_FLUSH_H
#define SERVICE_EMF_FLUSH_H

#include "base/err.h"

struct service;

/* Writes what was counted since the last time; and the gauges, when the last ones are TOKEN_EMF_INTERVAL old.
 * Housekeeping calls it once in that time; a process that may be frozen or ended after an answer calls it before.
 * Nothing, unless emf_open() was called. Thread-safe; waits for whoever reads standard error, where no log_writer.h
 * runs. */
void emf_flush(struct service *service);

#endif
