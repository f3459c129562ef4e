/* observe/log.h: one event a line to standard error: a JSON object, or readable text on a terminal. Values are escaped,
 * so no input can forge a line. Never give it a token, key or secret: log_token_id() makes the 12 digits that may be
 * shown. Of a JWT that stands where a caller may write whatever it likes, only "eyJ" is shown. */
#ifndef OBSERVE_LOG_H
#define OBSERVE_LOG_H

#include "base/mem.h"
#include "base/settings.h"

struct log_field {
    const char *name;
    struct str text; /* used when text.at is not NULL */
    int64_t number;
};
static inline struct log_field log_text_field(const char *name, struct str value)
{
    return (struct log_field){ name, value.at ? value : STR(""), 0 };
}
#define LOG_STR(name, value) log_text_field((name), (value))
#define LOG_TEXT_(name, value) ((struct log_field){ (name), str_of(value), 0 })
#define LOG_INT(name, value) ((struct log_field){ (name), { 0, 0 }, (value) })

/* May be called again at any time (SIGHUP). LOG_AUTO: text when standard error is a terminal. */
void log_configure(enum log_level level, enum log_format format);
bool log_wants(enum log_level level);

/* One line, whole: time (ISO 8601, milliseconds, Z), level, event, then the fields. `event` is a short fixed name
 * ("token_issued"). Lines are cut at 4 KiB. Thread-safe. More than 1,000 lines a second below warn are dropped; those,
 * and what a server's reader of standard error doesn't take (log_writer.h), are counted in one line after that. */
void log_event(enum log_level level, const char *event, const struct log_field *fields, size_t count);
#define LOG(level, event, ...)                                                                                         \
    do {                                                                                                               \
        if (log_wants(level)) {                                                                                        \
            const struct log_field log_fields_[] = { __VA_ARGS__ };                                                    \
            log_event(level, event, log_fields_, sizeof log_fields_ / sizeof *log_fields_);                            \
        }                                                                                                              \
    } while (0)

/* Fields that every line of this thread gets after its own, such as which call it belongs to: until the next call of
 * this function. They must live as long. NULL, 0: none. */
void log_context(const struct log_field *fields, size_t count);

/* A line for people, "token-service: …", as it is: why a command or the start failed. */
void log_sentence(const char *sentence);

/* The first 12 hexadecimal digits of a token's SHA-256, into `out` with a NUL. */
void log_token_id(const unsigned char sha256[32], char out[13]);

#endif
