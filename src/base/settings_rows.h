/* base/settings_rows.h: the table of settings, for the files that read it (settings.c), check texts (settings_forms.c)
 * and print it (settings_print.c). Everybody else includes settings.h. */
#ifndef BASE_SETTINGS_ROWS_H
#define BASE_SETTINGS_ROWS_H

#include "base/settings.h"

/* KIND_SECRET: a text that is never shown. */
enum kind { KIND_TEXT, KIND_SECRET, KIND_WORD, KIND_NUMBER, KIND_SECONDS, KIND_BYTES };
enum section {
    SECTION_SERVER,
    SECTION_TOKENS,
    SECTION_USERS,
    SECTION_CHECKS,
    SECTION_KEYS,
    SECTION_CALLERS,
    SECTION_LIMITS,
    SECTION_OBSERVE,
    SECTION_AWS,
    SECTION_REDIS,
    SECTION_SHARED
};

struct settings_row {
    const char *name; /* the variable; its flag is made from it */
    enum section section;
    enum kind kind;
    size_t offset;      /* in struct settings: of an int64_t, or for KIND_TEXT and KIND_SECRET of a const char * */
    const char *preset; /* the default, written as a user would */
    int64_t min, max;   /* of a number, or of a text's length in bytes */
    const char *const *words; /* KIND_WORD */
    const char *(*fault_of)(struct str text);
    const char *form; /* KIND_TEXT, KIND_SECRET: what is allowed, in words */
    const char *help;
};

enum { SETTINGS_FLAG_ROOM = 40, SETTINGS_ALLOWED_ROOM = 128 };
extern const struct settings_row settings_rows[];
extern const size_t settings_rows_count;

/* Whether its value is a text; that of a secret is never printed, nor quoted in an error. */
static inline bool settings_is_text(const struct settings_row *row)
{
    return row->kind == KIND_TEXT || row->kind == KIND_SECRET;
}

/* A row's flag, TOKEN_DATA_DIR -> --data-dir, AWS_REGION -> --aws-region, and what it allows, "1 to 86400 seconds":
 * written to `to`, and returned. A secret has no flag: "". */
const char *settings_flag(const struct settings_row *row, char to[SETTINGS_FLAG_ROOM]);
const char *settings_allowed(const struct settings_row *row, char to[SETTINGS_ALLOWED_ROOM]);

/* A whole number: only digits, no sign, space, leading zero or unit; and one within [min, max] (settings_forms.c). */
bool settings_is_number(struct str text);
bool settings_number(struct str text, int64_t min, int64_t max, int64_t *out);
/* What is wrong with a text, or NULL; static (settings_forms.c). */
const char *settings_fault_of_listen(struct str text);
const char *settings_fault_of_issuer(struct str text);
const char *settings_fault_of_list(struct str text);
const char *settings_fault_of_audience(struct str text);
const char *settings_fault_of_origins(struct str text);
const char *settings_fault_of_bus(struct str text);
const char *settings_fault_of_networks(struct str text);
const char *settings_fault_of_path_prefix(struct str text);
const char *settings_fault_of_salt(struct str text);
const char *settings_fault_of_supabase_url(struct str text);
const char *settings_fault_of_service(struct str text);
/* This one stands with its reader, in redis/url.c. */
const char *settings_fault_of_redis_url(struct str text);

#endif
