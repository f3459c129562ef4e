/* base/sentence.h: sentences of errors that name a host or a setting, which are known only at run time. An error's
 * sentence must outlive whoever made it (it is remembered, and told on other threads); so these are kept for the life
 * of the process. There are few: a dependency's addresses, times what can be wrong with it. Thread-safe. */
#ifndef BASE_SENTENCE_H
#define BASE_SENTENCE_H

enum { SENTENCES_MAX = 256, SENTENCE_ROOM = 400 };

/* The sentence for whoever runs the service: log, doctor, start. The same text twice is the same pointer. `for_callers`
 * (static) is what a caller over HTTP is told instead, who need not know where the service's dependencies are; and what
 * is returned when SENTENCES_MAX others are kept already. */
const char *sentence_keep(const char *for_callers, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* What a caller over HTTP may read of an error: of a kept sentence its other one, else `why` itself. */
const char *sentence_for_callers(const char *why);

#endif
