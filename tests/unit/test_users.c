/* test_users.c: the file of users: what is read, when it is read again, and how it is changed. */
#include "oauth/users.h"
#include "base/settings.h"
#include "folder.h"
#include <fcntl.h>
#include <pthread.h>
#include <sys/file.h>

#define HASH "$scrypt$ln=4,r=1,p=1$c29tZXNhbHRjbw$vXuwZ7Q3pn8Ry6WTjtompMi63ww156d+cWUKEZqIZuU"
#define OTHER "$scrypt$ln=4,r=1,p=1$c29tZXNhbHRiYQ$r7yDUSDQsahGzhC8texqGbg7kjWxKpU3p27uY9Y8its"
#define USER(subject, name, rest)                                                                                      \
    "{\"subject\":\"" subject "\",\"username\":\"" name "\",\"password_hash\":\"" HASH "\"" rest "}"

#define CLAIMS "{\"name\":\"Ada ],[\\\"\",\"address\":{\"locality\":\"L\"}}"

/* --- the text ---------------------------------------------------------------------------------------------------- */

static struct err read_users(struct str text, struct user_list *out)
{
    char *copy = exactly(text);
    struct err err = users_read(&arena, (struct str){ copy, text.len }, out);
    free(copy);
    return err;
}

static void users_are_read_in_the_order_of_their_names(void **state)
{
    struct user_list list;
    (void)state;
    assert_ok(
        read_users(STR(" [\n" USER("2", "bob",
                                   ",\"disabled\":true") ",\n" USER("1", "ada",
                                                                    ",\"claims\":" CLAIMS) " , " USER("3",
                                                                                                      "J\xc3\xb6rg",
                                                                                                      "") "]\n"),
                   &list));
    assert_int_equal(list.count, 3);
    assert_str(list.at[0].username, "J\xc3\xb6rg"); /* byte by byte */
    assert_str(list.at[1].username, "ada");
    assert_str(list.at[1].subject, "1");
    assert_str(list.at[1].password_hash, HASH);
    assert_str(list.at[1].claims, CLAIMS);
    assert_false(list.at[1].is_disabled);
    assert_true(list.at[2].is_disabled);
    assert_str(list.at[2].claims, "{}");
    assert_ptr_equal(user_named(&list, STR("bob")), &list.at[2]);
    assert_ptr_equal(user_of_subject(&list, STR("3")), &list.at[0]);
    assert_null(user_named(&list, STR("Ada")));
    assert_null(user_named(&list, STR("ada\0")));
    assert_null(user_named(&list, STR("ad")));
    assert_null(user_of_subject(&list, STR("4")));
}

static void what_is_written_is_read_again(void **state)
{
    struct user_list list, again;
    struct buf first, second;
    (void)state;
    assert_ok(read_users(STR("[" USER("2", "b\\\"o\\\\b", "") "," USER("1", "ada",
                                                                       ",\"claims\":{ \"name\" : \"\\u00e4\" }") "]"),
                         &list));
    buf_init(&first, &arena, 64, USERS_FILE_MAX);
    buf_init(&second, &arena, 64, USERS_FILE_MAX);
    users_write(&first, &list);
    assert_ok(read_users(buf_str(&first), &again));
    users_write(&second, &again);
    assert_true(str_eq(buf_str(&first), buf_str(&second)));
    assert_int_equal(again.count, 2);
    assert_str(again.at[1].username, "b\"o\\b");
    assert_ok(read_users(STR("[]"), &list));
    assert_ok(read_users(STR("[ \n\t]"), &list));
    assert_int_equal(list.count, 0);
    first.len = 0;
    users_write(&first, &list);
    assert_ok(read_users(buf_str(&first), &again));
    assert_int_equal(again.count, 0);
}

static void a_file_with_a_fault_has_no_users(void **state)
{
    static const struct str rows[] = {
        ROW(""),
        ROW("{}"),
        ROW("null"),
        ROW("["),
        ROW("[" USER("1", "ada", "")),
        ROW("[" USER("1", "ada", "") ","),
        ROW("[" USER("1", "ada", "") ",]"),
        ROW("[," USER("1", "ada", "") "]"),
        ROW("[" USER("1", "ada", "") "]x"),
        ROW("[" USER("1", "ada", "") "][]"),
        ROW("[" USER("1", "ada", "") "\0]"),
        ROW("[" USER("1", "ada", "") " " USER("2", "bob", "") "]"),
        ROW("[1]"),
        ROW("[[]]"),
        ROW("[null]"),
        ROW("[{}]"),
        ROW("[}]"),
        ROW("[\"]"),
        ROW("[\"\\"),
        ROW("[" USER("1", "ada", "") "," USER("1", "bob", "") "]"), /* a subject twice */
        ROW("[" USER("1", "ada", "") "," USER("2", "ada", "") "]"), /* a name twice */
        ROW("[" USER("", "ada", "") "]"),
        ROW("[" USER("1 2", "ada", "") "]"),
        ROW("[" USER("\xc3\xa4", "ada", "") "]"),
        ROW("[" USER("1", "", "") "]"),
        ROW("[" USER("1", " ada", "") "]"),
        ROW("[" USER("1", "ada ", "") "]"),
        ROW("[" USER("1", "a\\nda", "") "]"),
        ROW("[" USER("1", "a\\u0085da", "") "]"),
        ROW("[" USER("1", "a\\u0000da", "") "]"),
        ROW("[" USER("1", "\xff", "") "]"),
        ROW("[" USER("1", "ada", ",\"admin\":true") "]"),
        ROW("[" USER("1", "ada", ",\"subject\":\"2\"") "]"), /* a member twice */
        ROW("[" USER("1", "ada", ",\"disabled\":\"true\"") "]"),
        ROW("[" USER("1", "ada", ",\"disabled\":null") "]"),
        ROW("[" USER("1", "ada", ",\"claims\":[]") "]"),
        ROW("[" USER("1", "ada", ",\"claims\":{\"role\":\"admin\"}") "]"),
        ROW("[{\"subject\":1,\"username\":\"ada\",\"password_hash\":\"" HASH "\"}]"),
        ROW("[{\"username\":\"ada\",\"password_hash\":\"" HASH "\"}]"),
        ROW("[{\"subject\":\"1\",\"password_hash\":\"" HASH "\"}]"),
        ROW("[{\"subject\":\"1\",\"username\":\"ada\"}]"),
        ROW("[{\"subject\":\"1\",\"username\":\"ada\",\"password_hash\":\"secret\"}]"),
        ROW("[{\"subject\":\"1\",\"username\":\"ada\",\"password_hash\":\"\"}]"),
    };
    struct user_list list;
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct err err = read_users(rows[i], &list);
        assert_code(err, ERR_INVALID_REQUEST, rows[i].at);
        assert_row(!strstr(err.why, "c29tZXNhbHRjbw") && !strstr(err.why, "secret"), rows[i].at);
    }
}

static void there_are_10000_users_at_most(void **state)
{
    struct buf text;
    struct user_list list;
    (void)state;
    for (int count = USERS_MAX; count <= USERS_MAX + 1; count++) {
        buf_init(&text, &arena, 64, USERS_FILE_MAX);
        for (int i = 0; i < count; i++)
            buf_add(&text, arena_printf(&arena, "%c" USER("s%d", "u%d", ""), i > 0 ? ',' : '[', i, i));
        buf_add_char(&text, ']');
        assert_false(text.overflowed);
        const enum err_code code = count > USERS_MAX ? ERR_INVALID_REQUEST : ERR_OK;
        assert_code(users_read(&arena, buf_str(&text), &list), code, "count");
    }
    char *large = arena_alloc(&arena, USERS_FILE_MAX + 1);
    memset(large, ' ', USERS_FILE_MAX + 1);
    memcpy(large, "[]", 2);
    assert_ok(users_read(&arena, (struct str){ large, USERS_FILE_MAX }, &list));
    assert_code(users_read(&arena, (struct str){ large, USERS_FILE_MAX + 1 }, &list), ERR_INVALID_REQUEST, "4 MiB");
}

/* --- the file ---------------------------------------------------------------------------------------------------- */

static struct settings settings;

static struct users *begin(void)
{
    settings = (struct settings){ .data_dir = folder, .users_file = "" };
    return users_new(&settings);
}

static enum err_code code_of(struct users *users, const char *name)
{
    struct user user;
    return users_find(users, &arena, str_of(name), &user).code;
}

static void a_change_of_the_file_is_seen(void **state)
{
    struct users *users = begin();
    struct user user;
    (void)state;
    assert_int_equal(code_of(users, "ada"), ERR_NOT_FOUND); /* there is no file */
    write_text("users.json", STR("[" USER("1", "ada", "") "]"), 0600);
    assert_ok(users_find(users, &arena, STR("ada"), &user));
    assert_str(user.subject, "1");
    assert_int_equal(code_of(users, "bob"), ERR_NOT_FOUND);
    write_text("users.json", STR("[" USER("2", "bob", "") "]"), 0600); /* the same size, inode and second */
    assert_int_equal(code_of(users, "ada"), ERR_NOT_FOUND);
    assert_ok(users_find_subject(users, &arena, STR("2"), &user));
    assert_str(user.username, "bob");
    assert_code(users_find_subject(users, &arena, STR("1"), &user), ERR_NOT_FOUND, "who was there before");
    assert_int_equal(unlink(in_folder("users.json")), 0);
    assert_int_equal(code_of(users, "bob"), ERR_NOT_FOUND);
    users_free(users);
    users_free(NULL);
}

static void a_file_that_cannot_be_used_lets_nobody_in(void **state)
{
    static const struct {
        const char *text;
        unsigned mode;
        enum err_code code;
    } rows[] = {
        { "[" USER("1", "ada", "") "]", 0600, ERR_OK },
        { "[" USER("1", "ada", "") "]", 0400, ERR_OK },
        { "[" USER("1", "ada", "") "]", 0640, ERR_OK }, /* as orchestrators have it */
        { "[" USER("1", "ada", "") "]", 0660, ERR_UNAVAILABLE },
        { "[" USER("1", "ada", "") "]", 0644, ERR_UNAVAILABLE },
        { "[" USER("1", "ada", "") "]", 0602, ERR_UNAVAILABLE },
        { "[" USER("1", "ada", "") "", 0600, ERR_UNAVAILABLE },
        { "", 0600, ERR_UNAVAILABLE },
        { "[" USER("1", "ada", "") "]", 0600, ERR_OK }, /* mended */
    };
    struct users *users = begin();
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        (void)unlink(in_folder("users.json"));
        write_text("users.json", str_of(rows[i].text), rows[i].mode);
        assert_row(code_of(users, "ada") == rows[i].code, rows[i].text);
    }
    (void)unlink(in_folder("users.json"));
    assert_int_equal(mkfifo(in_folder("users.json"), 0600), 0); /* nobody writes to it, and nobody waits */
    assert_int_equal(code_of(users, "ada"), ERR_UNAVAILABLE);
    users_free(users);
}

static void an_unknown_name_has_always_the_same_decoy(void **state)
{
    struct users *users = begin();
    bool seen[2] = { false, false };
    (void)state;
    assert_int_equal(code_of(users, "x"), ERR_NOT_FOUND);
    assert_true(str_has_prefix(users_decoy(users, &arena, STR("x")), STR("$scrypt$ln=15,")));
    write_text("users.json",
               STR("[" USER("1", "ada", "") ",{\"subject\":\"2\",\"username\":\"bob\",\"password_hash\":\"" OTHER
                                            "\"}]"),
               0600);
    assert_int_equal(code_of(users, "x"), ERR_NOT_FOUND);
    for (int i = 0; i < 64; i++) {
        const struct str name = arena_printf(&arena, "nobody-%d", i), decoy = users_decoy(users, &arena, name);
        assert_true(str_eq(decoy, users_decoy(users, &arena, name)));
        seen[str_eq(decoy, STR(OTHER))] = true;
        assert_true(str_eq(decoy, STR(OTHER)) || str_eq(decoy, STR(HASH)));
    }
    assert_true(seen[0] && seen[1]);
    users_free(users);
}

/* --- changing it ------------------------------------------------------------------------------------------------- */

static struct err add(void *context, struct arena *of, struct user_list *list)
{
    const struct str name = arena_copy(of, str_of(context));
    if (user_named(list, name))
        return failed(ERR_CONFLICT, "there already");
    list->at[list->count++] =
        (struct user){ .subject = name, .username = name, .password_hash = STR(HASH), .claims = STR("{}") };
    return OK;
}

static struct err spoil(void *context, struct arena *of, struct user_list *list)
{
    (void)context;
    (void)of;
    list->at[0].password_hash = STR("secret");
    return OK;
}

static void a_change_is_whole_or_none(void **state)
{
    struct users *users = begin();
    (void)state;
    settings.data_dir = in_folder("data"); /* which is made */
    assert_ok(users_alter(&settings, &arena, add, (void *)"ada"));
    assert_int_equal(mode_of(in_folder("data")), 0700);
    assert_int_equal(mode_of(in_folder("data/users.json")), 0600);
    assert_ok(users_alter(&settings, &arena, add, (void *)"bob"));
    const struct str before = read_text("data/users.json");
    assert_code(users_alter(&settings, &arena, add, (void *)"ada"), ERR_CONFLICT, "twice");
    assert_code(users_alter(&settings, &arena, spoil, NULL), ERR_INVALID_REQUEST, "no hash");
    assert_true(str_eq(read_text("data/users.json"), before));
    assert_int_equal(code_of(users, "ada"), ERR_OK);
    assert_int_equal(code_of(users, "bob"), ERR_OK);
    users_free(users);
}

static void what_cannot_be_read_is_not_replaced(void **state)
{
    struct users *users = begin();
    (void)state;
    write_text("users.json", STR("[ my users"), 0600);
    assert_code(users_alter(&settings, &arena, add, (void *)"ada"), ERR_INVALID_REQUEST, "broken");
    assert_str(read_text("users.json"), "[ my users");
    assert_int_equal(unlink(in_folder("users.json")), 0);
    assert_int_equal(symlink("elsewhere.json", in_folder("users.json")), 0);
    assert_code(users_alter(&settings, &arena, add, (void *)"ada"), ERR_INVALID_REQUEST, "a link");
    assert_false(exists("elsewhere.json"));
    settings.users_file = in_folder("nowhere/users.json");
    assert_code(users_alter(&settings, &arena, add, (void *)"ada"), ERR_INVALID_REQUEST, "no directory");
    settings.users_file = in_folder("my-users");
    assert_ok(users_alter(&settings, &arena, add, (void *)"ada"));
    assert_true(exists("my-users"));
    users_free(users);
}

static void *add_some(void *context)
{
    struct arena own;
    char name[32];
    arena_init(&own, NULL, 0);
    for (int i = 0; i < 8; i++) {
        snprintf(name, sizeof name, "%s-%d", (const char *)context, i);
        if (users_alter(&settings, &own, add, name).code)
            abort();
    }
    arena_release(&own);
    return NULL;
}

static void changes_at_once_all_happen(void **state)
{
    static const char *const names[] = { "a", "b", "c", "d" };
    struct users *users = begin();
    pthread_t threads[COUNT(names)];
    struct user_list list;
    (void)state;
    for (size_t i = 0; i < COUNT(names); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, add_some, (void *)names[i]), 0);
    for (size_t i = 0; i < COUNT(names); i++)
        pthread_join(threads[i], NULL);
    assert_ok(users_list(&settings, &arena, &list));
    assert_int_equal(list.count, 32);
    users_free(users);
}

static void a_lock_that_is_not_given_back_is_not_waited_for_without_an_end(void **state)
{
    struct users *users = begin();
    const int dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    (void)state;
    assert_int_equal(flock(dir, LOCK_EX), 0);
    assert_code(users_alter(&settings, &arena, add, (void *)"ada"), ERR_UNAVAILABLE, "locked");
    assert_false(exists("users.json"));
    close(dir);
    assert_ok(users_alter(&settings, &arena, add, (void *)"ada"));
    users_free(users);
}

RUN(TEST(users_are_read_in_the_order_of_their_names), TEST(what_is_written_is_read_again),
    TEST(a_file_with_a_fault_has_no_users), TEST(there_are_10000_users_at_most),
    TEST_IN_FOLDER(a_change_of_the_file_is_seen), TEST_IN_FOLDER(a_file_that_cannot_be_used_lets_nobody_in),
    TEST_IN_FOLDER(an_unknown_name_has_always_the_same_decoy), TEST_IN_FOLDER(a_change_is_whole_or_none),
    TEST_IN_FOLDER(what_cannot_be_read_is_not_replaced), TEST_IN_FOLDER(changes_at_once_all_happen),
    TEST_IN_FOLDER(a_lock_that_is_not_given_back_is_not_waited_for_without_an_end))
