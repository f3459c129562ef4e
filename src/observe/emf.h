/* observe/emf.h: the metrics that CloudWatch gets, as lines of the log in its Embedded Metric Format: whoever collects
 * standard error into CloudWatch Logs, as AWS Lambda does, has them as metrics of the namespace TokenService. They are
 * a choice from those of metrics.h, since each is billed by the month, and have one dimension, Service: no client, no
 * subject, nothing that a caller could make more of. A row for each in emf.c. */
#ifndef OBSERVE_EMF_H
#define OBSERVE_EMF_H

#include "observe/metrics.h"

enum { EMF_SERVICE_MAX = 250 }; /* bytes of a dimension's value */

/* From now on emf_write() writes. `service`: the dimension's value, kept by the caller for as long as that. */
void emf_open(const char *service);
void emf_close(void);
bool emf_is_open(void);

/* Writes what was counted since the last call (at first: since the start), and the gauges given, if there is anything:
 * one line, or more where one would be longer than the log takes. A count that can't be written is lost. Nothing,
 * before emf_open(). Thread-safe. */
void emf_write(const struct gauge *gauges, size_t count);

#endif
