/* test_pkce.c: challenges and verifiers, by RFC 7636 appendix B, with the neighbours that must not be. */
#include "oauth/pkce.h"
#include "unit.h"

#define VERIFIER "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
#define CHALLENGE "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
#define NONE                                                                                                           \
    {                                                                                                                  \
        NULL, 0                                                                                                        \
    }

static void a_challenge_is_of_s256_and_in_its_one_spelling(void **state)
{
    static const struct {
        struct str challenge, method;
        bool is_good, is_good_if_required;
    } rows[] = {
        { ROW(CHALLENGE), ROW("S256"), true, true },
        { NONE, NONE, true, false },
        { NONE, ROW("S256"), false, false },
        { ROW(CHALLENGE), NONE, false, false }, /* that would be plain */
        { ROW(CHALLENGE), ROW("plain"), false, false },
        { ROW(CHALLENGE), ROW("s256"), false, false },
        { ROW(CHALLENGE), ROW("S256 "), false, false },
        { ROW(CHALLENGE), ROW("S512"), false, false },
        { ROW(CHALLENGE "="), ROW("S256"), false, false },
        { ROW("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-c"), ROW("S256"), false, false },
        { ROW("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cMM"), ROW("S256"), false, false },
        { ROW("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cN"), ROW("S256"), false, false }, /* the same bytes again */
        { ROW("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw+cM"), ROW("S256"), false, false },
        { ROW("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw cM"), ROW("S256"), false, false },
        { ROW("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSst\0-cM"), ROW("S256"), false, false },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const char *row = rows[i].challenge.at ? rows[i].challenge.at : "none";
        assert_row((pkce_challenge_fault(rows[i].challenge, rows[i].method, false) == NULL) == rows[i].is_good, row);
        assert_row((pkce_challenge_fault(rows[i].challenge, rows[i].method, true) == NULL) ==
                       rows[i].is_good_if_required,
                   row);
    }
}

static void a_verifier_fits_its_challenge_alone(void **state)
{
    static const struct {
        struct str challenge, verifier;
        bool is_good;
    } rows[] = {
        { ROW(CHALLENGE), ROW(VERIFIER), true },
        { NONE, NONE, true },
        { ROW(CHALLENGE), NONE, false },
        { NONE, ROW(VERIFIER), false }, /* the challenge was cut off on its way */
        { ROW(CHALLENGE), ROW(""), false },
        { ROW(""), ROW(VERIFIER), false },
        { ROW(CHALLENGE), ROW(CHALLENGE), false }, /* as plain would have it */
        { ROW(VERIFIER), ROW(VERIFIER), false },
        { ROW(CHALLENGE), ROW("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXK"), false },
        { ROW(CHALLENGE), ROW("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjX"), false },
        { ROW(CHALLENGE), ROW(VERIFIER "x"), false },
        { ROW(CHALLENGE), ROW(VERIFIER " "), false },
        { ROW("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cN"), ROW(VERIFIER), false },
        { ROW(CHALLENGE "="), ROW(VERIFIER), false },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const char *row = rows[i].verifier.at ? rows[i].verifier.at : "none";
        assert_row((pkce_verifier_fault(rows[i].challenge, rows[i].verifier) == NULL) == rows[i].is_good, row);
    }
}

/* Of a verifier that has its form the fault is that it doesn't fit; of others that they have another form. */
static bool has_its_form(struct str verifier)
{
    const char *fault = pkce_verifier_fault(STR(CHALLENGE), verifier);
    return fault && strstr(fault, "does not fit");
}

static void a_verifier_has_43_to_128_unreserved_characters(void **state)
{
    char text[PKCE_VERIFIER_MAX + 1];
    (void)state;
    memset(text, 'a', sizeof text);
    for (size_t len = 0; len <= sizeof text; len++)
        assert_int_equal(has_its_form((struct str){ text, len }), len >= 43 && len <= 128);
    for (int c = 0; c < 256; c++) {
        static const char also[] = "-._~";
        const bool is_good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                             (c != 0 && strchr(also, c));
        text[42] = (char)c;
        assert_int_equal(has_its_form((struct str){ text, 43 }), is_good);
    }
}

RUN(TEST(a_challenge_is_of_s256_and_in_its_one_spelling), TEST(a_verifier_fits_its_challenge_alone),
    TEST(a_verifier_has_43_to_128_unreserved_characters))
