/* test_password.c: hashes of passwords in the PHC format: the standards' examples, and hashes of other libraries. */
#include "jose/password.h"
#include "unit.h"

/* Whether this OpenSSL makes Argon2id: then it must also check it. */
static bool has_argon2id(void)
{
    struct str hash;
    assert_ok(password_hash(&arena, STR("which one?"), &hash));
    return str_has_prefix(hash, STR("$argon2id$"));
}

static void a_new_hash_is_of_its_password_alone(void **state)
{
    static const struct str others[] = {
        ROW("correct horsf"),   ROW("correct hors"),    ROW("correct horse "), ROW("Correct horse"), ROW(""),
        ROW("correct horse\0"), ROW("\0correct horse"), ROW("correct\0horse"), ROW(" correct horse")
    };
    struct str hash, again;
    bool right = false;
    (void)state;
    assert_ok(password_hash(&arena, STR("correct horse"), &hash));
    assert_true(password_hash_is_fit(hash));
    assert_ok(password_check(hash, STR("correct horse"), &right));
    assert_true(right);
    for (size_t i = 0; i < COUNT(others); i++) {
        assert_code(password_check(hash, others[i], &right), ERR_OK, others[i].at);
        assert_row(!right, others[i].at);
    }
    assert_ok(password_hash(&arena, STR("correct horse"), &again));
    assert_false(str_eq(hash, again)); /* a salt of its own */
}

static void what_others_made_is_checked(void **state)
{
    static const struct {
        struct str hash;
        const char *password;
    } rows[] = {
        /* RFC 7914 section 12 */
        { ROW("$scrypt$ln=14,r=8,p=1$U29kaXVtQ2hsb3JpZGU$cCO9yzr9c0hGHAbNgf046/2o+7qQT44+qbVD9lRdofLVQylVYT8Pz2LUlwUk"
              "Kpr55h6F3A1lHkDfzwF7RVdYhw"),
          "pleaseletmein" },
        /* Python's hashlib */
        { ROW("$scrypt$ln=4,r=1,p=1$c29tZXNhbHRjbw$vXuwZ7Q3pn8Ry6WTjtompMi63ww156d+cWUKEZqIZuU"), "correct horse" },
        /* the reference implementation's own tests, checked with Python's cryptography */
        { ROW("$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"), "password" },
        { ROW("$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc"), "password" },
    };
    const bool argon2id = has_argon2id();
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const bool is_known = argon2id || !str_has_prefix(rows[i].hash, STR("$argon2id$"));
        bool right = false;
        assert_row(password_hash_is_fit(rows[i].hash), rows[i].hash.at);
        assert_code(password_check(rows[i].hash, str_of(rows[i].password), &right), is_known ? ERR_OK : ERR_UNAVAILABLE,
                    rows[i].hash.at);
        assert_row(right == is_known, rows[i].hash.at);
        assert_code(password_check(rows[i].hash, STR("passwort"), &right), is_known ? ERR_OK : ERR_UNAVAILABLE,
                    rows[i].hash.at);
        assert_row(!right, rows[i].hash.at);
    }
}

#define SALT "$c29tZXNhbHRjbw"
#define HASH "$vXuwZ7Q3pn8Ry6WTjtompMi63ww156d+cWUKEZqIZuU"

static void another_form_is_no_hash(void **state)
{
    static const struct str rows[] = {
        ROW(""),
        ROW("$"),
        ROW("correct horse"),
        ROW("$2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW"),
        ROW("$argon2i$v=19$m=256,t=2,p=1" SALT HASH),
        ROW("$argon2id$m=256,t=2,p=1" SALT HASH),
        ROW("$argon2id$v=16$m=256,t=2,p=1" SALT HASH),
        ROW("$argon2id$v=19$t=2,m=256,p=1" SALT HASH),
        ROW("$argon2id$v=19$m=131073,t=2,p=1" SALT HASH), /* more than 128 MiB */
        ROW("$argon2id$v=19$m=256,t=17,p=1" SALT HASH),
        ROW("$argon2id$v=19$m=15,t=2,p=2" SALT HASH), /* less than 8 blocks a lane */
        ROW("$scrypt$ln=18,r=8,p=1" SALT HASH),
        ROW("$scrypt$ln=4,r=9,p=1" SALT HASH),
        ROW("$scrypt$ln=4,r=1,p=17" SALT HASH),
        ROW("$scrypt$ln=0,r=1,p=1" SALT HASH),
        ROW("$scrypt$ln=04,r=1,p=1" SALT HASH),
        ROW("$scrypt$ln=+4,r=1,p=1" SALT HASH),
        ROW("$scrypt$ln=99999999999999999999,r=1,p=1" SALT HASH),
        ROW("$scrypt$ln=,r=1,p=1" SALT HASH),
        ROW("$scrypt$ln=4,r=1,p=1," SALT HASH),
        ROW("$scrypt$ln=4,r=1,p=1,x=1" SALT HASH),
        ROW("$scrypt$ln=4,r=1" SALT HASH),
        ROW("$scrypt$" SALT HASH),
        ROW("$scrypt$ln=4,r=1,p=1" SALT),
        ROW("$scrypt$ln=4,r=1,p=1" SALT "$"),
        ROW("$scrypt$ln=4,r=1,p=1$" HASH),
        ROW("$scrypt$ln=4,r=1,p=1" SALT HASH "$"),
        ROW("$scrypt$ln=4,r=1,p=1" SALT HASH "="),
        ROW("$scrypt$ln=4,r=1,p=1" SALT HASH " "),
        ROW("$scrypt$ln=4,r=1,p=1" SALT HASH "\0"),
        ROW("$scrypt$ln=4,r=1,p=1" SALT "$vXuwZ7Q3pn8Ry6WTjtompMi63ww156d-cWUKEZqIZuU"), /* base64url */
        ROW("$scrypt$ln=4,r=1,p=1" SALT "$vXuwZ7Q3pn8Ry6WTjtompMi63ww156d+cWUKEZqIZuV"), /* bits left over */
        ROW("$scrypt$ln=4,r=1,p=1$c29tZXNhbA" HASH),                                     /* a salt of 7 bytes */
        ROW("$scrypt$ln=4,r=1,p=1" SALT "$vXuwZ7Q3pn8Ry6WTjtom"),                        /* a hash of 15 bytes */
        ROW(" $scrypt$ln=4,r=1,p=1" SALT HASH),
        ROW("$SCRYPT$ln=4,r=1,p=1" SALT HASH),
    };
    bool right;
    (void)state;
    assert_true(password_hash_is_fit(STR("$scrypt$ln=4,r=1,p=1" SALT HASH)));
    for (size_t i = 0; i < COUNT(rows); i++) {
        char *copy = exactly(rows[i]);
        assert_row(!password_hash_is_fit((struct str){ copy, rows[i].len }), rows[i].at);
        assert_code(password_check((struct str){ copy, rows[i].len }, STR("correct horse"), &right), ERR_INTERNAL,
                    rows[i].at);
        assert_row(!right, rows[i].at);
        free(copy);
    }
}

static void a_password_has_1_to_1024_bytes(void **state)
{
    struct str hash;
    char *text = arena_alloc(&arena, PASSWORD_MAX + 1);
    bool right;
    (void)state;
    memset(text, 'x', PASSWORD_MAX + 1);
    assert_code(password_hash(&arena, STR(""), &hash), ERR_INVALID_REQUEST, "empty");
    assert_code(password_hash(&arena, STR("correct horse\0"), &hash), ERR_INVALID_REQUEST, "NUL");
    assert_code(password_hash(&arena, (struct str){ text, PASSWORD_MAX + 1 }, &hash), ERR_INVALID_REQUEST, "1025");
    assert_ok(password_hash(&arena, (struct str){ text, PASSWORD_MAX }, &hash));
    assert_ok(password_check(hash, (struct str){ text, PASSWORD_MAX }, &right));
    assert_true(right);
    assert_ok(password_check(hash, (struct str){ text, PASSWORD_MAX + 1 }, &right));
    assert_false(right);
}

static void nobodys_hash_costs_as_much_as_a_new_one_and_has_no_password(void **state)
{
    bool right = true;
    (void)state;
    assert_true(password_hash_is_fit(password_hash_of_nobody));
    assert_true(str_has_prefix(password_hash_of_nobody, STR("$scrypt$ln=15,r=8,p=3$")));
    assert_ok(password_check(password_hash_of_nobody, STR("x"), &right));
    assert_false(right);
}

RUN(TEST(a_new_hash_is_of_its_password_alone), TEST(what_others_made_is_checked), TEST(another_form_is_no_hash),
    TEST(a_password_has_1_to_1024_bytes), TEST(nobodys_hash_costs_as_much_as_a_new_one_and_has_no_password))
