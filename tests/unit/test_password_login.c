/* test_password_login.c: who gets in with a username and a password, how often somebody may try, and how many at once.
 */
#include "oauth/password_login.h"
#include "base/settings.h"
#include "folder.h"
#include <pthread.h>
#include <stdatomic.h>

#define HASH "$scrypt$ln=4,r=1,p=1$c29tZXNhbHRjbw$vXuwZ7Q3pn8Ry6WTjtompMi63ww156d+cWUKEZqIZuU" /* correct horse */
#define USER(subject, name, rest)                                                                                      \
    "{\"subject\":\"" subject "\",\"username\":\"" name "\",\"password_hash\":\"" HASH "\"" rest "}"

enum { LIMIT = 5, MINUTE = 60000 };
static const int64_t start_ms = INT64_C(1800000000000);
static struct settings settings;

static struct password_login *begin(int64_t limit)
{
    settings = (struct settings){ .data_dir = folder, .users_file = "", .failure_limit = limit };
    write_text("users.json",
               STR("[" USER("1", "ada", ",\"claims\":{\"name\":\"Ada\"}") "," USER("2", "eve",
                                                                                   ",\"disabled\":true") "]"),
               0600);
    return password_login_new(&settings);
}

static enum err_code log_in(struct password_login *login, const char *address, const char *name, const char *password,
                            int64_t now_ms)
{
    const struct password_try try = { str_of(address), str_of(name), str_of(password), now_ms };
    struct user user;
    int64_t wait_s;
    const enum err_code code = password_login_check(login, &arena, &try, &user, &wait_s).code;
    assert_true((wait_s > 0) == (code == ERR_TOO_MANY_REQUESTS));
    assert_true(code != ERR_OK || str_eq(user.username, str_of(name)));
    return code;
}

static void the_right_password_of_a_user_who_is_not_disabled_gets_in(void **state)
{
    static const struct {
        const char *name, *password;
        enum err_code code;
    } rows[] = {
        { "ada", "correct horse", ERR_OK },
        { "ada", "correct horsf", ERR_NOT_FOUND },
        { "ada", "", ERR_NOT_FOUND },
        { "ada", HASH, ERR_NOT_FOUND },
        { "Ada", "correct horse", ERR_NOT_FOUND },
        { "ada ", "correct horse", ERR_NOT_FOUND },
        { "", "correct horse", ERR_NOT_FOUND },
        { "bob", "correct horse", ERR_NOT_FOUND },
        { "eve", "correct horse", ERR_NOT_FOUND },
        { "eve", "wrong", ERR_NOT_FOUND },
        { "1", "correct horse", ERR_NOT_FOUND },
    };
    struct password_login *login = begin(0);
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_row(log_in(login, "192.0.2.1", rows[i].name, rows[i].password, start_ms) == rows[i].code, rows[i].name);
    password_login_free(login);
    password_login_free(NULL);
}

static void all_that_is_wrong_is_told_in_the_same_words(void **state)
{
    static const char *const names[] = { "ada", "eve", "bob" };
    struct password_login *login = begin(0);
    const char *why = NULL;
    (void)state;
    for (size_t i = 0; i < COUNT(names); i++) {
        const struct password_try try = { STR("192.0.2.1"), str_of(names[i]), STR("wrong"), start_ms };
        struct user user;
        int64_t wait_s;
        const struct err err = password_login_check(login, &arena, &try, &user, &wait_s);
        assert_row(err.code == ERR_NOT_FOUND && (!why || strcmp(why, err.why) == 0), names[i]);
        why = err.why;
    }
    password_login_free(login);
}

static void whoever_fails_too_often_waits_also_with_the_right_password(void **state)
{
    struct password_login *login = begin(LIMIT);
    (void)state;
    for (int i = 0; i < LIMIT; i++)
        assert_int_equal(log_in(login, "192.0.2.1", "ada", "wrong", start_ms), ERR_NOT_FOUND);
    assert_int_equal(log_in(login, "192.0.2.1", "ada", "wrong", start_ms), ERR_TOO_MANY_REQUESTS);
    assert_int_equal(log_in(login, "192.0.2.1", "ada", "correct horse", start_ms), ERR_TOO_MANY_REQUESTS);
    assert_int_equal(log_in(login, "203.0.113.9", "ada", "correct horse", start_ms), ERR_TOO_MANY_REQUESTS);
    assert_int_equal(log_in(login, "203.0.113.9", "ada", "correct horse", start_ms + MINUTE), ERR_OK);
    password_login_free(login);
}

static void success_is_no_failure(void **state)
{
    struct password_login *login = begin(LIMIT);
    (void)state;
    for (int i = 0; i < 10 * LIMIT; i++)
        assert_int_equal(log_in(login, "192.0.2.1", "ada", "correct horse", start_ms), ERR_OK);
    for (int i = 0; i < LIMIT - 1; i++)
        assert_int_equal(log_in(login, "192.0.2.1", "ada", "wrong", start_ms), ERR_NOT_FOUND);
    assert_int_equal(log_in(login, "192.0.2.1", "ada", "correct horse", start_ms), ERR_OK);
    assert_int_equal(log_in(login, "192.0.2.1", "ada", "wrong", start_ms), ERR_NOT_FOUND);
    assert_int_equal(log_in(login, "192.0.2.1", "ada", "correct horse", start_ms), ERR_TOO_MANY_REQUESTS);
    password_login_free(login);
}

static void names_that_nobody_has_wait_like_others(void **state)
{
    struct password_login *login = begin(LIMIT);
    char address[32];
    (void)state;
    for (int i = 0; i < LIMIT; i++) {
        snprintf(address, sizeof address, "192.0.2.%d", i);
        assert_int_equal(log_in(login, address, "nobody", "x", start_ms), ERR_NOT_FOUND);
    }
    assert_int_equal(log_in(login, "203.0.113.9", "nobody", "x", start_ms), ERR_TOO_MANY_REQUESTS);
    assert_int_equal(log_in(login, "203.0.113.9", "eve", "x", start_ms), ERR_NOT_FOUND);
    password_login_free(login);
}

static void a_broken_file_is_nobodys_failure(void **state)
{
    struct password_login *login = begin(LIMIT);
    (void)state;
    write_text("users.json", STR("["), 0600);
    for (int i = 0; i < 3 * LIMIT; i++)
        assert_int_equal(log_in(login, "192.0.2.1", "ada", "correct horse", start_ms), ERR_UNAVAILABLE);
    write_text("users.json", STR("[" USER("1", "ada", "") "]"), 0600);
    assert_int_equal(log_in(login, "192.0.2.1", "ada", "correct horse", start_ms), ERR_OK);
    password_login_free(login);
}

static void who_was_removed_or_disabled_is_not_found_again(void **state)
{
    struct password_login *login = begin(0);
    struct user user;
    (void)state;
    assert_ok(password_login_find(login, &arena, STR("1"), &user));
    assert_str(user.claims, "{\"name\":\"Ada\"}");
    assert_code(password_login_find(login, &arena, STR("2"), &user), ERR_NOT_FOUND, "disabled");
    assert_code(password_login_find(login, &arena, STR("3"), &user), ERR_NOT_FOUND, "nobody");
    write_text("users.json", STR("[]"), 0600);
    assert_code(password_login_find(login, &arena, STR("1"), &user), ERR_NOT_FOUND, "removed");
    password_login_free(login);
}

static atomic_int counts[ERR_CODE_COUNT];

static void *guess(void *context)
{
    struct arena own;
    struct user user;
    int64_t wait_s;
    const struct password_try try = { STR("192.0.2.1"), STR("ada"), STR("wrong"), start_ms };
    arena_init(&own, NULL, 0);
    for (int i = 0; i < 20; i++)
        atomic_fetch_add(&counts[password_login_check(context, &own, &try, &user, &wait_s).code], 1);
    arena_release(&own);
    return NULL;
}

/* All of them look before one has failed, if failures were counted afterwards. */
static void guesses_at_once_are_no_more_than_the_limit(void **state)
{
    struct password_login *login = begin(LIMIT);
    pthread_t threads[8];
    (void)state;
    for (size_t i = 0; i < COUNT(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, guess, login), 0);
    for (size_t i = 0; i < COUNT(threads); i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&counts[ERR_NOT_FOUND]), LIMIT);
    assert_int_equal(atomic_load(&counts[ERR_TOO_MANY_REQUESTS]), 160 - LIMIT);
    password_login_free(login);
}

RUN(TEST_IN_FOLDER(the_right_password_of_a_user_who_is_not_disabled_gets_in),
    TEST_IN_FOLDER(all_that_is_wrong_is_told_in_the_same_words),
    TEST_IN_FOLDER(whoever_fails_too_often_waits_also_with_the_right_password), TEST_IN_FOLDER(success_is_no_failure),
    TEST_IN_FOLDER(names_that_nobody_has_wait_like_others), TEST_IN_FOLDER(a_broken_file_is_nobodys_failure),
    TEST_IN_FOLDER(who_was_removed_or_disabled_is_not_found_again),
    TEST_IN_FOLDER(guesses_at_once_are_no_more_than_the_limit))
