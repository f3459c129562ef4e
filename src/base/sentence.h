/* base/sentence.h: sentences of errors that name a host or a setting, which are known only at run time. An error's
 * sentence must outlive the function that made it (other threads remember and report it), so these sentences are kept
 * for the life of the process. There are few: one for each address of a dependency and each thing that can be wrong
 * with it. Thread-safe. */
#ifndef BASE_SENTENCE_H
#define BASE_SENTENCE_H

enum { SENTENCES_MAX = 256, SENTENCE_ROOM = 400 };

/* Keeps and returns a sentence for operators (log, doctor, start); the same text gives the same pointer. A caller over
 * HTTP gets `for_callers` (static) instead, since it need not know where the service's dependencies are. When
 * SENTENCES_MAX sentences are kept already, `for_callers` is returned. */
const char *sentence_keep(const char *for_callers, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* What a caller over HTTP may read of an error: the `for_callers` of a kept sentence, else `why` itself. */
const char *sentence_for_callers(const char *why);

#endif
