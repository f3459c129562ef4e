/* test_reason.c: a reason is kept as it is, unless it may hold a token or a secret. */
#include "service/reason.h"
#include "unit.h"

#define WORD_OF_39 "0123456789abcdefghijABCDEFGHIJ-________"

static void what_may_be_a_secret_is_not_kept(void **state)
{
    static const struct {
        const char *given, *kept; /* NULL: as it is */
    } rows[] = {
        { "", "revoked" },
        { "lost phone", NULL },
        { "a.b.c is no token", NULL },
        { "stolen \xe2\x9c\x93", NULL },
        { "case 6f1b0f5e-2c3a-4d21-9c52-1d1f0a5be001", NULL },
        { "(" WORD_OF_39 ")", NULL },
        { "(" WORD_OF_39 "_)", "revoked" },
        { WORD_OF_39 "_", "revoked" },
        { "see " WORD_OF_39 "+ and " WORD_OF_39 "+", "revoked" },
        { WORD_OF_39 " " WORD_OF_39, NULL },
        { WORD_OF_39 "." WORD_OF_39, NULL },
        { "see eyJhbGciOiJFUzI1NiJ9.e30.c2ln there", "revoked" },
        { "token=eyJ", "revoked" },
        { "eyJ", "revoked" },
        { "ey", NULL },
        { "eyj", NULL },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct str kept = reason_to_keep(str_of(rows[i].given));
        assert_row(str_eq(kept, str_of(rows[i].kept ? rows[i].kept : rows[i].given)), rows[i].given);
    }
}

RUN(TEST(what_may_be_a_secret_is_not_kept))
